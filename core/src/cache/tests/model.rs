//! The obvious model: it remembers every response ever said, in plain numbers, and is asked of each answer from the
//! cache whether RFC 9111 lets a shared cache give it. It shares no code with the cache.

use alloc::{format, string::String, vec::Vec};

/// What an origin said once. Times are seconds.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Which representation it is; a 304 speaks of an earlier one.
    pub(super) body: u64,
    pub(super) url: usize,
    /// Which of the two request fields it varies on.
    pub(super) varies: [bool; 2],
    pub(super) asked: Asked,
    pub(super) status: u16,
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) swr: Option<u64>,
    pub(super) sie: Option<u64>,
    pub(super) flags: Flags,
    pub(super) etag: Option<u64>,
    /// How long before the response time its `Date` is; negative when its clock is ahead.
    pub(super) date_behind: i64,
    pub(super) age: u64,
    pub(super) request_time: u64,
    pub(super) response_time: u64,
    /// The number of invalidations of its URL when the request went out.
    pub(super) after_invalidations: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) set_cookie: bool,
    pub(super) vary_star: bool,
}

/// The part of a request that may choose a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) fields: [Option<u8>; 2],
    pub(super) authorized: bool,
    /// `max-age` of the request, when the policy honours it.
    pub(super) max_age: Option<u64>,
    /// `max-stale` of the request, when the policy honours it.
    pub(super) max_stale: Option<u64>,
}

/// How an answer from the cache came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Without the origin.
    Store,
    /// The origin failed.
    Error,
    /// The origin said that it is still right.
    Validated,
}

impl Said {
    pub(super) fn lifetime(&self) -> u64 {
        let stated = self.s_maxage.or(self.max_age).unwrap_or(0);
        if self.status >= 400 { stated.min(10) } else { stated }
    }

    pub(super) fn age_at(&self, now: u64) -> u64 {
        let apparent = u64::try_from(self.date_behind).unwrap_or(0);
        let corrected = self.age + self.response_time.saturating_sub(self.request_time);
        apparent.max(corrected) + now.saturating_sub(self.response_time)
    }

    fn is_fresh(&self, now: u64) -> bool {
        !self.flags.no_cache && self.lifetime() > self.age_at(now)
    }

    fn may_be_stale(&self, now: u64, seconds: u64) -> bool {
        let forbidden =
            self.flags.no_cache || self.flags.must_revalidate || self.flags.proxy_revalidate || self.s_maxage.is_some();
        !forbidden && self.age_at(now) < self.lifetime() + seconds
    }

    /// What it states for a time after its lifetime; errors have none.
    fn window(&self, stated: Option<u64>) -> u64 {
        if self.status >= 400 { 0 } else { stated.unwrap_or(0) }
    }
}

/// Why the answer to `asked` for `url` at `now` must not be `said`; `None` when it may.
pub(super) fn forbids(
    said: &Said,
    url: usize,
    asked: Asked,
    now: u64,
    via: Via,
    invalidations: usize,
) -> Option<String> {
    let Flags { no_store, private, set_cookie, vary_star, public, must_revalidate, .. } = said.flags;
    let mut faults: Vec<&str> = Vec::new();
    let mut fault = |found: bool, name| faults.extend(found.then_some(name));
    fault(said.url != url, "another URL");
    fault(no_store, "no-store");
    fault(private, "private");
    fault(set_cookie, "set-cookie");
    fault(vary_star, "vary: *");
    let differs = (0..2).any(|field| said.varies[field] && said.asked.fields[field] != asked.fields[field]);
    fault(differs, "another variant");
    let shared = public || must_revalidate || said.s_maxage.is_some();
    fault(said.asked.authorized && !shared, "said to someone with Authorization");
    fault(said.after_invalidations < invalidations, "invalidated");
    let usable = match via {
        Via::Validated => true,
        Via::Store => {
            let too_old = asked.max_age.is_some_and(|max_age| said.age_at(now) > max_age || max_age == 0);
            // Whole seconds here, so that "at most" is "less than one more".
            let taken = asked.max_stale.map_or(0, |max_stale| max_stale + 1);
            let window = said.window(said.swr).max(taken);
            !too_old && (said.is_fresh(now) || said.may_be_stale(now, window))
        }
        Via::Error => said.is_fresh(now) || said.may_be_stale(now, said.window(said.swr.max(said.sie))),
    };
    fault(!usable, "stale, or older than asked for");
    (!faults.is_empty()).then(|| format!("{faults:?}"))
}

/// Whether a cache that stores all it may has no reason to ask the origin: a fresh answer is there.
pub(super) fn is_plain_hit(said: &Said, url: usize, asked: Asked, now: u64, invalidations: usize) -> bool {
    asked.max_age.is_none()
        && !asked.authorized
        && said.is_fresh(now)
        && forbids(said, url, asked, now, Via::Store, invalidations).is_none()
}
