//! Packages of Debian and Ubuntu, where we may install them.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::project::Project;
use crate::step::Steps;

/// Whether we may install packages: as root, where there is apt. Everyone else is told what to install.
#[must_use]
pub fn can_install() -> bool {
    cfg!(target_os = "linux") && rustix::process::geteuid().is_root() && process::on_path("apt-get").is_some()
}

/// Installs `packages`, one caller at a time, since apt refuses a second one; says so in a step of its own.
///
/// # Errors
/// When apt fails, as it does without a network.
pub fn install(project: &Project, packages: &[&str], steps: &Steps) -> Result<()> {
    let named = packages.join(" ");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // In run level 1 a package starts no server of its own.
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1")
            .current_dir(project.root());
        command
    };
    let _alone = project.wait_for_lock("apt")?;
    steps.run(&format!("apt-get install {named}"), |step| {
        process::run("apt-get update", apt(&["update"]), step)?;
        let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
        install.args(packages);
        process::run("apt-get install", install, step).with_context(|| format!("cannot install {named}"))
    })
}
