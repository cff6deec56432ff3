//! Configuration: environment variables, read once into one typed struct.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database is and how it is used.
    pub database: Database,
    /// The address to listen on: `BIND` and `PORT`.
    pub listen: SocketAddr,
    /// The city's open-data API.
    pub soda: Soda,
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
    /// `DB_POOL_MIN`: connections opened at start-up.
    pub pool_min: usize,
    /// `DB_POOL_MAX`: connections at most.
    pub pool_max: usize,
    /// `DB_CONNECT_TIMEOUT`: longest wait for a new connection.
    pub connect_timeout: Duration,
    /// `DB_STATEMENT_TIMEOUT`: longest statement, kept by the database itself.
    pub statement_timeout: Duration,
    /// `DB_CHECKOUT_TIMEOUT`: longest wait for a free connection.
    pub checkout_timeout: Duration,
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
    /// The value itself; keep it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}
