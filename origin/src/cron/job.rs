//! The jobs there are.

use std::time::Duration;

use serde_json::{Map, Value};

use super::log::Log;
use super::{caches, nightly, prune, velocity};
use crate::config::Config;
use crate::db::Databases;
use crate::page_cache::PageCache;
use crate::soda::client::Client;

/// A job, one run of which may go on at a time, over all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Loads every dataset of the city.
    Nightly,
    /// Works out how long plan review takes at each station.
    VelocityRefresh,
    /// Computes what the page cache keeps, before it is asked for.
    ComputeCaches,
    /// Deletes what is too old to be of use.
    Prune,
}

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) config: Config,
    pub(super) soda: Client,
    pub(super) databases: Databases,
    pub(super) cache: PageCache,
}

impl Context {
    pub(crate) fn new(config: Config, soda: Client, databases: Databases, cache: PageCache) -> Self {
        Self { config, soda, databases, cache }
    }
}

/// What a run counted.
pub(super) type Counts = Map<String, Value>;

impl Job {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nightly, Self::VelocityRefresh, Self::ComputeCaches, Self::Prune];

    /// The job of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }

    /// Its name, in addresses and in `cron_log`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::VelocityRefresh => "velocity-refresh",
            Self::ComputeCaches => "compute-caches",
            Self::Prune => "prune",
        }
    }

    /// How long one run may take; then it is ended and has failed.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            // The city's API has 13 million rows for us, and serves some 10,000 of them a second.
            Self::Nightly => Duration::from_secs(3 * 60 * 60),
            // 2.4 s for half a million review steps.
            Self::VelocityRefresh => Duration::from_secs(5 * 60),
            // One statement for each entry, and portions of a second each.
            Self::ComputeCaches | Self::Prune => Duration::from_secs(5 * 60),
        }
    }

    /// The number of its lock, below the class of cron.
    pub(super) const fn lock(self) -> i32 {
        match self {
            Self::Nightly => 1,
            Self::VelocityRefresh => 2,
            Self::Prune => 3,
            Self::ComputeCaches => 4,
        }
    }

    /// Does the work.
    pub(super) async fn work(self, context: &Context, log: &Log) -> anyhow::Result<Counts> {
        match self {
            Self::Nightly => nightly::run(context, log).await,
            Self::VelocityRefresh => velocity::run(context).await,
            Self::ComputeCaches => Ok(caches::run(context).await),
            Self::Prune => prune::run(context).await,
        }
    }
}
