//! Builds of what runs: the origin as a native program, the edge as a Worker and as a component for Spin.

mod spin;
mod worker;

use std::path::PathBuf;

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::step::Steps;
use crate::tools;

pub use self::spin::{Component, SPIN_TARGET, contract_component, spin_component, spin_component_with, spin_host};
pub use self::worker::{
    WORKER_GZIP_BYTES_MAX, WORKER_TARGET, Worker, contract_worker, optimise, trap_worker, worker, worker_crate,
    worker_with,
};

/// How the origin is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to make, quick enough to serve.
    Dev,
    /// As it is deployed.
    Release,
}

/// Builds the origin and returns its program.
///
/// # Errors
/// When it does not compile.
pub fn origin(project: &Project, profile: Profile, steps: &Steps) -> Result<PathBuf> {
    let (name, folder, flag) = match profile {
        Profile::Dev => ("build the origin", "debug", None),
        Profile::Release => ("build the origin for release", "release", Some("--release")),
    };
    steps.run(name, |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--package", "seawall-origin", "--bin", "origin"]).args(flag);
        process::run("cargo build", cargo, step)
    })?;
    Ok(project.target().join(folder).join("origin"))
}
