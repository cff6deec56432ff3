//! `cargo xtask edge`: the edge alone, in front of any origin.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::workerd::{self, Front, Script};
use seawall_xtask::{build, interrupt, ports, screen, tools};

/// The policy that obeys whatever an origin says.
pub(crate) const PASS_THROUGH: &str = "policies/pass-through.toml";

/// How often the running edge is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Start the edge alone, in front of any origin, until Ctrl-C.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The origin's address, such as <http://127.0.0.1:8080>.
    #[arg(long, value_name = "URL")]
    origin: String,
    /// Port of the edge.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The traffic policy [default: policies/pass-through.toml, which obeys the origin's fields and limits nobody].
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.origin.starts_with("http://") || arguments.origin.starts_with("https://"),
        "--origin {:?} is no address: it starts with http:// or https://",
        arguments.origin
    );
    ports::require_free(arguments.port, "--port")?;
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    let policy = arguments.policy.clone().unwrap_or_else(|| project.path(PASS_THROUGH));
    let worker = build::worker_with(project, &policy, &steps)?;
    let mut edge = steps.run("start the edge on workerd", |step| {
        let script = Script::edge(&worker);
        let logs = Logs::Print(String::new());
        let edge = workerd::serve(project, &script, &arguments.origin, arguments.port, Front::Miniflare, logs)?;
        step.note(&edge.url());
        Ok(edge)
    })?;
    screen::line(&format!("The edge is up at {} before {}. Ctrl-C stops it.", edge.url(), arguments.origin));
    while !interrupt::requested() {
        if let Some(status) = edge.service.ended().context("cannot watch workerd")? {
            bail!("workerd ended ({status}). It said:\n{}", edge.service.last_lines());
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
