//! Postgres without an installation: a private cluster for `cargo xtask up`, and throw-away ones for tests.
//!
//! Postgres refuses to run as root. For root everything below runs as [`UNPRIVILEGED`], which then needs to reach the
//! binaries and the data: `home` decides where they lie.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};

use crate::ports;
use crate::process::{self, Logs, Service};
use crate::project::Project;
use crate::scratch::{self, Scratch};
use crate::step::Steps;
use crate::tools::python;

pub mod binaries;
mod extension;
mod home;
mod wire;

pub use binaries::Binaries;
pub use wire::Row;

/// The user and group that Postgres runs as when we are root: nobody, on every Linux.
pub const UNPRIVILEGED: u32 = 65534;
/// The superuser of every cluster. It has no password: a cluster listens on 127.0.0.1 only and holds public data.
pub const USER: &str = "postgres";

/// How long a server may take to accept its first connection; recovery after a crash counts.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// What it writes when it does.
const IS_READY: &str = "database system is ready to accept connections";
/// How often a waiting loop looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for rows: a few come from tables of millions.
const ROWS_WITHIN: Duration = Duration::from_secs(300);
/// A free port can be taken by someone else before Postgres binds it. Three in a row cannot be chance.
const PORTS_TRIED: u32 = 3;

/// Settings of a temporary server. What is written survives the server, though not the machine.
const TEMPORARY: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// Counts what statements cost. Not every installed Postgres brings it.
const STATISTICS: &str = "pg_stat_statements";

/// A running server. Dropping it stops the server, and removes the data of a temporary one.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the server ends before its folder goes.
    server: Service,
    _folder: Option<Scratch>,
    port: u16,
    settings: Vec<String>,
}

impl Cluster {
    /// A fresh cluster in a temporary folder on a free port, without durability.
    ///
    /// Takes about half a second, nearly all of it for `initdb`; tests share one and make databases in it.
    ///
    /// # Errors
    /// When no Postgres is found (`cargo xtask doctor` says what to install) or it does not start.
    pub fn start_temp() -> Result<Self> {
        Self::start_in(scratch::dir_in(&home::temporary(), "postgres")?, Vec::new())
    }

    /// The same with pgvector ready to be created; `CREATE EXTENSION vector` does it.
    ///
    /// # Errors
    /// As [`Cluster::start_temp`], when the extension cannot be installed from PyPI, or the server is older than 18 and
    /// looks for extensions in its own folders only.
    pub fn start_temp_with_vector(steps: &Steps) -> Result<Self> {
        let project = Project::here();
        let folder = scratch::dir_in(&home::temporary(), "postgres")?;
        let settings = extension::copy(&python::postgres_package(&project, steps)?, "vector", folder.path())?;
        Self::start_in(folder, settings)
    }

    fn start_in(folder: Scratch, further: Vec<String>) -> Result<Self> {
        let binaries = Binaries::find(&Project::here())?;
        let data = folder.path().join("data");
        own_by_server(folder.path())?;
        init(&binaries, &data)?;
        let settings: Vec<_> = TEMPORARY.iter().map(|setting| (*setting).to_owned()).chain(further).collect();
        let (server, port) = start(&binaries, &data, &settings, Logs::Keep)?;
        Ok(Self { server, _folder: Some(folder), port, settings })
    }

    /// The checkout's own cluster, created on first use, its log printed as `logs` says. The caller holds the lock that
    /// keeps a second process out.
    ///
    /// # Errors
    /// When no Postgres is found, or it does not start.
    pub fn open(project: &Project, logs: Logs) -> Result<Self> {
        let binaries = Binaries::find(project)?;
        let data = home::persistent(project)?.join("data");
        if data.join("PG_VERSION").is_file() {
            require_same_version(&binaries, &data)?;
            end_left_over(&data)?;
        } else {
            init(&binaries, &data)?;
        }
        // A crash of the machine may lose the last moments of sample data, and nothing else.
        let settings = vec!["synchronous_commit=off".to_owned()];
        let (server, port) = start(&binaries, &data, &settings, logs)?;
        Ok(Self { server, _folder: None, port, settings })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database, as `DATABASE_URL` takes it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty database, unless it exists, and returns its URL.
    ///
    /// # Errors
    /// When the name is not a plain lower-case identifier, or the server refuses.
    pub fn create_database(&self, name: &str) -> Result<String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !name.bytes().all(plain) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            bail!("`{name}` is no name for a database: use a to z, 0 to 9 and _, and begin with a letter");
        }
        match wire::execute(self.port, USER, "postgres", &format!("CREATE DATABASE {name} STRATEGY file_copy")) {
            Err(error) if error.to_string().contains("already exists") => {}
            result => result.with_context(|| format!("cannot create database {name}"))?,
        }
        Ok(self.url(name))
    }

    /// Runs SQL whose result does not matter.
    ///
    /// # Errors
    /// With the server's message.
    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        wire::execute(self.port, USER, database, sql)
    }

    /// Runs SQL that may take long and whose result does not matter.
    ///
    /// # Errors
    /// With the server's message, or when it takes longer.
    pub fn execute_within(&self, database: &str, sql: &str, within: Duration) -> Result<()> {
        wire::rows(self.port, USER, database, sql, within).map(drop)
    }

    /// The rows that a query gives, as text.
    ///
    /// # Errors
    /// With the server's message.
    pub fn rows(&self, database: &str, sql: &str) -> Result<Vec<Row>> {
        wire::rows(self.port, USER, database, sql, ROWS_WITHIN)
    }

    /// Stops a temporary server, if it runs, and starts it again on its data and port.
    ///
    /// # Errors
    /// When it does not start, or the cluster is not a temporary one.
    pub fn restart(&mut self) -> Result<()> {
        let folder = self._folder.as_ref().context("only a temporary server is restarted")?;
        self.server.stop();
        let binaries = Binaries::find(&Project::here())?;
        let data = folder.path().join("data");
        end_left_over(&data)?;
        self.server = launch(&binaries, &data, &self.settings, Logs::Keep, self.port)?;
        wait_until_ready(&mut self.server, self.port)
    }

    /// Kills the server and its sessions without warning, as a crash of the machine would.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kill(&mut self) -> Result<()> {
        // A server that is stopped starts no session more, and one that is dead is nobody's parent: so it stops, its
        // sessions are listed, and then all of them die.
        self.server.signal(Signal::STOP)?;
        let sessions = self.sessions()?;
        self.server.kill();
        tell(&sessions, Signal::KILL);
        // Another server does not start on data that a session of this one still has in hand.
        let deadline = Instant::now() + process::STOP_WITHIN;
        while sessions.iter().any(|session| process::runs(*session)) {
            ensure!(Instant::now() < deadline, "sessions of the Postgres that was killed still run");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Lets the server and its sessions hang.
    ///
    /// # Errors
    /// When it is gone.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Each process of the server leads a group of its own, so each gets the signal, the one that starts them first.
    fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)?;
        tell(&self.sessions()?, signal);
        Ok(())
    }

    /// The processes that the server has started and that still run.
    fn sessions(&self) -> Result<Vec<Pid>> {
        let server = self.server.id().to_string();
        let all = process::answer(Command::new("ps").args(["-A", "-o", "pid=,ppid="])).context("ps does not answer")?;
        let child = |line: &str| {
            let mut words = line.split_whitespace();
            let (pid, parent) = (words.next()?, words.next()?);
            (parent == server).then(|| pid.parse().ok().and_then(Pid::from_raw))?
        };
        Ok(all.lines().filter_map(child).collect())
    }

    /// The server's process, to watch it or to kill it in a test.
    pub fn server(&mut self) -> &mut Service {
        &mut self.server
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Each session leads a group of its own: one that hangs would outlive the server. A server that is gone has none.
        let _ = self.thaw();
    }
}

/// Sends a signal to each. One that has just ended needs none.
fn tell(processes: &[Pid], signal: Signal) {
    for process in processes {
        let _ = rustix::process::kill_process(*process, signal);
    }
}

/// Whether Postgres has to run as another user than ours.
fn drops_privileges() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as the server's user.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Nothing but our options configures the server, and its messages stay in English.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    if drops_privileges() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

fn own_by_server(dir: &Path) -> Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    if drops_privileges() {
        std::os::unix::fs::chown(dir, Some(UNPRIVILEGED), Some(UNPRIVILEGED))
            .with_context(|| format!("cannot give {} to the server's user", dir.display()))?;
    }
    Ok(())
}

fn init(binaries: &Binaries, data: &Path) -> Result<()> {
    // An initdb that was interrupted leaves a folder that the next one refuses.
    match fs::remove_dir_all(data) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", data.display()));
        }
        _ => {}
    }
    let mut initdb = command(&binaries.program("initdb"));
    initdb.arg("-D").arg(data).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    let mut service = Service::start("initdb", initdb, Logs::Keep)?;
    if !service.wait()?.success() {
        bail!("initdb failed in {}:\n{}", data.display(), service.last_lines());
    }
    Ok(())
}

fn start(binaries: &Binaries, data: &Path, settings: &[String], logs: Logs) -> Result<(Service, u16)> {
    let mut tried = 0;
    loop {
        tried += 1;
        let port = ports::free()?;
        let mut server = launch(binaries, data, settings, logs.clone(), port)?;
        match wait_until_ready(&mut server, port) {
            Ok(()) => return Ok((server, port)),
            Err(_) if tried < PORTS_TRIED && server.last_lines().contains("Address already in use") => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the server's own word first: whoever took its port from it a moment ago would answer too.
fn wait_until_ready(server: &mut Service, port: u16) -> Result<()> {
    server.wait_for_line(IS_READY, READY_WITHIN)?;
    server.wait_until(READY_WITHIN, || wire::connect(port, USER, "postgres").is_ok())
}

fn launch(binaries: &Binaries, data: &Path, settings: &[String], logs: Logs, port: u16) -> Result<Service> {
    let mut postgres = command(&binaries.program("postgres"));
    postgres.arg("-D").arg(data).args(["-p", &port.to_string()]);
    let everywhere = ["listen_addresses=127.0.0.1", "unix_socket_directories="];
    for setting in everywhere.into_iter().chain(settings.iter().map(String::as_str)) {
        postgres.args(["-c", setting]);
    }
    // What `origin explain` reads; as on the servers that the site is deployed to.
    if binaries.has_library(STATISTICS) {
        postgres.args(["-c", &format!("shared_preload_libraries={STATISTICS}")]);
    }
    // SIGINT is the fast shutdown: it ends sessions, and writes what is needed for a quick start.
    Service::start_with("postgres", postgres, logs, Signal::INT)
}

fn require_same_version(binaries: &Binaries, data: &Path) -> Result<()> {
    let stored = fs::read_to_string(data.join("PG_VERSION"))?;
    let major = binaries.major_version()?;
    if stored.trim() != major {
        bail!(
            "the database in {} was made by Postgres {}, and this is {major}; \
             `cargo xtask clean --data` removes it, and the next `up` loads it again",
            data.display(),
            stored.trim(),
        );
    }
    Ok(())
}

/// Ends a server that runs on `data` without an owner: one whose xtask was killed a moment ago, or whose guard was too.
///
/// The lock file of a server that is gone, with its process id in use by something else, is removed; Postgres itself
/// would refuse to start on it.
fn end_left_over(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let runs_here = |pid: Pid| {
        let number = pid.as_raw_nonzero().to_string();
        process::answer(Command::new("ps").args(["-o", "command=", "-p", &number]))
            .is_some_and(|command| command.contains(&*data.to_string_lossy()))
    };
    if let Some(pid) = pid.filter(|pid| runs_here(*pid)) {
        // Refused only when it ended meanwhile.
        let _ = rustix::process::kill_process(pid, Signal::INT);
        let deadline = Instant::now() + process::STOP_WITHIN;
        while runs_here(pid) {
            if Instant::now() > deadline {
                bail!("a Postgres (pid {}) still runs on {}; stop it", pid.as_raw_nonzero(), data.display());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Where the checkout's data lies.
#[must_use]
pub fn data_folder(project: &Project) -> PathBuf {
    home::folder(project)
}

/// Removes the checkout's data, wherever it lies. The caller holds the lock that keeps a server out.
///
/// # Errors
/// When a file cannot be removed.
pub fn remove_data(project: &Project) -> Result<()> {
    home::remove(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_cluster_serves_and_leaves_nothing() -> Result<()> {
        let cluster = Cluster::start_temp()?;
        let url = cluster.create_database("one")?;
        assert!(url.ends_with(&format!(":{}/one", cluster.port())));
        cluster.create_database("one")?;
        cluster.execute("one", "CREATE TABLE t (n int)")?;
        let error = cluster.execute("one", "SELECT * FROM u").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("relation \"u\" does not exist"), "{error}");
        let folder = cluster._folder.as_ref().map(|folder| folder.path().to_path_buf());
        let server = Pid::from_raw(i32::try_from(cluster.server.id())?).context("it has an id")?;
        drop(cluster);
        assert!(folder.is_some_and(|folder| !folder.exists()));
        assert!(!process::runs(server));
        Ok(())
    }

    #[test]
    fn a_cluster_that_hangs_ends_with_all_its_processes() -> Result<()> {
        let cluster = Cluster::start_temp()?;
        let processes = cluster.sessions()?;
        assert!(!processes.is_empty());
        cluster.freeze()?;
        drop(cluster);
        for process in processes {
            let state = process::answer(Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]));
            assert!(state.is_none_or(|state| state.is_empty() || state.starts_with('Z')), "{process:?} is still there");
        }
        Ok(())
    }

    #[test]
    fn odd_database_names_are_refused() -> Result<()> {
        let cluster = Cluster::start_temp()?;
        for name in ["", "1a", "a-b", "a b", "A", "a;drop"] {
            assert!(cluster.create_database(name).is_err(), "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_lock_file_of_a_dead_server_is_removed() -> Result<()> {
        let folder = scratch::dir("stale")?;
        let lock = folder.path().join("postmaster.pid");
        // Our own id: alive, and no server of this folder.
        fs::write(&lock, format!("{}\n", std::process::id()))?;
        end_left_over(folder.path())?;
        assert!(!lock.exists());
        Ok(())
    }
}
