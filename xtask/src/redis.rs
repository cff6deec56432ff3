//! A private Redis: on a Unix socket in a temporary folder and on a port of this machine, with nothing written to disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::ports;
use crate::process::{self, Logs, Service};
use crate::project::Project;
use crate::scratch::{self, Scratch};
use crate::step::Steps;
use crate::tools::apt;

/// A running Redis. Dropping it stops it.
#[derive(Debug)]
pub struct Redis {
    // The server goes before its folder does.
    server: Service,
    socket: PathBuf,
    port: u16,
    tls: Option<Tls>,
    folder: Scratch,
}

/// A port for TLS, and what is shown there.
#[derive(Debug)]
struct Tls {
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

/// How long a Redis may take to start; it takes milliseconds, and more on a machine that is busy with a build.
const READY_WITHIN: Duration = Duration::from_secs(60);

impl Redis {
    /// Starts one, and installs it first where it is missing and that is possible.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, or it does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// The same with a port for TLS, where it shows the certificate; both files are PEM.
    ///
    /// # Errors
    /// As [`Redis::start`], and when its program knows no TLS.
    pub fn start_tls(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        Self::start_with(Some(Tls { port: ports::free()?, certificate, key }))
    }

    fn start_with(tls: Option<Tls>) -> Result<Self> {
        let folder = scratch::dir("redis")?;
        let socket = folder.path().join("redis.sock");
        let port = ports::free()?;
        let server = serve(&folder, &socket, port, tls.as_ref())?;
        Ok(Self { server, socket, port, tls, folder })
    }

    /// Kills it without warning; what it held is gone.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts another one in its place, empty.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.server.kill();
        // A killed server leaves its socket behind, and the next one refuses to take it over while it is there.
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.server = serve(&self.folder, &self.socket, self.port, self.tls.as_ref())?;
        Ok(())
    }

    /// Lets it hang: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it is gone.
    pub fn freeze(&self) -> Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&self) -> Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Its address, for those who cannot use a Unix socket.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port for TLS, if it has one.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls.as_ref().map(|tls| tls.port)
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

fn serve(folder: &Scratch, socket: &Path, port: u16, tls: Option<&Tls>) -> Result<Service> {
    let mut command = Command::new(program()?);
    command.current_dir(folder.path()).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.arg("--unixsocket").arg(socket);
    command.args(["--save", "", "--appendonly", "no"]);
    if let Some(Tls { port, certificate, key }) = tls {
        command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
    }
    let mut server = Service::start("redis-server", command, Logs::Keep)?;
    server.wait_for_line("eady to accept connections", READY_WITHIN)?;
    Ok(server)
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
