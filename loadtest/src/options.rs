//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::scenario::Choice;

/// Most users: each is a connection, and a client address has some 28,000 ports on Linux.
pub(crate) const USERS_MAX: i64 = 20_000;
/// Longest run in seconds: one row a second is kept for the plots.
const DURATION_SECONDS_MAX: i64 = 3_600;
/// Most requests in a second that are scheduled: beyond it, the tool would be what is measured.
const RATE_MAX: i64 = 50_000;
/// Most client addresses: 127.1.0.1 and on.
const ADDRESSES_MAX: i64 = 60_000;

/// Options of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where the site is.
    #[arg(long, default_value = "http://localhost:8080")]
    pub(crate) url: String,
    /// Users at a time; each keeps one connection.
    #[arg(long, visible_alias = "concurrency", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=USERS_MAX))]
    pub(crate) users: u32,
    /// For how many seconds answers count, after the ramp.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=DURATION_SECONDS_MAX))]
    pub(crate) duration: u32,
    /// Seconds over which the users arrive, evenly; what they ask meanwhile does not count.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub(crate) ramp: u32,
    /// What is asked for.
    #[arg(long, value_enum, default_value_t = Choice::All)]
    pub(crate) scenario: Choice,
    /// Requests in a second, at fixed times, whether the server keeps up or not; without it, each user asks again when
    /// its last answer has come.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX), conflicts_with = "think")]
    pub(crate) rate: Option<u32>,
    /// How long a user looks at an answer before it asks again, in milliseconds; between half and one and a half of it.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) think: u32,
    /// Seconds after which a request is given up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub(crate) timeout: u32,
    /// The version of HTTP.
    #[arg(long, value_enum, default_value_t = Protocol::Http1)]
    pub(crate) http: Protocol,
    /// How many client addresses the users have (127.1.0.1 and on), so that limits by client see a crowd; loopback
    /// targets only. 0: the one that the system chooses.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=ADDRESSES_MAX))]
    pub(crate) addresses: u32,
    /// Name the client's address in this field too (10.0.0.1 and on), for a server that trusts one proxy.
    #[arg(long, value_name = "FIELD", requires = "addresses")]
    pub(crate) address_field: Option<http::HeaderName>,
    /// Parcels whose reports are asked for, as BLOCK/LOT; without it, those that a search finds.
    #[arg(long, value_name = "BLOCK/LOT")]
    pub(crate) parcel: Vec<String>,
    /// What is looked for; may be given several times. Without it, streets, an address, words of descriptions and a spelling
    /// that is wrong.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Vec<String>,
    /// Write the result as JSON to this file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write a report with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit 1 when more than so many per cent of a scenario's requests failed.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub(crate) max_error_rate: f64,
    /// Load a target that is not this machine; `--i-may-load` must name it once more.
    #[arg(long, requires = "i_may_load")]
    pub(crate) remote: bool,
    /// The target's host, for `--remote`: whoever runs it has agreed.
    #[arg(long, value_name = "HOST", requires = "remote")]
    pub(crate) i_may_load: Option<String>,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2: by ALPN over TLS, else by prior knowledge.
    #[value(name = "2")]
    Http2,
}

impl Protocol {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }
}

impl Options {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout))
    }

    pub(crate) fn ramp(&self) -> Duration {
        Duration::from_secs(u64::from(self.ramp))
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.duration))
    }
}
