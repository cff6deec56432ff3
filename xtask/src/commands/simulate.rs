//! `cargo xtask simulate`: what limits that many isolates share admit and cost, by simulation.

use anyhow::Result;
use clap::Args;
use seawall_xtask::project::Project;
use seawall_xtask::{process, tools};

/// Simulate limits that many isolates share: what each mode admits, and how often it asks.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Arguments of the simulator; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<String>,
}

/// Builds the simulator and runs it. It is a package of its own, so that other commands need not wait for it.
pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let mut cargo = tools::cargo(project);
    // Files are named as seen from where the command was given.
    cargo.current_dir(std::env::current_dir()?);
    cargo.arg("run").arg("--manifest-path").arg(project.root().join("Cargo.toml"));
    cargo.args(["--release", "--quiet", "--package", "seawall-tests", "--bin", "simulate", "--"]);
    cargo.args(&arguments.rest);
    process::run_aloud("simulate", cargo)
}
