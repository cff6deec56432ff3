//! `cargo xtask doctor`: what is here, what is missing, and how to get it.

use std::process::Command;

use anyhow::{Result, bail};
use seawall_xtask::postgres::Binaries;
use seawall_xtask::project::Project;
use seawall_xtask::tools::{self, CrateTool};
use seawall_xtask::{process, screen};

const GREEN: u8 = 32;
const RED: u8 = 31;
const GREY: u8 = 90;

pub(crate) fn run(project: &Project) -> Result<()> {
    let here = |what: &str, found: &str| screen::line(&format!("  {} {what:<26} {found}", screen::paint(GREEN, "ok")));
    let later = |what: &str| {
        screen::line(&format!(
            "  {} {what:<26} `cargo xtask` installs it when it is needed",
            screen::paint(GREY, "--")
        ));
    };
    let found = |what: &str, found: Option<String>| match found {
        Some(found) => here(what, &found),
        None => later(what),
    };
    let said = |program: &str| {
        let text = process::answer(Command::new(program).arg("--version").current_dir(project.root()))?;
        text.lines().next().map(str::to_owned)
    };
    for program in ["rustc", "cargo", "rustup", "cc", "git"] {
        if let Some(version) = said(program) {
            here(program, &version);
        }
    }
    let missing = tools::missing_targets(project);
    found("Rust targets", missing.is_empty().then(|| "all of rust-toolchain.toml".to_owned()));
    let tool = CrateTool::WASM_BINDGEN;
    match tool.version(project) {
        Ok(version) => {
            let path = tool.path(project).map(|path| path.display().to_string());
            found(&format!("{} {version}", tool.package()), path);
        }
        Err(_) => later(tool.package()),
    }
    if let Some((major, minor)) = tools::system_node_version() {
        here("Node for npm", &format!("{major}.{minor}"));
    }
    if let Some(version) = tools::npm_version() {
        here("npm", &version);
    }
    found("npm packages", tools::packages_are_current(project).then(|| "as in package-lock.json".to_owned()));
    found("Node for wrangler", tools::node(project).ok().and_then(|node| said(&node.to_string_lossy())));
    found("Postgres", Binaries::find(project).ok().and_then(|binaries| binaries.version()));
    found("browser for tests", tools::installed_browser().map(|path| path.display().to_string()));
    for program in ["redis-server", "pgbouncer"] {
        found(&format!("{program} for tests"), said(program));
    }
    if let Some(free) = tools::free_bytes(project) {
        here("free disk", &format!("{} GB", free >> 30));
    }
    let missing = [tools::missing_prerequisites(project), tools::missing_for_tests()].concat();
    for item in &missing {
        screen::line(&format!("  {} {}: {}", screen::paint(RED, "!!"), item.what, item.way_out));
    }
    if !missing.is_empty() {
        bail!("{} thing(s) are missing that `cargo xtask` cannot install", missing.len());
    }
    screen::line("Nothing is missing that `cargo xtask up` cannot install.");
    Ok(())
}
