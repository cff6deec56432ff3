//! A private PgBouncer for tests, in transaction mode before a server of this machine.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ports;
use crate::postgres::{UNPRIVILEGED, USER};
use crate::process::{self, Logs, Service};
use crate::project::Project;
use crate::scratch::{self, Scratch};
use crate::step::Steps;
use crate::tools::apt;

/// A running PgBouncer. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    // The server goes before its folder does.
    _server: Service,
    port: u16,
    _folder: Scratch,
}

/// How long it may take to start; it takes milliseconds, and more on a machine that is busy with a build.
const READY_WITHIN: Duration = Duration::from_secs(60);

impl PgBouncer {
    /// Starts one that lends `sessions` sessions of the Postgres on `postgres_port` for each database, and installs it
    /// first where it is missing and that is possible.
    ///
    /// # Errors
    /// When there is none and it cannot be installed, or it does not start.
    pub fn start(postgres_port: u16, sessions: u16) -> Result<Self> {
        let program = program()?;
        let folder = scratch::dir("pgbouncer")?;
        let port = ports::free()?;
        let settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={postgres_port} user={USER}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {sessions}\n\
             max_client_conn = 500\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings)?;
        let mut command = Command::new(program);
        command.arg(&file).current_dir("/");
        // Like Postgres it refuses to run as root.
        if rustix::process::geteuid().is_root() {
            for path in [folder.path(), &file] {
                std::os::unix::fs::chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED))
                    .with_context(|| format!("cannot give {} to PgBouncer's user", path.display()))?;
            }
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        let mut server = Service::start("pgbouncer", command, Logs::Keep)?;
        server.wait_for_line("process up", READY_WITHIN)?;
        Ok(Self { _server: server, port, _folder: folder })
    }

    /// The URL of a database, as `DATABASE_URL` takes it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }
}

/// The program: on PATH or where Debian puts it, or else from Debian's package if we may install it.
fn program() -> Result<PathBuf> {
    let find = || process::on_path("pgbouncer").or_else(|| Some(PathBuf::from(SBIN)).filter(|path| path.is_file()));
    if let Some(program) = find() {
        return Ok(program);
    }
    if !apt::can_install() {
        bail!("pgbouncer is missing: install it (Debian: apt install pgbouncer; macOS: brew install pgbouncer)");
    }
    apt::install(&Project::here(), &["pgbouncer"], &Steps::new())?;
    find().context("apt-get installed pgbouncer, but it is not there")
}

/// Where Debian's package has it; not on everyone's PATH.
const SBIN: &str = "/usr/sbin/pgbouncer";
