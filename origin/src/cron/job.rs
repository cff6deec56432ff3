//! The jobs there are.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{caches, entities, likeness, nightly, prune, signals, velocity};
use crate::brief;
use crate::jobs::{Context, Lease};

/// A job, one run of which may go on at a time, over all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Loads every dataset of the city.
    Nightly,
    /// Works out who stands behind the names, and what search suggests.
    ResolveEntities,
    /// Works out which finished projects are like which, where the database has pgvector.
    SimilarProjects,
    /// Works out how long plan review takes at each station.
    VelocityRefresh,
    /// Works out what is wrong, slow or forgotten.
    Signals,
    /// Computes what the page cache keeps, before it is asked for.
    ComputeCaches,
    /// Mails the morning brief to whoever asked for it.
    Brief,
    /// Deletes what is too old to be of use.
    Prune,
}

/// What a run counted.
pub(crate) type Counts = Map<String, Value>;

impl Job {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Nightly,
        Self::ResolveEntities,
        Self::SimilarProjects,
        Self::VelocityRefresh,
        Self::Signals,
        Self::ComputeCaches,
        Self::Brief,
        Self::Prune,
    ];

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
            Self::ResolveEntities => "resolve-entities",
            Self::SimilarProjects => "similar-projects",
            Self::VelocityRefresh => "velocity-refresh",
            Self::Signals => "signals",
            Self::ComputeCaches => "compute-caches",
            Self::Brief => "brief",
            Self::Prune => "prune",
        }
    }

    /// How long one run may take; then it is ended and has failed.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            // The city's API has 13 million rows for us, and serves some 10,000 of them a second.
            Self::Nightly => Duration::from_secs(3 * 60 * 60),
            // Three million contacts are sorted a few times.
            Self::ResolveEntities => Duration::from_secs(30 * 60),
            // A few hundred thousand vectors the first time, and an index of them.
            Self::SimilarProjects => Duration::from_secs(30 * 60),
            // 2.4 s for half a million review steps.
            Self::VelocityRefresh => Duration::from_secs(5 * 60),
            // A tenth of a second for each of some thousand people.
            Self::Brief => Duration::from_secs(30 * 60),
            // Three statements, each over the whole of the permits and the longest over all steps of review.
            Self::Signals => Duration::from_secs(15 * 60),
            // One statement for each entry, and portions of a second each.
            Self::ComputeCaches | Self::Prune => Duration::from_secs(5 * 60),
        }
    }

    /// How often a run may fail; then it has failed for good.
    pub(crate) const fn attempts_max(self) -> i32 {
        match self {
            // The city's API is away for minutes at a time, and what was loaded is not loaded again.
            Self::Nightly => 4,
            // The mail server comes back; who got a mail gets no second.
            Self::Brief => 4,
            Self::ResolveEntities | Self::SimilarProjects | Self::VelocityRefresh | Self::Signals | Self::Prune => 2,
            // It is asked for again soon.
            Self::ComputeCaches => 1,
        }
    }

    /// Does the work.
    pub(crate) async fn work(self, context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
        match self {
            Self::Nightly => nightly::run(context, lease).await,
            Self::ResolveEntities => entities::run(context, lease).await,
            Self::SimilarProjects => likeness::run(context, lease).await,
            Self::VelocityRefresh => velocity::run(context, lease).await,
            Self::Signals => signals::run(context, lease).await,
            Self::ComputeCaches => Ok(caches::run(context).await),
            Self::Brief => brief::mail::run(context, lease).await,
            Self::Prune => prune::run(context).await,
        }
    }
}
