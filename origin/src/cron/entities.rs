//! Who stands behind the names: contacts that are the same person or firm become one entity.
//!
//! # Design
//! Sets at a time, in one transaction, and only what differs is written, so readers see one run or the next and most rows
//! stay where they are. A contact is known by the first of these that it has: its agent's number where that stands on
//! several rows, its license, its business license, its name. A name that stands on the same permit in another source
//! with a license takes that entity. The name of an entity is what most of its contacts write.
//!
//! Names that only look alike are not merged: "Oak Construction" and "Oaks Construction" are two firms as often as one, and
//! search finds both. The city's `pts_agent_id` numbers the rows of an extract (`soda/datasets.rs`), so it tells
//! somebody only where one extract repeats it with one name.

use std::sync::LazyLock;

use serde_json::json;
use tokio_postgres::Transaction;

use super::job::{Counts, Job};
use crate::config::Config;
use crate::db::{self, Attended};
use crate::jobs::{Context, Lease};
use crate::permits::limits::LISTED_MAX;
use crate::purge;

/// Every contact with what it is known by.
const KNOWN: &str = "
    CREATE TEMP TABLE known ON COMMIT DROP AS
    WITH agents AS (
        SELECT pts_agent_id FROM contacts WHERE pts_agent_id IS NOT NULL
        GROUP BY pts_agent_id HAVING count(*) > 1 AND count(DISTINCT compared_name(coalesce(name, firm_name))) = 1
    ),
    compared AS (
        SELECT source, permit_number, role, name, firm_name, license_number, sf_business_license,
               CASE WHEN agents.pts_agent_id IS NOT NULL THEN 'agent:' || agents.pts_agent_id END AS agent,
               'license:' || compared_license(license_number) AS license,
               'business:' || nullif(ltrim(btrim(sf_business_license), '0'), '') AS business,
               compared_name(coalesce(name, firm_name)) AS person
          FROM contacts LEFT JOIN agents USING (pts_agent_id)
         WHERE coalesce(name, firm_name) IS NOT NULL
    ),
    -- The same name on the same permit, with a license in another source.
    licensed AS (
        SELECT permit_number, person, min(license) AS license, min(source) AS source
          FROM compared WHERE license IS NOT NULL AND person IS NOT NULL
         GROUP BY permit_number, person HAVING count(DISTINCT license) = 1
    )
    SELECT compared.source, permit_number, role, name, firm_name, license_number, sf_business_license,
           coalesce(agent, compared.license, licensed.license, business, 'name:' || person) AS key,
           CASE WHEN agent IS NOT NULL THEN 'pts_agent_id'
                WHEN compared.license IS NOT NULL THEN 'license_number'
                WHEN licensed.license IS NOT NULL THEN 'cross_source_name'
                WHEN business IS NOT NULL THEN 'sf_business_license'
                ELSE 'name' END AS method
      FROM compared LEFT JOIN licensed USING (permit_number, person)
     WHERE coalesce(agent, compared.license, licensed.license, business, person) IS NOT NULL";

/// One row for each entity. The method is the strongest that one of its contacts was told by.
const ENTITIES: &str = "
    CREATE TEMP TABLE next_entities ON COMMIT DROP AS
    SELECT left(md5(key), 16) AS entity_id,
           coalesce(mode() WITHIN GROUP (ORDER BY coalesce(name, firm_name)), '') AS canonical_name,
           mode() WITHIN GROUP (ORDER BY firm_name) AS canonical_firm,
           mode() WITHIN GROUP (ORDER BY role) AS entity_type,
           mode() WITHIN GROUP (ORDER BY compared_license(license_number)) AS license_number,
           mode() WITHIN GROUP (ORDER BY sf_business_license) AS sf_business_license,
           CASE split_part(key, ':', 1) WHEN 'agent' THEN 'pts_agent_id' WHEN 'license' THEN 'license_number'
                WHEN 'business' THEN 'sf_business_license'
                ELSE CASE WHEN count(*) = 1 THEN 'singleton' ELSE 'name' END END AS resolution_method,
           CASE split_part(key, ':', 1) WHEN 'agent' THEN 'high' WHEN 'name' THEN 'low' ELSE 'medium' END
               AS resolution_confidence,
           count(*)::int4 AS contact_count, count(DISTINCT permit_number)::int4 AS permit_count,
           array_agg(DISTINCT source ORDER BY source) AS sources
      FROM known GROUP BY key";

const PERMITS: &str = "
    CREATE TEMP TABLE next_entity_permits ON COMMIT DROP AS
    SELECT DISTINCT left(md5(key), 16) AS entity_id, permit_number, role FROM known";

/// Streets and neighborhoods of permits, and the names of entities. A longer text is an error of the city's or a sentence
/// that nobody begins to type, and would not fit into an entry of the index: 2,700 bytes, of four bytes a character at most.
const TERMS: &str = "
    CREATE TEMP TABLE next_search_terms ON COMMIT DROP AS
    SELECT kind, term, target, weight FROM (
    SELECT 'street' AS kind, concat_ws(' ', street_name, street_suffix) AS term, '' AS target, count(*)::int4 AS weight
      FROM permits WHERE street_name IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'neighborhood', neighborhood, '', count(*)::int4 FROM permits WHERE neighborhood IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'entity', canonical_name, entity_id, permit_count FROM next_entities WHERE canonical_name <> ''
    UNION ALL
    SELECT 'entity', canonical_firm, entity_id, permit_count FROM next_entities
     WHERE canonical_firm IS NOT NULL AND canonical_firm <> canonical_name
    ) terms WHERE length(term) <= 256";

/// Parcels with a permit, in lists of the sitemap.
static SITEMAP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "CREATE TEMP TABLE next_sitemap_parcels ON COMMIT DROP AS
         SELECT block, lot, (row_number() OVER (ORDER BY block, lot) - 1) / {LISTED_MAX} + 1 AS list
           FROM (SELECT DISTINCT block, lot FROM permits WHERE block IS NOT NULL AND lot IS NOT NULL) parcels"
    )
});

/// The tables, what makes their rows unique, and the rest of their columns.
const TABLES: [(&str, &[&str], &[&str]); 4] = [
    (
        "entities",
        &["entity_id"],
        &[
            "canonical_name",
            "canonical_firm",
            "entity_type",
            "license_number",
            "sf_business_license",
            "resolution_method",
            "resolution_confidence",
            "contact_count",
            "permit_count",
            "sources",
        ],
    ),
    ("entity_permits", &["entity_id", "permit_number", "role"], &[]),
    ("search_terms", &["kind", "term", "target"], &["weight"]),
    ("sitemap_parcels", &["block", "lot"], &["list"]),
];

/// Memory of one sort or join; the contacts are three million rows.
const WORK_MEM: &str = "SET LOCAL work_mem = '64MB'";

pub(super) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let limit = Job::ResolveEntities.deadline();
    let mut session = Attended::open(&context.config.database, "seawall-entities", limit).await?;
    let transaction = session.transaction().await?;
    let counts = compute(&transaction).await?;
    purge::queue(&transaction, &[purge::SEARCH.to_owned()]).await?;
    lease.hold(&transaction).await?;
    transaction.commit().await?;
    Ok(counts)
}

/// The same for a command line.
///
/// # Errors
/// When the database fails; what was there stays.
pub async fn resolve(config: &Config) -> anyhow::Result<()> {
    let limit = Job::ResolveEntities.deadline();
    let mut session = db::session_within(&config.database, "seawall-entities", limit).await?;
    let transaction = session.transaction().await?;
    compute(&transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn compute(transaction: &Transaction<'_>) -> anyhow::Result<Counts> {
    for statement in [WORK_MEM, KNOWN, ENTITIES, PERMITS, TERMS, &SITEMAP] {
        transaction.batch_execute(statement).await?;
    }
    let mut counts = Counts::new();
    for (table, keys, others) in TABLES {
        transaction.batch_execute(&format!("ANALYZE next_{table}")).await?;
        let mut changed = 0;
        for statement in replace(table, keys, others) {
            changed += transaction.execute(&statement, &[]).await?;
        }
        transaction.batch_execute(&format!("ANALYZE {table}")).await?;
        counts.insert(table.to_owned(), json!({ "changed": changed }));
    }
    Ok(counts)
}

/// Makes a table equal to the one that was computed, by what differs.
fn replace(table: &str, keys: &[&str], others: &[&str]) -> Vec<String> {
    let same: Vec<_> = keys.iter().map(|key| format!("ours.{key} = next.{key}")).collect();
    let same = same.join(" AND ");
    let columns: Vec<_> = keys.iter().chain(others).copied().collect();
    let columns = columns.join(", ");
    let listed = |side: &str| others.iter().map(|column| format!("{side}.{column}")).collect::<Vec<_>>().join(", ");
    let mut statements =
        vec![format!("DELETE FROM {table} ours WHERE NOT EXISTS (SELECT FROM next_{table} next WHERE {same})")];
    if !others.is_empty() {
        let set: Vec<_> = others.iter().map(|column| format!("{column} = next.{column}")).collect();
        statements.push(format!(
            "UPDATE {table} ours SET {} FROM next_{table} next WHERE {same} AND ({}) IS DISTINCT FROM ({})",
            set.join(", "),
            listed("ours"),
            listed("next")
        ));
    }
    statements.push(format!(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM next_{table} next
         WHERE NOT EXISTS (SELECT FROM {table} ours WHERE {same})"
    ));
    statements
}
