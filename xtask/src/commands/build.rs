//! `cargo xtask build`: what is deployed, with its sizes.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, screen, tools};
use serde_json::json;

/// Build origin and edge as they are deployed, and say how big they are.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Write the sizes to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    let worker = build::worker(project, &steps)?;
    let origin = build::origin(project, build::Profile::Release, &steps)?;
    let origin_bytes = fs::metadata(&origin)?.len();
    screen::line("");
    screen::line(&format!("edge    {}  {}", worker.dir.display(), worker.sizes()));
    screen::line(&format!("origin  {}  {origin_bytes} bytes", origin.display()));
    if let Some(path) = &arguments.json {
        let sizes = json!({
            "worker_wasm_bytes": worker.wasm_bytes,
            "worker_wasm_gzip_bytes": worker.wasm_gzip_bytes,
            "worker_js_bytes": worker.js_bytes,
            "origin_bytes": origin_bytes,
        });
        fs::write(path, format!("{sizes:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
