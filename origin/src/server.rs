//! The HTTP server.

use crate::config::Config;
use crate::db::Pool;

/// Serves until the process is told to stop.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(config: Config, pool: Pool) -> anyhow::Result<()> {
    let _ = (config, pool);
    anyhow::bail!("the server is not built yet")
}
