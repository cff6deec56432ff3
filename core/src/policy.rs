//! Which rule fits this request?
//!
//! `policy.toml` is the one place that says what each route may cache, which limits it meets and how its
//! upstream is guarded. With the feature `toml`, [`Policy::compile`] turns the file into a [`Policy`] and
//! refuses what does not hold together; with the feature `serde`, the result travels as bytes, so that the
//! edge carries no parser. docs/policy.md describes every option.

mod authority;
mod lifetime;
mod name;
mod pattern;
mod site;
mod table;

#[cfg(feature = "toml")]
mod compile;

#[cfg(all(test, feature = "toml"))]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

pub use authority::{Authority, Reach};
#[cfg(feature = "toml")]
pub use compile::PolicyError;
pub use lifetime::{BrowserLifetime, CacheRule, Lifetime};
pub use name::{Name, NameError};
pub use pattern::{Pattern, PatternError};
pub use site::{Diagnostics, Hosts, Job, Maintenance, SECURITY_FIELDS, SecurityFields, Site};

use crate::limit::distributed::{Mode, Terms};
use crate::limit::fields::Unit;
use crate::limit::{
    Algorithm, Concurrency, FixedWindow, IntervalBucket, LIMITS_PER_REQUEST_MAX, LimitId, SlidingLog, SlidingWindow,
};
use crate::priority::Priority;
use crate::{breaker, overload, retry, throttle};
use table::Table;

/// Every rule, checked and ready to be asked.
///
/// Every id inside it finds its target, also after a journey through bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Parts", into = "Parts"))]
pub struct Policy {
    upstreams: Vec<Upstream>,
    /// In the order of [`Authority::ALL`].
    reaches: [Reach; Authority::ALL.len()],
    limits: Vec<Limit>,
    routes: Vec<Route>,
    overload: overload::Config,
    site: Site,
    table: Table,
}

/// A dependency that is called: the origin, or what the origin itself depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Upstream {
    /// What routes and hosts call it.
    pub name: Name,
    /// Longest time from the start of a call to its response header; at [`Upstream::DEADLINE`].
    pub deadline: Duration,
    /// Longest time that a request waits for it to which something stored may stand in; at [`Upstream::DEADLINE`]. The call
    /// goes on.
    pub patience: Duration,
    /// When calls to it are held back.
    pub breaker: breaker::Config,
    /// How far calls to it may run ahead of what it accepts.
    pub throttle: throttle::Config,
    /// When calls to it are tried again.
    pub retry: retry::Config,
}

/// The place of an upstream in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UpstreamId(pub u16);

/// A limit that routes share by naming it: one counter for each limit and key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limit {
    /// What routes call it, and clients read in `RateLimit`.
    pub name: Name,
    /// How much one key may spend, and how that is counted.
    pub algorithm: Algorithm,
    /// What is counted.
    pub unit: Unit,
    /// What one request spends; at least one, at most [`Algorithm::cost_max`].
    pub cost: u32,
    /// What a request spends that is answered from the cache; at most `cost`, and the same for limits that are not
    /// shared: those guard the edge itself.
    pub hit_cost: u32,
    /// What is counted separately.
    pub key: LimitKey,
    /// Where the counter lives.
    pub scope: Scope,
    /// How isolates share a counter that is one for all; [`Mode::Exact`] for any other.
    pub mode: Mode,
    /// About how many isolates serve one key: what one of them may do by itself is a part of so many.
    pub isolates: NonZeroU32,
}

/// What a limit counts separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LimitKey {
    /// Each client address; the host decides how much of an IPv6 address is one client.
    Client,
}

/// Where a limit's counter lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scope {
    /// One in each isolate or process: no call to anywhere, and looser the more of them run.
    Isolate,
    /// One at each location of the edge, kept by the platform itself; where it keeps none, as for [`Scope::Isolate`].
    Location,
    /// One for all isolates and instances.
    Shared {
        /// Who keeps it.
        authority: Authority,
        /// What to do while the shared store does not answer.
        on_store_failure: StoreFailure,
    },
}

/// What a shared limit does while its store does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StoreFailure {
    /// Count in this isolate.
    Local,
    /// Let everything pass.
    Open,
    /// Refuse everything.
    Closed,
}

/// What holds for the requests that fit one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// What logs and metrics call it.
    pub name: Name,
    /// Which paths fit.
    pub pattern: Pattern,
    /// Which methods fit.
    pub methods: Methods,
    /// Who answers when no stored response does.
    pub upstream: UpstreamId,
    /// Which limits its requests meet, all or none.
    pub limits: Vec<LimitId>,
    /// Which query parameters reach the upstream and tell stored responses apart.
    pub query: Query,
    /// How much its requests matter when not all can be served.
    pub priority: Priority,
    /// How long responses may be reused; `None`: never.
    pub cache: Option<CacheRule>,
    /// Whether it is served as ever while the site is down on purpose.
    pub in_maintenance: bool,
    /// Which of the site's sets of security fields its answers get.
    fields: u16,
}

/// Which methods a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Methods {
    /// Those of [`Methods::KNOWN`].
    All,
    /// Whatever a client invents: for what stands in front of any origin.
    Any,
    /// These, in upper case. `HEAD` fits wherever `GET` does.
    Only(Vec<String>),
}

/// Which query parameters count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Query {
    /// The whole query string, as it is.
    All,
    /// Parameters of these names, compared after percent-decoding; all others are dropped.
    Only(Vec<String>),
}

impl Policy {
    /// Most upstreams: each has a breaker in every isolate.
    pub const UPSTREAMS_MAX: usize = 16;
    /// Most limits.
    pub const LIMITS_MAX: usize = 64;
    /// Most routes: enough for a site, and few enough for a person to read in order.
    pub const ROUTES_MAX: usize = 256;

    /// The first route that takes `method` and `path`; `None` when no route does.
    ///
    /// `path` is the path of the request target without the query, as the host has made it canonical: this
    /// compares bytes, and decodes no percent sign and no dot segment. Allocates nothing. The cost grows with
    /// the segments of the path and with the routes that share its first segments, not with the others.
    #[must_use]
    pub fn route(&self, method: &str, path: &str) -> Option<&Route> {
        let place = self.table.find(&self.routes, method, path)?;
        self.routes.get(usize::from(place))
    }

    /// All routes, in the order in which they are tried.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// All limits; [`LimitId`] counts them from zero.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The limit that `id` names; `None` when it comes from another policy that has more of them.
    #[must_use]
    pub fn limit(&self, id: LimitId) -> Option<&Limit> {
        self.limits.get(usize::from(id.0))
    }

    /// The limits that requests of `route` meet, a route of this policy.
    pub fn limits_of<'a>(&'a self, route: &'a Route) -> impl Iterator<Item = (LimitId, &'a Limit)> {
        route.limits.iter().filter_map(|&id| Some((id, self.limit(id)?)))
    }

    /// All upstreams; [`UpstreamId`] counts them from zero.
    #[must_use]
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The upstream of that name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| *upstream.name == *name)
    }

    /// The upstream that answers `route`, a route of this policy.
    ///
    /// # Panics
    ///
    /// When the route is of another policy that has more upstreams.
    #[must_use]
    pub fn upstream_of(&self, route: &Route) -> &Upstream {
        &self.upstreams[usize::from(route.upstream.0)]
    }

    /// The same policy on a platform that has no objects of its own: what they would keep is kept in a Redis, which
    /// decides on each request and shares nothing out.
    #[must_use]
    pub fn kept_in_redis(mut self) -> Self {
        for limit in &mut self.limits {
            if let Scope::Shared { authority, .. } = &mut limit.scope {
                *authority = Authority::Redis;
                limit.mode = Mode::Exact;
            }
        }
        self
    }

    /// How the authority of shared limits is asked.
    #[must_use]
    pub const fn reach(&self, authority: Authority) -> &Reach {
        // In the order of the variants.
        &self.reaches[authority as usize]
    }

    /// How many calls a native host takes on at a time.
    #[must_use]
    pub const fn overload(&self) -> &overload::Config {
        &self.overload
    }

    /// What holds for every route.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// What answers of `route` get, or with `None` those of no route; a route of this policy.
    #[must_use]
    pub fn security_fields(&self, route: Option<&Route>) -> Option<&SecurityFields> {
        self.site.fields.get(route.map_or(0, |route| usize::from(route.fields)))
    }

    /// The upstream that does `job`, a job of this policy.
    #[must_use]
    pub fn upstream_for(&self, job: &Job) -> Option<&Upstream> {
        self.upstreams.get(usize::from(job.upstream.0))
    }

    /// Puts a policy together, if every id finds its target and every route stays within its bounds.
    fn from_parts(parts: Parts) -> Result<Self, PartsError> {
        let Parts { upstreams, reaches, limits, routes, overload, site } = parts;
        if routes.len() > Self::ROUTES_MAX {
            return Err(PartsError);
        }
        for route in &routes {
            let limits_found = route.limits.iter().all(|id| usize::from(id.0) < limits.len());
            let upstream_found = usize::from(route.upstream.0) < upstreams.len();
            let bounded = route.limits.len() <= LIMITS_PER_REQUEST_MAX && route.pattern.is_bounded();
            let fields_found = usize::from(route.fields) < site.fields.len();
            if !limits_found || !upstream_found || !bounded || !fields_found {
                return Err(PartsError);
            }
        }
        if !site.jobs.iter().all(|job| usize::from(job.upstream.0) < upstreams.len()) {
            return Err(PartsError);
        }
        let table = Table::new(&routes);
        Ok(Self { upstreams, reaches, limits, routes, overload, site, table })
    }
}

impl Upstream {
    /// Range of `deadline`: below the first nothing far away answers, beyond the last nobody waits.
    pub const DEADLINE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);
    /// The deadline when none is written.
    pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
    /// The patience when none is written: twice what a page may take at its origin.
    pub const PATIENCE_DEFAULT: Duration = Duration::from_secs(2);
}

impl Limit {
    /// Most `isolates`: more serve no single key.
    pub const ISOLATES_MAX: u32 = 100_000;

    /// What isolates go by that share this limit; `None` when they count apart, or by a rule that only its authority
    /// can follow.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        match (&self.algorithm, self.scope) {
            // A compiled mode is within its range.
            (Algorithm::Gcra(quota), Scope::Shared { authority: Authority::Objects, .. }) => {
                Terms::new(*quota, self.mode).ok()
            }
            _ => None,
        }
    }

    /// What one isolate counts by while the authority of a shared limit does not answer: its part of the quota, at
    /// least one unit, so that about [`Limit::isolates`] of them together stay within the whole.
    #[must_use]
    pub fn share(&self) -> Algorithm {
        let part = |units: NonZeroU32| NonZeroU32::new(units.get() / self.isolates).unwrap_or(NonZeroU32::MIN);
        let share = match &self.algorithm {
            Algorithm::Gcra(rule) => Terms::new(*rule, Mode::Exact).ok().map(|terms| terms.share(self.isolates).into()),
            Algorithm::SlidingWindow(rule) => {
                SlidingWindow::new(part(rule.limit()), rule.window()).ok().map(Algorithm::from)
            }
            Algorithm::FixedWindow(rule) => Some(FixedWindow::new(part(rule.limit()), rule.period()).into()),
            Algorithm::IntervalBucket(rule) => {
                let (capacity, refill) = (part(rule.capacity()), part(rule.refill()));
                IntervalBucket::new(capacity, refill, rule.interval()).ok().map(Algorithm::from)
            }
            Algorithm::SlidingLog(rule) => SlidingLog::new(part(rule.limit()), rule.window()).ok().map(Algorithm::from),
            Algorithm::Concurrency(rule) => Concurrency::new(part(rule.limit()), rule.ttl()).ok().map(Algorithm::from),
        };
        // Where the rounding of a part leaves no rule that holds together, the isolate counts the whole.
        share.unwrap_or(self.algorithm)
    }
}

impl Methods {
    /// The methods with which HTTP asks an origin for something (RFC 9110 §9.3, RFC 5789).
    pub const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

    /// Whether every method that fits `other` fits here.
    #[cfg(feature = "toml")]
    fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            // A list holds known methods only.
            (Self::Any, _) | (Self::All, Self::All | Self::Only(_)) => true,
            (Self::All, Self::Any) | (Self::Only(_), Self::All | Self::Any) => false,
            (Self::Only(mine), Self::Only(theirs)) => theirs.iter().all(|method| mine.contains(method)),
        }
    }

    /// Whether a request with `method` fits.
    #[must_use]
    pub fn take(&self, method: &str) -> bool {
        match self {
            Self::All => Self::KNOWN.contains(&method),
            Self::Any => true,
            Self::Only(methods) => {
                // RFC 9110 §9.3.2: HEAD is identical to GET, without the content.
                let method = if method == "HEAD" { "GET" } else { method };
                methods.iter().any(|taken| taken == method)
            }
        }
    }
}

impl Scope {
    /// The word for it in policy.toml, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Location => "location",
            Self::Shared { .. } => "shared",
        }
    }
}

impl StoreFailure {
    /// The word for it in policy.toml, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What a policy is made of: its serialised form, so that reading one checks it again.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Parts {
    upstreams: Vec<Upstream>,
    /// In the order of [`Authority::ALL`].
    reaches: [Reach; Authority::ALL.len()],
    limits: Vec<Limit>,
    routes: Vec<Route>,
    overload: overload::Config,
    site: Site,
}

impl From<Policy> for Parts {
    fn from(Policy { upstreams, reaches, limits, routes, overload, site, .. }: Policy) -> Self {
        Self { upstreams, reaches, limits, routes, overload, site }
    }
}

impl TryFrom<Parts> for Policy {
    type Error = PartsError;

    fn try_from(parts: Parts) -> Result<Self, PartsError> {
        Self::from_parts(parts)
    }
}

/// Bytes that are no policy of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PartsError;

impl fmt::Display for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a route names a limit or an upstream that the policy does not have; compile policy.toml again")
    }
}
