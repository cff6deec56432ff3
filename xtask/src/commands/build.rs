//! `cargo xtask build`: what is deployed, with its sizes.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, screen, tools};
use serde_json::{Value, json};

use super::up::Edge;

/// Build origin and edge as they are deployed, and say how big they are.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What the edge is to run on. For Spin only the component is built.
    #[arg(long, value_enum, default_value_t = Edge::Workers)]
    edge: Edge,
    /// Write the sizes to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    if arguments.edge == Edge::Spin {
        return build_component(project, arguments, &steps);
    }
    tools::ensure_all(project, &steps)?;
    let worker = build::worker(project, &steps)?;
    let origin = build::origin(project, build::Profile::Release, &steps)?;
    let origin_bytes = fs::metadata(&origin)?.len();
    screen::line("");
    screen::line(&format!("edge    {}  {}", worker.dir.display(), worker.sizes()));
    screen::line(&format!("origin  {}  {origin_bytes} bytes", origin.display()));
    write(
        arguments,
        &json!({
            "worker_wasm_bytes": worker.wasm_bytes,
            "worker_js_bytes": worker.js_bytes,
            "worker_gzip_bytes": worker.gzip_bytes,
            "origin_bytes": origin_bytes,
        }),
    )
}

fn build_component(project: &Project, arguments: &Arguments, steps: &Steps) -> Result<()> {
    tools::ensure_packages(project, steps)?;
    tools::ensure_targets(project, steps)?;
    let component = build::spin_component(project, steps)?;
    screen::line("");
    screen::line(&format!("edge    {}  {}", component.file.display(), component.sizes()));
    let sizes = json!({ "component_bytes": component.bytes, "component_gzip_bytes": component.gzip_bytes });
    write(arguments, &sizes)
}

fn write(arguments: &Arguments, sizes: &Value) -> Result<()> {
    let Some(path) = &arguments.json else { return Ok(()) };
    fs::write(path, format!("{sizes:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
