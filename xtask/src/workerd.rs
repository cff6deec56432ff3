//! One Worker in workerd, by itself: no wrangler, and no origin of ours behind it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::build;
use crate::process::{Logs, Service};
use crate::project::Project;
use crate::stack::Listening;
use crate::tools;

/// How long workerd may take to load a Worker; half a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A Worker to serve.
#[derive(Clone, Debug)]
pub struct Script {
    /// The entry module.
    pub entry: PathBuf,
    /// The modules that it loads.
    pub modules: Vec<PathBuf>,
    /// Whether it has the Durable Object of the shared limits.
    pub limiter: bool,
}

/// How clients reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Through a Worker of Miniflare's own that stands for Cloudflare's front: it names the client's address, and reads
    /// paths as a URL parser does.
    Miniflare,
    /// Directly: requests are as they came, and nobody says who the client is.
    None,
}

impl Script {
    /// The edge.
    #[must_use]
    pub fn edge(worker: &build::Worker) -> Self {
        Self { entry: worker.script(), modules: vec![worker.wasm()], limiter: true }
    }

    /// One JavaScript file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { entry: path.to_path_buf(), modules: Vec::new(), limiter: false }
    }
}

/// Serves a Worker on `port` of 127.0.0.1 (0 chooses one) whose variable `ORIGIN` is `origin_url`. What it stores is
/// gone when it stops.
///
/// # Errors
/// When it does not come up.
pub fn serve(
    project: &Project,
    script: &Script,
    origin_url: &str,
    port: u16,
    front: Front,
    logs: Logs,
) -> Result<Listening> {
    let options = json!({
        "script": script.entry,
        "modules": script.modules,
        "port": port,
        "origin": origin_url,
        "limiter": script.limiter,
        "direct": front == Front::None,
    });
    let mut command = std::process::Command::new(tools::node(project)?);
    command.current_dir(project.root()).arg(project.path("xtask/workerd/serve.mjs")).arg(options.to_string());
    let mut service = Service::start("workerd", command, logs)?;
    let port = service.wait_for_line("worker listening on ", READY_WITHIN)?;
    let port = port.trim().parse().with_context(|| format!("workerd announced {port:?}, which is no port"))?;
    Ok(Listening { service, port })
}
