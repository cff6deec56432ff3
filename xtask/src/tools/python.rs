//! Programs from PyPI, in an environment of this checkout.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::project::{Project, fingerprint};
use crate::step::Step;

const STAMP: &str = "python";
/// What is installed, in which version.
const REQUIREMENTS: &str = "xtask/audit/requirements.txt";

/// A program of [`REQUIREMENTS`], installed first if need be; `None` where there is no Python with venv and pip, or no
/// way to PyPI.
///
/// # Errors
/// When the stamp cannot be written.
pub fn program(project: &Project, name: &str, step: &Step) -> Result<Option<PathBuf>> {
    let environment = project.state("tools/python");
    let wanted = fingerprint(&[&project.path(REQUIREMENTS)]);
    if !project.is_stamped(STAMP, &wanted) {
        let _lock = project.wait_for_lock("setup-python")?;
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&environment);
        let mut pip = Command::new(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        pip.arg(project.path(REQUIREMENTS));
        let installed =
            process::run("python3 -m venv", venv, step).and_then(|()| process::run("pip install", pip, step));
        if installed.is_err() {
            return Ok(None);
        }
        project.stamp(STAMP, &wanted).context("what was installed cannot be recorded")?;
    }
    let program = environment.join("bin").join(name);
    Ok(program.is_file().then_some(program))
}
