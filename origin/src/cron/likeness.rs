//! Keeps the vectors by which reports find finished projects like theirs, where the database has pgvector.
//!
//! The table is like an index: made from the permits, by this job and not by a migration, because the extension may come
//! and go while the schema stays as it is. Without the extension there is nothing, and reports judge by neighborhood.

use serde_json::json;
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::job::{Counts, Job};
use crate::config::Config;
use crate::db::{self, Attended};
use crate::jobs::{Context, Lease};
use crate::permits::likeness::{ARE_KEPT, DIMENSIONS, Project};

pub(super) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let limit = Job::SimilarProjects.deadline();
    let mut session = Attended::open(&context.config.database, "seawall-similar", limit).await?;
    let transaction = session.transaction().await?;
    let counts = compute(&transaction, |done| lease.progress("vectors", done, done)).await?;
    lease.hold(&transaction).await?;
    transaction.commit().await?;
    Ok(counts)
}

/// The same for a command line.
///
/// # Errors
/// When the database fails; what was there stays.
pub async fn refresh(config: &Config) -> anyhow::Result<()> {
    let mut session = db::session_within(&config.database, "seawall-similar", Job::SimilarProjects.deadline()).await?;
    let transaction = session.transaction().await?;
    compute(&transaction, |_| {}).await?;
    transaction.commit().await?;
    Ok(())
}

async fn compute(transaction: &Transaction<'_>, progress: impl Fn(usize)) -> anyhow::Result<Counts> {
    let is_true = async |sql: &str| transaction.query_typed(sql, &[]).await?[0].try_get::<_, bool>(0);
    if !is_true(HAS_EXTENSION).await? {
        return Ok(Counts::from_iter([("skipped".to_owned(), json!("the database has no pgvector 0.7 or newer"))]));
    }
    transaction.batch_execute(WORK_MEM).await?;
    if !is_true(ARE_KEPT).await? {
        transaction.batch_execute(&table()).await?;
    }
    transaction.batch_execute(WANTED).await?;
    let deleted = transaction.execute(DELETE, &[]).await?;
    let (mut written, mut after) = (0, String::new());
    loop {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&after, Type::TEXT), (&BATCH, Type::INT8)];
        let rows = transaction.query_typed(NEXT, &parameters).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        let (mut numbers, mut digests, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let cost: Option<i64> = row.try_get(4)?;
            let project = Project {
                description: row.try_get(2)?,
                kind: row.try_get(3)?,
                cost: cost.and_then(|cost| u64::try_from(cost).ok()),
            };
            if let Some(vector) = project.embedding() {
                numbers.push(row.try_get::<_, &str>(0)?);
                digests.push(row.try_get::<_, &str>(1)?);
                vectors.push(vector);
            }
        }
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&numbers, Type::TEXT_ARRAY), (&digests, Type::TEXT_ARRAY), (&vectors, Type::TEXT_ARRAY)];
        transaction.query_typed(STORE, &parameters).await?;
        written += numbers.len();
        progress(written);
    }
    transaction.batch_execute(INDEX).await?;
    transaction.batch_execute("ANALYZE permit_vectors").await?;
    Ok(Counts::from_iter([("written".to_owned(), json!(written)), ("deleted".to_owned(), json!(deleted))]))
}

/// pgvector has this type since 0.7.
const HAS_EXTENSION: &str = "SELECT to_regtype('halfvec') IS NOT NULL";

/// For the index, which is built in memory while it fits.
const WORK_MEM: &str = "SET LOCAL maintenance_work_mem = '256MB'";

/// What was left by an extension that was dropped goes first.
fn table() -> String {
    format!(
        "DROP TABLE IF EXISTS permit_vectors;
         CREATE TABLE permit_vectors (permit_number text PRIMARY KEY, digest text NOT NULL,
                                      embedding halfvec({DIMENSIONS}) NOT NULL)"
    )
}

/// Finished permits of the last ten years, once each, with a digest of what their vector is made of. Older ones cost what
/// nothing costs today. `1` is the embedding's version: with another, all vectors are made anew.
const WANTED: &str = "
    CREATE TEMP TABLE wanted_vectors ON COMMIT DROP AS
    SELECT permit_number, md5(concat_ws('|', '1', description, kind, cost)) AS digest, description, kind, cost
      FROM (SELECT DISTINCT ON (permit_number) permit_number, description,
                   coalesce(permit_type_definition, '') AS kind,
                   least(coalesce(nullif(revised_cost, 0), estimated_cost), 1e15)::int8 AS cost
              FROM permits
             WHERE lower(status) = 'complete' AND description IS NOT NULL AND filed_date > now() - interval '10 years'
             ORDER BY permit_number, record_id) newest;
    ANALYZE wanted_vectors";

const DELETE: &str = "DELETE FROM permit_vectors ours WHERE NOT EXISTS (
    SELECT FROM wanted_vectors wanted WHERE wanted.permit_number = ours.permit_number)";

const NEXT: &str = "
    SELECT permit_number, wanted.digest, description, kind, cost
      FROM wanted_vectors wanted LEFT JOIN permit_vectors ours USING (permit_number)
     WHERE permit_number > $1 AND ours.digest IS DISTINCT FROM wanted.digest ORDER BY permit_number LIMIT $2";

const STORE: &str = "
    INSERT INTO permit_vectors (permit_number, digest, embedding)
    SELECT permit_number, digest, embedding::halfvec FROM unnest($1, $2, $3) AS given (permit_number, digest, embedding)
    ON CONFLICT (permit_number) DO UPDATE SET digest = excluded.digest, embedding = excluded.embedding";

/// Built after the table is filled the first time, which is quicker than row by row.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS permit_vectors_embedding ON permit_vectors
    USING hnsw (embedding halfvec_cosine_ops)";

/// Vectors written at a time, half a kilobyte of text each.
const BATCH: i64 = 2_000;
