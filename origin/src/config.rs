//! Configuration: environment variables, read once into one typed struct.
//!
//! Every variable is one entry of [`VARIABLES`]; the struct is read through those entries only, and
//! `docs/configuration.md` is checked against them, so neither can drift. A value that is set but empty counts
//! as not set, because that is what deployment forms leave behind. All wrong values are reported at once.

use std::net::SocketAddr;
use std::path::PathBuf;

mod accounts;
mod database;
mod reader;
mod secret;
mod site;
mod telemetry;
mod traffic;
mod variables;
mod work;

pub use accounts::Accounts;
pub(crate) use accounts::INVITE_BYTES_MAX;
pub use database::{Database, Pooler};
pub use secret::Secret;
pub use site::Site;
pub use telemetry::Telemetry;
pub use traffic::{Limits, Purge};
pub use variables::{VARIABLES, Variable};
pub(crate) use work::CRON_SLOTS;
pub use work::{CronWorker, Soda};

use reader::{Reader, http_server, http_url, secret};
use variables as var;

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database is and how it is used.
    pub database: Database,
    /// The address to listen on: `BIND` and `PORT`.
    pub listen: SocketAddr,
    /// `METRICS_PORT`: where Prometheus asks, at the address of `BIND`.
    pub metrics_port: Option<u16>,
    /// The city's open-data API.
    pub soda: Soda,
    /// Who counts requests, and where.
    pub limits: Limits,
    /// `PURGE_URL` and `PURGE_SECRET`: who is told which pages are old.
    pub purge: Option<Purge>,
    /// Who may sign in, and how mail goes out.
    pub accounts: Accounts,
    /// What visitors and those who look for faults are told about the site.
    pub site: Site,
    /// `CRON_WORKER`: whether this process runs jobs.
    pub cron_worker: CronWorker,
    /// `CRON_SECRET`: what callers of `/cron` show.
    pub cron_secret: Option<Secret>,
    /// `JOB_SLOTS`: how many jobs of visitors this process does at a time.
    pub job_slots: usize,
    /// A policy file that replaces the built-in one: `POLICY_FILE`.
    pub policy_file: Option<PathBuf>,
    /// Who is told of requests as spans.
    pub telemetry: Telemetry,
    /// How log lines look: `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// Which log lines are written: `RUST_LOG`.
    pub log_filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for log stores.
    Json,
}

/// The variables that were refused, each with its value and what it should have been.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("wrong configuration:\n{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every variable that is missing or wrong, with its value and the expected range.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads variables through `lookup`.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, refused: Vec::new() };
        let config = reader.config();
        if reader.refused.is_empty() { Ok(config) } else { Err(ConfigError(reader.refused)) }
    }
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn config(&mut self) -> Config {
        let database = self.database();
        let cron = self.cron();
        let mut config = Config {
            database,
            listen: SocketAddr::new(self.address(&var::BIND), self.number(&var::PORT, 0..=u16::MAX)),
            metrics_port: self.checked(&var::METRICS_PORT, |value| value.parse().ok()),
            soda: self.soda(),
            limits: self.limits(),
            purge: self.purge(),
            accounts: self.accounts(),
            site: self.site(),
            cron_worker: cron.0,
            cron_secret: cron.1,
            job_slots: self.job_slots(),
            policy_file: self.optional(&var::POLICY_FILE).map(PathBuf::from),
            telemetry: self.telemetry(),
            log_format: self.parse(&var::LOG_FORMAT, LogFormat::Text, |value| match value {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
            log_filter: self.text(&var::RUST_LOG, |value| {
                tracing_subscriber::EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
            }),
        };
        config.database.sessions_beside_pool += config.job_slots + CRON_SLOTS;
        config
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://someone:hunter2@localhost/seawall");

    fn read(set: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_complete_except_for_the_database() {
        let config = read(&[URL]).unwrap();
        assert_eq!((config.database.pool_min, config.database.pool_max), (5, 50));
        assert_eq!(config.database.connect_timeout, Duration::from_secs(10));
        assert_eq!(config.database.statement_timeout, Duration::from_secs(30));
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.soda.base_url, "https://data.sfgov.org");
        assert_eq!(config.soda.app_token, None);
        assert_eq!(read(&[]).unwrap_err().lines().nth(1).unwrap().split(':').next(), Some("  DATABASE_URL is not set"));
    }

    #[test]
    fn wrong_values_are_named_with_what_was_expected() {
        for (name, value, expected) in [
            ("DB_POOL_MIN", "0", "  DB_POOL_MIN is \"0\": expected a whole number from 1 to 1000"),
            ("DB_POOL_MIN", "51", "  DB_POOL_MIN is 51: expected at most DB_POOL_MAX, which is 50"),
            ("DB_POOL_MAX", "many", "  DB_POOL_MAX is \"many\": expected a whole number from 1 to 1000"),
            (
                "DB_CONNECT_TIMEOUT",
                "10 s",
                "  DB_CONNECT_TIMEOUT is \"10 s\": expected 10ms to 1h, such as 250ms, 10s or 2m",
            ),
            ("DB_CONNECT_TIMEOUT", "0", "  DB_CONNECT_TIMEOUT is \"0\": expected 10ms to 1h, such as 250ms, 10s or 2m"),
            ("PORT", "65536", "  PORT is \"65536\": expected a port from 0 to 65535; 0 takes a free one"),
            ("BIND", "localhost", "  BIND is \"localhost\": expected an IP address"),
            ("CRON_WORKER", "maybe", "  CRON_WORKER is \"maybe\": expected off, on or only"),
            ("CRON_WORKER", "on", "  CRON_SECRET is not set: CRON_WORKER needs it"),
            ("CRON_SECRET", "short", "  CRON_SECRET is [hidden]: expected at least 32 characters"),
            ("RATE_LIMITS", "yes", "  RATE_LIMITS is \"yes\": expected on or off"),
            (
                "REDIS_URL",
                "http://:hunter2@host",
                "  REDIS_URL is [hidden]: expected a URL such as redis://:password@host:6379/0, or nothing",
            ),
            ("TRUSTED_PROXY_HOPS", "9", "  TRUSTED_PROXY_HOPS is \"9\": expected a whole number from 0 to 8"),
            ("DB_POOLER", "odyssey", "  DB_POOLER is \"odyssey\": expected none or pgbouncer"),
            (
                "DB_POOL_WARN_THRESHOLD",
                "80",
                "  DB_POOL_WARN_THRESHOLD is \"80\": expected a part of the pool from 0.001 to 1",
            ),
            (
                "SODA_BASE_URL",
                "data.sfgov.org",
                "  SODA_BASE_URL is \"data.sfgov.org\": expected an http or https URL without a query",
            ),
            ("SODA_PAGE_SIZE", "50001", "  SODA_PAGE_SIZE is \"50001\": expected a whole number from 10 to 50000"),
            ("LOG_FORMAT", "xml", "  LOG_FORMAT is \"xml\": expected text or json"),
            (
                "RUST_LOG",
                "origin=loud",
                "  RUST_LOG is \"origin=loud\": expected a filter such as info or warn,seawall_origin=debug",
            ),
        ] {
            assert_eq!(read(&[URL, (name, value)]).unwrap_err(), format!("wrong configuration:\n{expected}"));
        }
    }

    #[test]
    fn every_wrong_value_is_reported_and_no_secret_is() {
        let error = read(&[("DATABASE_URL", "mysql://root:hunter2@db"), ("PORT", "x")]).unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = read(&[URL, ("DATABASE_URL_READONLY", "root:hunter2@db")]).unwrap_err();
        assert!(error.contains("DATABASE_URL_READONLY is [hidden]") && !error.contains("hunter2"), "{error}");
        let config = read(&[URL, ("SODA_APP_TOKEN", "hunter2"), ("DATABASE_URL_READONLY", URL.1)]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_empty_value_counts_as_not_set() {
        assert_eq!(read(&[URL, ("PORT", " "), ("SODA_APP_TOKEN", "")]).unwrap().listen.port(), 8080);
    }

    #[test]
    fn the_struct_reads_exactly_the_listed_variables() {
        let asked = std::cell::RefCell::new(Vec::new());
        let _ = Config::read(|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        let mut asked = asked.into_inner();
        let mut listed: Vec<_> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
        asked.sort();
        listed.sort();
        assert_eq!(asked, listed);
    }

    #[test]
    fn every_secret_has_its_drill() {
        let drills = include_str!("../../docs/operating/drills.md");
        let rotation = drills.split("\n## ").find(|section| section.starts_with("Rotate a secret")).unwrap_or_default();
        for secret in VARIABLES.iter().filter(|variable| variable.secret) {
            assert!(rotation.contains(&format!("`{}`", secret.name)), "how is {} changed?", secret.name);
        }
    }

    #[test]
    fn the_documented_table_is_the_list() {
        let document = include_str!("../../docs/configuration.md");
        let origins = document.split("\n## ").next().unwrap_or_default();
        let rows: Vec<_> = origins.lines().filter(|line| line.starts_with("| `")).collect();
        let listed: Vec<_> = VARIABLES.iter().map(|variable| variable.table_row()).collect();
        assert_eq!(rows, listed);
    }
}
