//! `cargo xtask bench core`: what core's decisions cost, beside other crates in the same run, and as WASM.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use seawall_xtask::build::{self, WORKER_TARGET};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{process, screen, tools};
use serde_json::{Value, json};

/// Measures all of it, prints it, and writes it to `json`, where one is given.
pub(crate) fn run(project: &Project, json: Option<&Path>) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_packages(project, &steps)?;
    tools::ensure_targets(project, &steps)?;
    let files = project.state_dir("bench-core")?;
    let mut figures = serde_json::Map::new();
    for program in ["time", "allocations"] {
        let file = files.join(format!("{program}.json"));
        let mut cargo = tools::cargo(project);
        cargo.args(["run", "--release", "--package", "seawall-benches", "--bin", program, "--", "--json"]).arg(&file);
        steps.run(&format!("measure {program}"), |_| process::run_aloud(program, cargo))?;
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        figures.extend(serde_json::from_slice::<serde_json::Map<String, Value>>(&text)?);
    }

    let alone = wasm(project, &files, &[], &steps)?;
    let with_policy = wasm(project, &files, &["--features", "policy"], &steps)?;
    let size = |wasm: &Value| format!("{} bytes, {} with gzip -9", wasm["bytes"], wasm["gzip"]);
    screen::line("");
    screen::line(&format!("core as WASM: {}", size(&alone)));
    screen::line(&format!("and what reads a compiled policy: {}", size(&with_policy)));
    for (operation, ns) in alone["ns"].as_object().into_iter().flatten() {
        screen::line(&format!("{operation:<40} {:>9.1} ns", ns.as_f64().unwrap_or_default()));
    }
    figures.insert("wasm".to_owned(), json!({ "alone": alone, "with_policy": with_policy }));
    if let Some(path) = json {
        let text = format!("{:#}\n", json!(figures));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Builds the module, runs its loops in the Node that Workers are built with, and says what was measured.
fn wasm(project: &Project, files: &Path, features: &[&str], steps: &Steps) -> Result<Value> {
    let target = project.state_dir("bench-core-wasm")?;
    let mut cargo = tools::cargo(project);
    cargo
        .args(["build", "--profile", "edge", "--package", "seawall-benches-wasm", "--target", WORKER_TARGET])
        .args(features)
        .env("CARGO_TARGET_DIR", &target);
    steps.run("build core as WASM", |step| process::run("cargo build", cargo, step))?;
    let built = target.join(WORKER_TARGET).join("edge/seawall_benches_wasm.wasm");
    let module = files.join("core.wasm");
    steps.run("optimise it", |step| build::optimise(project, &built, &module, step))?;
    let mut node = Command::new(tools::node(project)?);
    node.arg(project.path("benches/core-wasm/run.mjs")).arg(&module);
    let answer =
        steps.run("run it in Node", |_| process::answer(&mut node).context("core as WASM did not run in Node"))?;
    serde_json::from_str(&answer).with_context(|| format!("core as WASM answered {answer:?}"))
}
