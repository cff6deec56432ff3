//! The proof that core needs no host: a WASM module of all its code links without std and imports nothing.

use std::process::Command;

use anyhow::{Result, bail};
use seawall_xtask::build::WORKER_TARGET;
use seawall_xtask::process;
use seawall_xtask::project::Project;
use seawall_xtask::step::Step;
use seawall_xtask::tools;

/// Prints how many functions of core the module exports, so that an empty one proves nothing, and what it imports.
const LIST_IMPORTS: &str = "const module = new WebAssembly.Module(require('node:fs').readFileSync(process.argv[1])); \
     const names = WebAssembly.Module.imports(module).map(({module, name}) => `${module}.${name}`); \
     const functions = WebAssembly.Module.exports(module).filter(({name}) => name.includes('seawall_core')); \
     process.stdout.write(`${functions.length}:${names.join(' ')}`);";

/// Fewer exported functions than this cannot be all of core.
const FUNCTIONS_MIN: usize = 20;

/// Builds the module and looks at its imports.
pub(super) fn prove(project: &Project, step: &Step) -> Result<()> {
    // A folder of its own: in the workspace's, core is built with the features that others ask for.
    let target = project.state_dir("no-std")?;
    let mut cargo = tools::cargo(project);
    cargo
        .args(["build", "--package", "seawall-core", "--lib", "--release", "--target", WORKER_TARGET])
        .env("CARGO_TARGET_DIR", &target);
    process::run("cargo build", cargo, step)?;

    let built = target.join(WORKER_TARGET).join("release");
    let library = built.join("libseawall_core.rlib");
    let module = target.join("probe.wasm");
    let mut rustc = Command::new("rustc");
    rustc
        .current_dir(project.root())
        .args(["--edition=2024", "--crate-name=probe", "--crate-type=cdylib", "-Cpanic=abort", "-Copt-level=1"])
        .args(["--target", WORKER_TARGET])
        .arg(format!("--extern=seawall_core={}", library.display()))
        .arg(format!("-Ldependency={}", built.join("deps").display()))
        // All of core is linked, called or not, and all of it stays.
        .args(["-Clink-arg=--whole-archive", &format!("-Clink-arg={}", library.display())])
        .args([
            "-Clink-arg=--no-whole-archive",
            "-Clink-arg=--allow-multiple-definition",
            "-Clink-arg=--no-gc-sections",
            "-Clink-arg=--export-all",
        ])
        .arg("-o")
        .arg(&module)
        .arg(project.path("tests/no-std/probe.rs"));
    process::run("rustc", rustc, step)?;

    let mut node = Command::new(tools::node(project)?);
    node.args(["-e", LIST_IMPORTS]).arg(&module);
    let answer = process::answer(&mut node).unwrap_or_default();
    let (functions, imports) = answer.split_once(':').unwrap_or_default();
    if functions.parse().unwrap_or(0) < FUNCTIONS_MIN {
        bail!("{} does not hold core: it exports {functions} functions", module.display());
    }
    if !imports.is_empty() {
        bail!("core's WASM imports {imports}; something in it asks a host");
    }
    step.note(&format!("{functions} functions"));
    Ok(())
}
