use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, tools};
use serde_json::{Value, json};

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

/// Wherever the Worker panics, the visitor of that request gets 500, and nobody waits; work after an answer takes nothing from
/// it. The next event begins anew and finds all that is stored and all that was counted by others; who was waiting for the
/// origin then gets 500 too. The log has the stack.
///
/// A Durable Object that panics answers the next question, with what it had written down; visitors of other isolates meanwhile
/// get what their limits' rule for a lost authority says.
#[test]
fn a_panic_costs_the_requests_under_way_and_no_more() -> Result<()> {
    let (project, steps) = (Project::here(), Steps::new());
    tools::ensure_all(&project, &steps)?;
    let folder = build::trap_worker(&project, &steps)?;
    let mut node = Command::new(tools::node(&project)?);
    node.current_dir(project.root()).arg(project.path("tests/miniflare/trap.mjs")).arg(folder);
    let mut service = Service::start("workerd", node, Logs::Keep)?;
    assert_eq!(service.wait_for_line("RuntimeError: ", DONE_WITHIN)?.trim(), "unreachable");
    assert!(service.wait_for_line("wasm-function[", DONE_WITHIN)?.contains("]:0x"));
    let said: Value = serde_json::from_str(service.wait_for_line("trapped ", DONE_WITHIN)?.trim())?;
    let (hit, lost) = (json!([200, "page", "hit"]), json!([500, "", ""]));
    // Asked to panic at the next question, at that question, and at the one after it.
    let panics = json!([400, "panicked", 400]);
    let expect = json!({
        "warm": hit,
        "at-once": [lost, hit],
        "later": [lost, hit],
        "aside": [hit, hit],
        "before": [lost, [200, "page", "fwd=uri-miss"]],
        "after": [lost, hit, lost],
        "then": hit,
        // Of twenty at once five; fewer where the machine is so slow that some are given back meanwhile.
        "limited": said["limited"],
        "objects": {
            "LIMITER": panics,
            "PURGES": panics,
            "COLLAPSE": panics,
            "between": ["panicked", 400],
            "counts": true,
            "once": 200,
            "twice": 429,
            "local": 200,
            "then": 200,
            "crowd": true,
        },
    });
    assert_eq!(said, expect);
    assert!(said["limited"].as_u64().is_some_and(|limited| (1..=5).contains(&limited)), "{said}");
    Ok(())
}

/// A second on an idle machine.
const DONE_WITHIN: Duration = Duration::from_secs(120);
