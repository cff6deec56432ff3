//! The edge as a component for Spin, and the program that runs it where there is no Spin.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::project::Project;
use crate::step::Steps;
use crate::tools;

use super::worker::{WORKER_PROFILE, gzip_bytes};

/// The target of components for Spin.
pub const SPIN_TARGET: &str = "wasm32-wasip2";

/// The built component.
#[derive(Clone, Debug)]
pub struct Component {
    /// The file that spin.toml names.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its bytes after `gzip -9`, which is about what a registry sends.
    pub gzip_bytes: u64,
}

impl Component {
    /// One line for people.
    #[must_use]
    pub fn sizes(&self) -> String {
        format!("component {} bytes, {} after gzip -9", self.bytes, self.gzip_bytes)
    }
}

/// Builds the component for Spin with the site's policy in it.
///
/// # Errors
/// When it does not compile, or the npm packages are not installed.
pub fn spin_component(project: &Project, steps: &Steps) -> Result<Component> {
    build(project, project.path("edge/spin/build/seawall.wasm"), Kind::Site, steps)
}

/// The same with another policy, in a place of its own. Only the last crate is compiled anew for it.
///
/// # Errors
/// When the policy cannot be read or compiled, or the component not built.
pub fn spin_component_with(project: &Project, policy: &Path, steps: &Steps) -> Result<Component> {
    let policy = policy.canonicalize().with_context(|| format!("cannot read the policy {}", policy.display()))?;
    let name = policy.file_stem().and_then(OsStr::to_str).context("the policy's file name is not UTF-8")?;
    let file = project.state(&format!("components/{name}.wasm"));
    build(project, file, Kind::Policy(&policy), steps)
}

/// The same with a path that runs the contracts of the stores and of bodies, for one test. It is never deployed.
///
/// # Errors
/// When it cannot be compiled.
pub fn contract_component(project: &Project, steps: &Steps) -> Result<Component> {
    build(project, project.state("components/contract.wasm"), Kind::Contract, steps)
}

/// What differs between components.
enum Kind<'a> {
    /// The site's policy.
    Site,
    /// Another one.
    Policy(&'a Path),
    /// Both contracts beside the site.
    Contract,
}

fn build(project: &Project, file: PathBuf, kind: Kind<'_>, steps: &Steps) -> Result<Component> {
    let lock = project.wait_for_lock("component")?;
    steps.run("build the edge as a component for Spin", |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--lib", "--package", "seawall-spin"]);
        cargo.args(["--target", SPIN_TARGET, "--profile", WORKER_PROFILE]);
        match kind {
            Kind::Site => &mut cargo,
            Kind::Policy(policy) => cargo.env("SEAWALL_POLICY", policy),
            Kind::Contract => cargo.args(["--features", "contract"]),
        };
        process::run("cargo build", cargo, step)
    })?;
    let built = project.target().join(SPIN_TARGET).join(WORKER_PROFILE).join("seawall_spin.wasm");
    let place = || {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        // A host may be reading the old one.
        let new = file.with_extension("new");
        fs::copy(&built, &new)?;
        fs::rename(&new, &file)
    };
    place().with_context(|| format!("cannot put the component at {}", file.display()))?;
    drop(lock);
    let bytes = fs::metadata(&file)?.len();
    let gzip_bytes = gzip_bytes(project, &[&file])?;
    Ok(Component { file, bytes, gzip_bytes })
}

/// Builds the program that runs the component where there is no Spin, and returns it.
///
/// # Errors
/// When it does not compile.
pub fn spin_host(project: &Project, steps: &Steps) -> Result<PathBuf> {
    steps.run("build the host for the component (a first time takes minutes)", |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--package", "seawall-spin-host"]);
        process::run("cargo build", cargo, step)
    })?;
    Ok(project.target().join("debug/spin-host"))
}
