//! `cargo xtask clean`: back to a fresh checkout.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use seawall_xtask::project::Project;
use seawall_xtask::{postgres, process, screen, tools};

use super::up;

/// Remove what `up` and the builds left behind.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only the database and the edge's local storage; installed tools and builds stay.
    #[arg(long)]
    data: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let Some(_lock) = project.try_lock(up::LOCK)? else {
        bail!("`cargo xtask up` runs in this checkout; stop it with Ctrl-C first");
    };
    postgres::remove_data(project)?;
    remove(&project.state("stamps/data"))?;
    remove(&project.state("wrangler"))?;
    if arguments.data {
        screen::line("Removed the database; the next `cargo xtask up` loads it again.");
        return Ok(());
    }
    remove(&project.state(""))?;
    remove(&project.worker_build())?;
    remove(&project.npm(""))?;
    process::run_aloud("cargo clean", {
        let mut cargo = tools::cargo(project);
        cargo.arg("clean");
        cargo
    })?;
    screen::line("Removed the database, installed tools, npm packages and builds.");
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
