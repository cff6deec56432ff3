//! `origin explain`: the statements that cost the database most, how each is carried out, and what may be done about it.
//!
//! # Design
//! `pg_stat_statements` has a statement's text with `$1` in place of every parameter and every constant. Each is prepared,
//! and the plan for any parameters is asked for, which executes nothing. It is executed with `EXPLAIN (ANALYZE, BUFFERS)`
//! only when all of this holds, and else the answer says what did not:
//! - its plan only reads, and it calls no volatile function (those may act although the transaction may not write);
//! - each parameter has a value that it could have in earnest (`sample`);
//! - all in a transaction that is read-only and rolled back, within [`STATEMENT_TIME_MAX`], a lock being waited for
//!   [`LOCK_TIME_MAX`] at most.
//!
//! Figures over all calls (time, rows, pages in memory, files) are those of `pg_stat_statements` in either case.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value as Json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use crate::config;
use crate::db;

mod advice;
mod condition;
mod plan;
mod report;
mod sample;
mod statement;

use advice::{Advice, Table};
use plan::Plan;
use sample::Value;
use statement::{Kind, Statement};

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The extension is not in this database.
    #[error(
        "this database has no pg_stat_statements: set shared_preload_libraries = 'pg_stat_statements', restart the \
         server, and run CREATE EXTENSION pg_stat_statements (docs/operating/explain.md)"
    )]
    NoExtension,
    /// The extension is in the database and its library not in the server.
    #[error(
        "pg_stat_statements counts nothing, because the server was started without it: set \
         shared_preload_libraries = 'pg_stat_statements' and restart the server (docs/operating/explain.md)"
    )]
    NotPreloaded,
    /// The way to the database leads over PgBouncer, which gives each transaction another session.
    #[error("DB_POOLER is pgbouncer: set DATABASE_URL_DIRECT, because plans are asked for in a session of its own")]
    Pooled,
    /// The database did not answer.
    #[error("the database cannot be asked for its statements")]
    Database(#[from] tokio_postgres::Error),
}

/// The dearest statements with their plans and what is advised.
#[derive(Debug)]
pub struct Explained {
    statements: Vec<Explanation>,
    /// Dearer ones without a plan, and why: `COPY` has none, and tables of a load are gone.
    passed_over: Vec<(Statement, String)>,
}

#[derive(Debug)]
struct Explanation {
    statement: Statement,
    plan: Option<Plan>,
    /// The values that it was executed with; or why it was not, or has no plan.
    execution: Result<BTreeMap<usize, Value>, String>,
    advice: Vec<Advice>,
}

/// Explains the dearest statements of the database.
///
/// # Errors
/// When the database cannot be reached or does not count its statements.
pub async fn run(config: &config::Database) -> anyhow::Result<Explained> {
    if config.is_pooled() {
        return Err(ExplainError::Pooled.into());
    }
    let mut client = db::session_within(config, "seawall-explain", STATEMENT_TIME_MAX).await?;
    let (mut statements, mut passed_over) = (Vec::new(), Vec::new());
    for statement in statement::dearest(&client).await? {
        if statements.len() == EXPLAINED {
            break;
        }
        if statement.kind() == Kind::HasNoPlan {
            passed_over.push((statement, "nothing to plan".to_owned()));
            continue;
        }
        let explanation = explain(&mut client, statement).await.context("the database went away")?;
        match (&explanation.plan, &explanation.execution) {
            (None, Err(why)) => passed_over.push((explanation.statement, why.clone())),
            _ => statements.push(explanation),
        }
    }
    Ok(Explained { statements, passed_over })
}

async fn explain(client: &mut Client, statement: Statement) -> Result<Explanation, tokio_postgres::Error> {
    let sql = statement.sql.clone().unwrap_or_default();
    let mut attempt = Attempt::default();
    let transaction = client.build_transaction().read_only(true).start().await?;
    let bounded = format!("SET LOCAL lock_timeout = {}", LOCK_TIME_MAX.as_millis());
    transaction.batch_execute(&bounded).await?;
    let result = attempt.make(&transaction, &sql, statement.kind()).await;
    transaction.rollback().await?;
    // What was prepared outlives its transaction.
    client.batch_execute("DEALLOCATE ALL").await?;
    let execution = match result {
        Ok(execution) => execution,
        Err(error) => {
            let text = error.as_db_error().map(|error| error.message().to_owned());
            Err(text.ok_or(error)?)
        }
    };
    let tables = match &attempt.plan {
        Some(plan) => tables(client, plan).await?,
        None => BTreeMap::new(),
    };
    let advice = advice::advise(&statement, attempt.plan.as_ref(), &tables);
    Ok(Explanation { statement, plan: attempt.plan, execution, advice })
}

/// What has been found out when the next step fails.
#[derive(Debug, Default)]
struct Attempt {
    plan: Option<Plan>,
}

impl Attempt {
    /// Plans the statement, executes it if it may be executed, and says with what or why not.
    async fn make(
        &mut self,
        transaction: &Transaction<'_>,
        sql: &str,
        kind: Kind,
    ) -> Result<Result<BTreeMap<usize, Value>, String>, tokio_postgres::Error> {
        // One command or none: this way of asking takes no second one after a semicolon.
        transaction.query_typed(&format!("PREPARE {NAME} AS {}", sample::typed(sql)), &[]).await?;
        let count: i32 = transaction.query_typed(COUNT, &[(&NAME, Type::TEXT)]).await?[0].try_get(0)?;
        let count = usize::try_from(count).unwrap_or(0);
        transaction.batch_execute("SET LOCAL plan_cache_mode = force_generic_plan").await?;
        let nothing = vec!["NULL"; count];
        self.plan = Some(plan(transaction, "VERBOSE", &nothing).await?);
        let Some(plan_of_any) = &self.plan else { return Ok(Err("it has no plan".to_owned())) };
        if kind == Kind::Writes || !plan_of_any.only_reads() {
            return Ok(Err("it writes".to_owned()));
        }
        let called = words(&format!("{sql} {}", plan_of_any.json));
        let volatile = transaction.query_typed(VOLATILE, &[(&called, Type::TEXT_ARRAY)]).await?;
        if let Some(function) = volatile.first() {
            let function: String = function.try_get(0)?;
            return Ok(Err(format!("it may call {function}(), which is volatile")));
        }
        let values = sample::values(transaction.client(), plan_of_any, sql).await?;
        if let Some(unknown) = (1..=count).find(|number| !values.contains_key(number)) {
            return Ok(Err(format!("nothing says what ${unknown} stands for")));
        }
        transaction.batch_execute("SET LOCAL plan_cache_mode = force_custom_plan").await?;
        let literals: Vec<_> = values.values().map(|value| &*value.literal).collect();
        self.plan = Some(plan(transaction, "ANALYZE, BUFFERS, VERBOSE", &literals[..count.min(literals.len())]).await?);
        Ok(Ok(values))
    }
}

async fn plan(transaction: &Transaction<'_>, options: &str, values: &[&str]) -> Result<Plan, tokio_postgres::Error> {
    let arguments = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let explain = format!("EXPLAIN ({options}, FORMAT JSON) EXECUTE {NAME}{arguments}");
    let rows = transaction.query_typed(&explain, &[]).await?;
    let json: Json = rows[0].try_get(0)?;
    Ok(Plan::read(json))
}

/// What the catalog says of each table of a plan, by its name as SQL.
async fn tables(client: &Client, plan: &Plan) -> Result<BTreeMap<String, Table>, tokio_postgres::Error> {
    let mut names = Vec::new();
    plan.root.visit(&mut |node| names.extend(node.table()));
    names.sort_unstable();
    names.dedup();
    let rows = client.query_typed(TABLES, &[(&names, Type::TEXT_ARRAY)]).await?;
    rows.iter()
        .map(|row| {
            let rows: i64 = row.try_get(1)?;
            Ok((row.try_get(0)?, Table { rows: u64::try_from(rows).ok() }))
        })
        .collect()
}

/// Words that stand before a parenthesis or not: what could name a function.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<_> = text
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
        .map(str::to_ascii_lowercase)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Statements with a plan that are explained.
const EXPLAINED: usize = 10;
/// Longest execution of a statement: one that takes longer costs visitors their page anyhow (8 s).
pub const STATEMENT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it may stand in others' way.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(1);
/// What a statement is prepared as.
const NAME: &str = "seawall_explain";

const COUNT: &str = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1";

/// Some column may be called like a function; then its statement is not executed, which harms nobody.
const VOLATILE: &str = "SELECT proname::text FROM pg_proc WHERE provolatile = 'v' AND prokind = 'f'
    AND proname = ANY($1) ORDER BY 1 LIMIT 1";

const TABLES: &str = "SELECT name, reltuples::int8 FROM unnest($1) AS name JOIN pg_class ON oid = to_regclass(name)
    WHERE relkind IN ('r', 'm')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_could_be_functions() {
        assert_eq!(words("SELECT pg_sleep($1), \"Odd\"(x_1) + 2e5"), ["odd", "pg_sleep", "select", "x_1"]);
    }
}
