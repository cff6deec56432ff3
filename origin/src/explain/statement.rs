//! What `pg_stat_statements` knows of the statements that cost most.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::ExplainError;

/// A statement, and what all its calls cost since the figures were last reset.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) id: i64,
    /// With `$1` and so on for its parameters and its constants; nothing where this role may not see it.
    pub(super) sql: Option<String>,
    pub(super) calls: u64,
    pub(super) total_us: u64,
    pub(super) rows: u64,
    /// Blocks of 8 KiB that were found in the server's memory.
    pub(super) blocks_hit: u64,
    /// Blocks that were not.
    pub(super) blocks_read: u64,
    /// Blocks written to files because memory was too small for a sort or a hash.
    pub(super) temp_blocks: u64,
}

/// What can be done with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has a plan and may be executed, if the plan only reads.
    Reads,
    /// It has a plan.
    Writes,
    /// It has no plan: `COPY`, `CREATE INDEX`, `BEGIN`.
    HasNoPlan,
}

impl Statement {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let count = |column| row.try_get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
        Ok(Self {
            id: row.try_get(0)?,
            sql: row.try_get::<_, Option<String>>(1)?.filter(|sql| sql != HIDDEN),
            calls: count(2)?,
            total_us: count(3)?,
            rows: count(4)?,
            blocks_hit: count(5)?,
            blocks_read: count(6)?,
            temp_blocks: count(7)?,
        })
    }

    /// Judged by its first word; whether it really only reads, its plan says.
    pub(super) fn kind(&self) -> Kind {
        let Some(sql) = &self.sql else { return Kind::HasNoPlan };
        match first_word(sql).to_ascii_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" | "TABLE" => Kind::Reads,
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => Kind::Writes,
            _ => Kind::HasNoPlan,
        }
    }

    /// The statement on one line of at most so many letters.
    pub(super) fn line(&self, letters_max: usize) -> String {
        let Some(sql) = &self.sql else { return "(this role may not see it; grant it pg_read_all_stats)".to_owned() };
        let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= letters_max {
            return line;
        }
        line.chars().take(letters_max).chain("...".chars()).collect()
    }
}

/// The first word after comments and opening parentheses.
fn first_word(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|parts| parts.1)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|parts| parts.1)
        } else {
            rest.strip_prefix('(')
        };
        match after {
            Some(after) => rest = after.trim_start(),
            None => return rest.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default(),
        }
    }
}

/// The dearest first, those of this database.
pub(super) async fn dearest(client: &Client) -> Result<Vec<Statement>, ExplainError> {
    let rows = client.query_typed(EXTENSION, &[]).await?;
    let schema: String = rows.first().ok_or(ExplainError::NoExtension)?.try_get(0)?;
    let sql = DEAREST.replace("{schema}", &schema);
    match client.query_typed(&sql, &[(&STATEMENTS_READ_MAX, Type::INT8)]).await {
        Ok(rows) => Ok(rows.iter().map(Statement::read).collect::<Result<_, _>>()?),
        Err(error) if error.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
            Err(ExplainError::NotPreloaded)
        }
        Err(error) => Err(error.into()),
    }
}

/// Statements that are read: enough that ten among them have a plan.
const STATEMENTS_READ_MAX: i64 = 100;

/// What the view says instead of another role's statement.
const HIDDEN: &str = "<insufficient privilege>";

const EXTENSION: &str = "SELECT quote_ident(nspname) FROM pg_extension
    JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_stat_statements'";

const DEAREST: &str = "
    SELECT coalesce(queryid, 0), min(query), sum(calls)::int8, round(sum(total_exec_time) * 1000)::int8,
           sum(rows)::int8, sum(shared_blks_hit)::int8, sum(shared_blks_read)::int8, sum(temp_blks_written)::int8
      FROM {schema}.pg_stat_statements
     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND toplevel
     GROUP BY queryid ORDER BY 4 DESC, 1 LIMIT $1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_says_what_it_is() {
        for (sql, expect) in [
            ("SELECT 1", Kind::Reads),
            ("  (( select 1) UNION SELECT 2)", Kind::Reads),
            ("-- why\nWITH a AS (SELECT 1) SELECT * FROM a", Kind::Reads),
            ("/* why */ table permits", Kind::Reads),
            ("UPDATE permits SET status = $1", Kind::Writes),
            ("COPY permits FROM STDIN", Kind::HasNoPlan),
            ("EXPLAIN SELECT 1", Kind::HasNoPlan),
            ("SELECTED", Kind::HasNoPlan),
            ("-- nothing", Kind::HasNoPlan),
            ("", Kind::HasNoPlan),
        ] {
            let statement = Statement {
                id: 1,
                sql: Some(sql.to_owned()),
                calls: 0,
                total_us: 0,
                rows: 0,
                blocks_hit: 0,
                blocks_read: 0,
                temp_blocks: 0,
            };
            assert_eq!(statement.kind(), expect, "{sql}");
        }
    }
}
