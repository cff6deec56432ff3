//! A private Redis for tests: on a Unix socket in a temporary folder, with nothing written to disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Logs, Service};
use crate::project::Project;
use crate::scratch::{self, Scratch};
use crate::step::Steps;
use crate::tools::apt;

/// A running Redis. Dropping it stops it.
#[derive(Debug)]
pub struct Redis {
    // The server goes before its folder does.
    _server: Service,
    socket: PathBuf,
    _folder: Scratch,
}

/// How long a Redis may take to start; it takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(10);

impl Redis {
    /// Starts one, and installs it first where it is missing and that is possible.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, or it does not start.
    pub fn start() -> Result<Self> {
        let folder = scratch::dir("redis")?;
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new(program()?);
        command.current_dir(folder.path()).args(["--port", "0", "--unixsocket"]).arg(&socket);
        command.args(["--save", "", "--appendonly", "no"]);
        let mut server = Service::start("redis-server", command, Logs::Keep)?;
        server.wait_for_line("eady to accept connections", READY_WITHIN)?;
        Ok(Self { _server: server, socket, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// The server's program: on PATH, or else from Debian's package if we may install it.
fn program() -> Result<PathBuf> {
    if let Some(program) = process::on_path("redis-server") {
        return Ok(program);
    }
    if !apt::can_install() {
        bail!("redis-server is missing: install it (Debian: apt install redis-server; macOS: brew install redis)");
    }
    apt::install(&Project::here(), &["redis-server"], &Steps::new())?;
    process::on_path("redis-server").context("apt-get installed redis-server, but it is not on PATH")
}
