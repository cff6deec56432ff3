//! Configuration: environment variables, read once into one typed struct.
//!
//! Every variable is one entry of [`VARIABLES`]; the struct is read through those entries only, and
//! `docs/configuration.md` is checked against them, so neither can drift. A value that is set but empty counts
//! as not set, because that is what deployment forms leave behind. All wrong values are reported at once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

mod accounts;
mod site;
mod variables;

pub use accounts::Accounts;
pub(crate) use accounts::INVITE_BYTES_MAX;
pub use site::Site;
pub use variables::{VARIABLES, Variable};

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
    /// How log lines look: `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// Which log lines are written: `RUST_LOG`.
    pub log_filter: String,
}

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct Database {
    /// `DATABASE_URL`; holds a password, so it never shows.
    pub url: Secret,
    /// `DATABASE_URL_READONLY`: a replica for what only reads.
    pub replica_url: Option<Secret>,
    /// `DATABASE_URL_DIRECT`: past a pooler, for what needs a session.
    pub direct_url: Option<Secret>,
    /// `DB_POOLER`: what stands between this process and the database.
    pub pooler: Pooler,
    /// `DB_POOL_MIN`: connections opened ahead.
    pub pool_min: usize,
    /// `DB_POOL_MAX`: connections at most.
    pub pool_max: usize,
    /// `DB_POOL_WARN_THRESHOLD` in thousandths: the part of the pool in use that is worth a warning.
    pub pool_warn_permille: u16,
    /// `DB_CONNECT_TIMEOUT`: longest wait for a new connection.
    pub connect_timeout: Duration,
    /// `DB_STATEMENT_TIMEOUT`: longest statement, kept by the database itself.
    pub statement_timeout: Duration,
    /// `DB_CHECKOUT_TIMEOUT`: longest wait for a free connection.
    pub checkout_timeout: Duration,
}

impl Database {
    /// Whether sessions outside the pool go through a pooler too.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.direct_url.is_none() && self.pooler == Pooler::PgBouncer
    }
}

/// What stands between this process and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing: each connection is a session of the server, and is configured as one.
    None,
    /// PgBouncer, which lends a session for one transaction at a time: nothing is set on it, and nothing is prepared.
    PgBouncer,
}

/// Who counts requests, and where.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `RATE_LIMITS`: whether this process counts at all.
    pub on: bool,
    /// `REDIS_URL`: where counters live that all processes share.
    pub redis_url: Option<Secret>,
    /// `TRUSTED_PROXY_HOPS`: how many entries of `X-Forwarded-For`, from its end, our own proxies have written.
    pub trusted_proxy_hops: usize,
    /// `EDGE_SECRET`: what requests show whose `X-Forwarded-For` is believed.
    pub edge_secret: Option<Secret>,
}

/// The edge, as far as it is told which pages are old.
#[derive(Clone, Debug)]
pub struct Purge {
    /// `PURGE_URL`, without a slash at the end.
    pub url: String,
    /// `PURGE_SECRET`: its control secret.
    pub secret: Secret,
}

/// Whether this process runs jobs when asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronWorker {
    /// No: there is nothing below `/cron`.
    Off,
    /// Yes, and it serves the site too.
    On,
    /// Yes, and it serves nothing else but health.
    Only,
}

/// The city's open-data API.
#[derive(Clone, Debug)]
pub struct Soda {
    /// `SODA_BASE_URL`, without a slash at the end.
    pub base_url: String,
    /// `SODA_APP_TOKEN`.
    pub app_token: Option<Secret>,
    /// `SODA_TIMEOUT`: longest wait for one whole answer.
    pub timeout: Duration,
    /// `SODA_PAGE_SIZE`: rows asked for at once while loading.
    pub page_size: usize,
    /// `SODA_IN_REPORTS`: whether reports ask it too.
    pub in_reports: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for log stores.
    Json,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value so that it does not show.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself; keep it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
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

struct Reader<L> {
    lookup: L,
    refused: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn config(&mut self) -> Config {
        let pool_min = self.number(&var::DB_POOL_MIN, POOL_SIZES);
        let pool_max = self.number(&var::DB_POOL_MAX, POOL_SIZES);
        if self.refused.is_empty() && pool_min > pool_max {
            self.refused
                .push(format!("  DB_POOL_MIN is {pool_min}: expected at most DB_POOL_MAX, which is {pool_max}"));
        }
        let cron_worker = self.parse(&var::CRON_WORKER, CronWorker::Off, |value| match value {
            "off" | "false" | "0" => Some(CronWorker::Off),
            "on" | "true" | "1" => Some(CronWorker::On),
            "only" => Some(CronWorker::Only),
            _ => None,
        });
        let secret = |value: &str| (value.len() >= SECRET_BYTES_MIN).then(|| Secret(value.to_owned()));
        let cron_secret = self.checked(&var::CRON_SECRET, secret);
        let purge_url = self.checked(&var::PURGE_URL, http_url);
        let purge_secret = self.checked(&var::PURGE_SECRET, secret);
        if purge_url.is_some() != purge_secret.is_some() {
            self.refused.push("  PURGE_URL and PURGE_SECRET need each other: one of them is not set".to_owned());
        }
        let purge = purge_url.zip(purge_secret).map(|(url, secret)| Purge { url, secret });
        let edge_secret = self.checked(&var::EDGE_SECRET, secret);
        if cron_worker != CronWorker::Off && cron_secret.is_none() {
            self.refused.push("  CRON_SECRET is not set: CRON_WORKER needs it".to_owned());
        }
        Config {
            database: Database {
                url: Secret(self.text(&var::DATABASE_URL, postgres_url)),
                replica_url: self.checked(&var::DATABASE_URL_READONLY, postgres_url).map(Secret),
                direct_url: self.checked(&var::DATABASE_URL_DIRECT, postgres_url).map(Secret),
                pooler: self.parse(&var::DB_POOLER, Pooler::None, |value| match value {
                    "none" => Some(Pooler::None),
                    "pgbouncer" => Some(Pooler::PgBouncer),
                    _ => None,
                }),
                pool_min,
                pool_max,
                pool_warn_permille: self.parse(&var::DB_POOL_WARN_THRESHOLD, 0, permille),
                connect_timeout: self.duration(&var::DB_CONNECT_TIMEOUT),
                statement_timeout: self.duration(&var::DB_STATEMENT_TIMEOUT),
                checkout_timeout: self.duration(&var::DB_CHECKOUT_TIMEOUT),
            },
            listen: SocketAddr::new(self.address(&var::BIND), self.number(&var::PORT, 0..=u16::MAX)),
            metrics_port: self.checked(&var::METRICS_PORT, |value| value.parse().ok()),
            soda: Soda {
                base_url: self.text(&var::SODA_BASE_URL, http_url),
                app_token: self.optional(&var::SODA_APP_TOKEN).map(Secret),
                timeout: self.duration(&var::SODA_TIMEOUT),
                page_size: self.number(&var::SODA_PAGE_SIZE, PAGE_SIZES),
                in_reports: self.parse(&var::SODA_IN_REPORTS, true, |value| match value {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => None,
                }),
            },
            limits: Limits {
                on: self.parse(&var::RATE_LIMITS, true, |value| match value {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => None,
                }),
                redis_url: self.checked(&var::REDIS_URL, redis_url).map(Secret),
                trusted_proxy_hops: self.number(&var::TRUSTED_PROXY_HOPS, PROXY_HOPS),
                edge_secret,
            },
            purge,
            accounts: self.accounts(),
            site: self.site(),
            cron_worker,
            cron_secret,
            job_slots: self.number(&var::JOB_SLOTS, JOB_SLOTS),
            policy_file: self.optional(&var::POLICY_FILE).map(PathBuf::from),
            log_format: self.parse(&var::LOG_FORMAT, LogFormat::Text, |value| match value {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
            log_filter: self.text(&var::RUST_LOG, |value| {
                tracing_subscriber::EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
            }),
        }
    }

    fn optional(&self, variable: &Variable) -> Option<String> {
        (self.lookup)(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The parsed value or default; `fallback` stands in for a refused one, which ends the start-up anyway.
    fn parse<T>(&mut self, variable: &Variable, fallback: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let given = self.optional(variable);
        let Some(value) = given.as_deref().or(variable.default) else {
            self.refused.push(format!("  {} is not set: expected {}", variable.name, variable.expected));
            return fallback;
        };
        parse(value).unwrap_or_else(|| {
            let shown = if variable.secret { "[hidden]".to_owned() } else { format!("{value:?}") };
            self.refused.push(format!("  {} is {shown}: expected {}", variable.name, variable.expected));
            fallback
        })
    }

    /// The parsed value of a variable that may be absent.
    fn checked<T>(&mut self, variable: &Variable, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.optional(variable)?;
        self.parse(variable, None, |value| parse(value).map(Some))
    }

    fn text(&mut self, variable: &Variable, parse: impl Fn(&str) -> Option<String>) -> String {
        self.parse(variable, String::new(), parse)
    }

    fn number<T>(&mut self, variable: &Variable, range: RangeInclusive<T>) -> T
    where
        T: std::str::FromStr + PartialOrd + Copy,
    {
        self.parse(variable, *range.start(), |value| value.parse().ok().filter(|number| range.contains(number)))
    }

    fn duration(&mut self, variable: &Variable) -> Duration {
        self.parse(variable, Duration::ZERO, |value| duration(value).filter(|value| DURATIONS.contains(value)))
    }

    fn address(&mut self, variable: &Variable) -> IpAddr {
        self.parse(variable, IpAddr::from([127, 0, 0, 1]), |value| value.parse().ok())
    }
}

/// A connection is never free, and Postgres itself allows 100 by default.
const POOL_SIZES: RangeInclusive<usize> = 1..=1_000;
/// More proxies than a request has ever been through.
const PROXY_HOPS: RangeInclusive<usize> = 0..=8;
/// Each takes a session of the database beside the pool.
const JOB_SLOTS: RangeInclusive<usize> = 0..=16;
/// As many characters as 128 random bits have in hexadecimal.
const SECRET_BYTES_MIN: usize = 32;
/// SODA answers at most 50,000 rows at once; fewer than ten would never end.
const PAGE_SIZES: RangeInclusive<usize> = 10..=50_000;
/// Shorter fails always, longer is a hang.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);

/// `250ms`, `10s`, `2m`, or whole seconds without a unit.
fn duration(value: &str) -> Option<Duration> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// `0.8` as thousandths, above zero and at most one.
fn permille(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 1 || decimals.len() > 3 || !plain(whole) || !plain(decimals) {
        return None;
    }
    let permille: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (1..=1_000).contains(&permille).then_some(permille)
}

fn redis_url(value: &str) -> Option<String> {
    redis::Client::open(value).is_ok().then(|| value.to_owned())
}

fn http_url(value: &str) -> Option<String> {
    let url = reqwest::Url::parse(value).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    plain.then(|| value.trim_end_matches('/').to_owned())
}

fn postgres_url(value: &str) -> Option<String> {
    crate::db::parse_url(value).is_ok().then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
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
    fn durations_have_units() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("7", Some(7_000)),
            ("2m", Some(120_000)),
            ("1h", None),
            ("s", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn parts_are_thousandths() {
        for (text, expected) in [
            ("0.8", Some(800)),
            ("1", Some(1_000)),
            ("1.000", Some(1_000)),
            ("0.001", Some(1)),
            ("0", None),
            ("1.001", None),
            ("0.8000", None),
            (".8", None),
            ("-0.8", None),
            ("0.+8", None),
            ("", None),
        ] {
            assert_eq!(permille(text), expected, "{text}");
        }
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
