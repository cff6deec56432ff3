//! Whom Redis has just refused, so that it is not asked again before that has passed.
//!
//! A limit that has no room has none before its wait is over, whatever is asked meanwhile: what others spend only makes it
//! longer. So the same refusal holds until then, and nobody is admitted who would not have been. A limit on what runs at a
//! time is left out, since a place may come free sooner.

use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use seawall_core::limit::{Admission, Ruling, Verdict};

use super::client::Client;
use super::{Named, memory};

/// The refusals that are remembered. One that is forgotten costs a question to Redis.
#[derive(Debug)]
pub(super) struct Refused(Cache<u128, (Verdict, Instant)>);

/// Clients times limits that are remembered: 16 Ki in about 2 MiB.
const REFUSALS_MAX: usize = 1 << 14;

impl Refused {
    pub(super) fn new() -> Self {
        Self(Cache::new(REFUSALS_MAX))
    }

    /// What the limits still say that had no room; `None` when Redis has to be asked.
    pub(super) fn standing(&self, limits: &[Named<'_>], client: Client, now: Instant) -> Option<Admission> {
        let verdicts: Vec<Verdict> = limits.iter().filter_map(|(id, _)| self.of(client.key(*id), now)).collect();
        (!verdicts.is_empty()).then_some(Admission { verdicts })
    }

    fn of(&self, key: u128, now: Instant) -> Option<Verdict> {
        let (verdict, until) = self.0.get(&key)?;
        let left = until.checked_duration_since(now).filter(|left| *left > Duration::ZERO)?;
        let effective_window_seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(Verdict { ruling: Ruling::Deny { retry_after: left }, effective_window_seconds, ..verdict })
    }

    /// Remembers what Redis said to a question of `asked`: its waits began after that.
    pub(super) fn note(&self, limits: &[Named<'_>], client: Client, answer: &Admission, asked: Instant) {
        for verdict in answer.violated() {
            let is_held = limits.iter().any(|(id, limit)| *id == verdict.limit && memory::is_held(&limit.algorithm));
            if let (Ruling::Deny { retry_after }, false) = (verdict.ruling, is_held)
                && let Some(until) = asked.checked_add(retry_after)
            {
                self.0.insert(client.key(verdict.limit), (*verdict, until));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;
    use seawall_core::limit::LimitId;
    use seawall_core::policy::Policy;

    use super::*;

    #[test]
    fn a_refusal_holds_until_its_wait_is_over_and_for_its_client_and_limit_alone() {
        let policy = Policy::compile(super::super::tests::POLICY).unwrap();
        let limits: Vec<Named<'_>> =
            policy.limits().iter().enumerate().map(|(id, limit)| (LimitId(id as u16), limit)).collect();
        let client = |last| Client::of(Some(IpAddr::from([192, 0, 2, last])), &HeaderMap::new(), 0);
        let asked = Instant::now();
        let deny = |id: LimitId| Verdict {
            limit: id,
            ruling: Ruling::Deny { retry_after: Duration::from_millis(2_500) },
            remaining: 0,
            effective_window_seconds: 3,
        };
        let refused = Refused::new();
        let verdicts = limits.iter().map(|(id, _)| deny(*id)).collect();
        refused.note(&limits, client(1), &Admission { verdicts }, asked);
        let wait = |limit: usize, last, after_ms| {
            let now = asked + Duration::from_millis(after_ms);
            let standing = refused.standing(&limits[limit..=limit], client(last), now);
            standing.and_then(|admission| admission.refusal()?.retry_after)
        };
        for (limit, last, after_ms, left_ms) in [
            (0, 1, 0, Some(2_500)),
            (1, 1, 2_499, Some(1)),
            (0, 1, 2_500, None),
            (0, 1, 9_000, None),
            (0, 2, 0, None),
            // A limit on what runs at a time.
            (3, 1, 0, None),
        ] {
            let expected = left_ms.map(Duration::from_millis);
            assert_eq!(wait(limit, last, after_ms), expected, "{limit} {last} {after_ms}");
        }
        let allowed = Admission { verdicts: vec![Verdict { ruling: Ruling::Allow, ..deny(limits[0].0) }] };
        refused.note(&limits, client(3), &allowed, asked);
        assert_eq!(wait(0, 3, 0), None);
    }
}
