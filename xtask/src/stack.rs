//! The local stack in parts: the origin over a database, its sample data, the edge on workerd or as a Spin component.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::http;
use crate::process::{self, Logs, Service};
use crate::project::Project;
use crate::screen;
use crate::step::{Step, Steps};
use crate::tools;

/// How long the origin may take to listen.
const ORIGIN_WITHIN: Duration = Duration::from_secs(60);
/// How long wrangler may take to answer the first request; a cold disk is slow.
const EDGE_WITHIN: Duration = Duration::from_secs(120);

/// The built origin with the database it works on.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The program.
    pub program: PathBuf,
    /// `DATABASE_URL`.
    pub database_url: String,
}

/// A server that told us its port.
#[derive(Debug)]
pub struct Listening {
    /// Its process; dropping it stops the server.
    pub service: Service,
    /// The port on 127.0.0.1.
    pub port: u16,
}

impl Listening {
    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Origin {
    /// A command of the origin's program, such as `migrate`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("DATABASE_URL", &self.database_url);
        if !screen::is_terminal() {
            command.env("NO_COLOR", "1");
        }
        command
    }

    /// Brings the database's schema up to date.
    ///
    /// # Errors
    /// When a migration fails.
    pub fn migrate(&self, step: &Step) -> Result<()> {
        process::run("origin migrate", self.command(&["migrate"]), step)
    }

    /// Serves the files of `data` as the city's API does, on a port of its choice.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn stand_in(&self, data: &Path, logs: Logs) -> Result<Listening> {
        let mut command = self.command(&["stand-in", "--port", "0", "--data"]);
        command.arg(data);
        listening("stand-in", command, "stand-in listening on ", logs)
    }

    /// Loads what the city's API at `base_url` has into the database.
    ///
    /// # Errors
    /// When the load fails.
    pub fn ingest(&self, base_url: &str, step: &Step) -> Result<()> {
        let mut command = self.command(&["ingest"]);
        command.env("SODA_BASE_URL", base_url);
        process::run("origin ingest", command, step)
    }

    /// Writes a generated city into `out`.
    ///
    /// # Errors
    /// When the disk is full, for one.
    pub fn sample(&self, seed: u64, permits: u32, out: &Path, step: &Step) -> Result<()> {
        let (seed, permits) = (seed.to_string(), permits.to_string());
        let mut command = self.command(&["sample", "--seed", &seed, "--permits", &permits, "--out"]);
        command.arg(out);
        process::run("origin sample", command, step)
    }

    /// Starts the server. Port 0 chooses one. `environment` is added to `DATABASE_URL`, `BIND` and `PORT`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve(&self, port: u16, environment: &[(&str, &str)], logs: Logs) -> Result<Listening> {
        let mut command = self.command(&["serve"]);
        // What is loaded is no city of this world, so the real one has nothing to say about it.
        command
            .env("BIND", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("SODA_IN_REPORTS", "off")
            .envs(environment.iter().copied());
        listening("origin", command, "origin listening on ", logs)
    }
}

/// Starts a server that says in a line where it listens: an address or a port, after `announced`.
///
/// # Errors
/// When it does not come up.
pub fn listening(name: &str, command: Command, announced: &str, logs: Logs) -> Result<Listening> {
    let mut service = Service::start(name, command, logs)?;
    let url = service.wait_for_line(announced, ORIGIN_WITHIN)?;
    let digits = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
    let port = digits.trim().parse().with_context(|| format!("{name} announced {url:?}, which has no port"))?;
    Ok(Listening { service, port })
}

/// Starts the edge under `wrangler dev` before `origin_url`, and waits until a request goes through. What workerd stores
/// lies below `state`; its secrets are in the file `secrets`, and others in the checkout's own `.dev.vars`.
///
/// # Errors
/// When it does not come up.
pub fn edge(
    project: &Project,
    port: u16,
    origin_url: &str,
    state: &Path,
    secrets: Option<&Path>,
    logs: Logs,
) -> Result<Listening> {
    let mut command = tools::wrangler(project)?;
    command
        .args(["dev", "--ip", "127.0.0.1", "--inspector-port", "0", "--show-interactive-dev-session=false"])
        .args(["--port", &port.to_string(), "--var", &format!("ORIGIN:{origin_url}")])
        .arg("--persist-to")
        .arg(state);
    if let Some(secrets) = secrets {
        // The last one counts where both have a name.
        let own = Some(project.path(".dev.vars")).filter(|file| file.is_file());
        for file in own.as_deref().into_iter().chain([secrets]) {
            command.arg("--env-file").arg(file);
        }
    }
    let mut service = Service::start("wrangler dev", command, logs)?;
    service.wait_until(EDGE_WITHIN, || http::status(port, "/health").is_ok_and(|status| status == 200))?;
    Ok(Listening { service, port })
}

/// The edge as a component, and what it needs.
#[derive(Clone, Copy, Debug)]
pub struct SpinEdge<'a> {
    /// The component.
    pub component: &'a Path,
    /// Where the origin is.
    pub origin_url: &'a str,
    /// Where the Redis is that counts for all instances; empty when there is none.
    pub redis_url: &'a str,
    /// The folder that keeps what the component stores.
    pub state: &'a Path,
}

impl SpinEdge<'_> {
    /// Starts it under `spin up`, and waits until a request goes through. `further` are Spin's own arguments.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_on_spin(&self, project: &Project, port: u16, further: &[&str], logs: Logs) -> Result<Listening> {
        let mut command = Command::new("spin");
        command.args(["up", "--listen", &format!("127.0.0.1:{port}"), "--from"]).arg(project.path("spin.toml"));
        command.arg("--state-dir").arg(self.state).args(self.variables()).args(further);
        let mut service = Service::start("spin up", command, logs)?;
        service.wait_until(EDGE_WITHIN, || http::status(port, "/health").is_ok_and(|status| status == 200))?;
        Ok(Listening { service, port })
    }

    /// Starts it under the host for Spin; port 0 takes a free one. `further` are the host's own arguments.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_on_host(&self, host: &Path, port: u16, further: &[&str], logs: Logs) -> Result<Listening> {
        let mut command = Command::new(host);
        command.arg(self.component).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.arg("--key-value").arg(self.state).args(self.variables()).args(further);
        let mut service = Service::start("spin-host", command, logs)?;
        let ports = service.wait_for_line("edge listening on ", EDGE_WITHIN)?;
        let port = ports.split(' ').next().unwrap_or_default();
        let port = port.parse().with_context(|| format!("the host announced {ports:?}, which has no port"))?;
        Ok(Listening { service, port })
    }

    fn variables(&self) -> impl Iterator<Item = String> {
        let variables = [("origin", self.origin_url), ("redis_url", self.redis_url)];
        variables.into_iter().flat_map(|(name, value)| ["--variable".to_owned(), format!("{name}={value}")])
    }
}

/// Loads a generated city into an empty database: the generator writes files, the stand-in serves them in the city's
/// wire format, and the real loader reads them over HTTP.
///
/// # Errors
/// When one of the three fails.
pub fn load_sample(origin: &Origin, seed: u64, permits: u32, scratch: &Path, steps: &Steps) -> Result<()> {
    steps.run(&format!("generate a city of {permits} permits"), |step| origin.sample(seed, permits, scratch, step))?;
    steps.run("load it over HTTP, as from data.sfgov.org", |step| {
        let stand_in = origin.stand_in(scratch, Logs::Keep)?;
        origin.ingest(&stand_in.url(), step)
    })
}
