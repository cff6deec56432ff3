//! Where the database is and how it is used.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Reader, Secret, var};
use crate::db;

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
    /// Sessions that this process opens beside the pool at most.
    pub sessions_beside_pool: usize,
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

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn database(&mut self) -> Database {
        let pool_min = self.number(&var::DB_POOL_MIN, POOL_SIZES);
        let pool_max = self.number(&var::DB_POOL_MAX, POOL_SIZES);
        if self.refused.is_empty() && pool_min > pool_max {
            self.refused
                .push(format!("  DB_POOL_MIN is {pool_min}: expected at most DB_POOL_MAX, which is {pool_max}"));
        }
        Database {
            url: Secret::new(self.text(&var::DATABASE_URL, postgres_url)),
            replica_url: self.checked(&var::DATABASE_URL_READONLY, postgres_url).map(Secret::new),
            direct_url: self.checked(&var::DATABASE_URL_DIRECT, postgres_url).map(Secret::new),
            pooler: self.parse(&var::DB_POOLER, Pooler::None, |value| match value {
                "none" => Some(Pooler::None),
                "pgbouncer" => Some(Pooler::PgBouncer),
                _ => None,
            }),
            pool_min,
            pool_max,
            // Those of jobs are added when it is known how many there are.
            sessions_beside_pool: db::SESSIONS_BESIDE_JOBS,
            pool_warn_permille: self.parse(&var::DB_POOL_WARN_THRESHOLD, 0, permille),
            connect_timeout: self.duration(&var::DB_CONNECT_TIMEOUT),
            statement_timeout: self.duration(&var::DB_STATEMENT_TIMEOUT),
            checkout_timeout: self.duration(&var::DB_CHECKOUT_TIMEOUT),
        }
    }
}

/// A connection is never free, and Postgres itself allows 100 by default.
const POOL_SIZES: RangeInclusive<usize> = 1..=1_000;

/// `0.8` as thousandths, above zero and at most one.
pub(super) fn permille(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 1 || decimals.len() > 3 || !plain(whole) || !plain(decimals) {
        return None;
    }
    let permille: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (1..=1_000).contains(&permille).then_some(permille)
}

fn postgres_url(value: &str) -> Option<String> {
    db::parse_url(value).is_ok().then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
