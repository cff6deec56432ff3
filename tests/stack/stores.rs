use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, tools};

#[test]
fn the_cache_api_and_workers_kv_keep_the_contract_of_the_stores() -> Result<()> {
    let (project, steps) = (Project::here(), Steps::new());
    tools::ensure_all(&project, &steps)?;
    let folder = build::contract_worker(&project, &steps)?;
    let mut node = Command::new(tools::node(&project)?);
    node.current_dir(project.root()).arg(project.path("tests/miniflare/contract.mjs")).arg(folder);
    let mut service = Service::start("workerd", node, Logs::Keep)?;
    assert_eq!(service.wait_for_line("contract ", DONE_WITHIN)?.trim(), "200");
    Ok(())
}

/// A second on an idle machine.
const DONE_WITHIN: Duration = Duration::from_secs(120);
