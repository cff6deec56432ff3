//! For how long a response is fresh (RFC 9111 §4.2.1 and §4.2.2).

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{headers::as_text, time::Timestamp};

use super::{
    date::HttpDate,
    directives::Directives,
    fields::ResponseFields,
    list::{is_space, members, trim, without},
    options::{CacheOptions, JITTER_PERMILLE_MAX, Statuses},
};

/// Where a lifetime comes from. The word is the same in the explanation and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `s-maxage`.
    SharedMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// The policy, as the response states none.
    Policy,
    /// A tenth of the time since `Last-Modified` (RFC 9111 §4.2.2).
    Heuristic,
}

impl Source {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SharedMaxAge => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Policy => "policy",
            Self::Heuristic => "heuristic",
        }
    }
}

/// The directives that count, and where they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated<'a> {
    pub(super) directives: Directives,
    /// The field they were read from; empty when there is none.
    pub(super) text: &'a [u8],
    /// Whether that is a targeted field, so that `Cache-Control` and `Expires` do not count (RFC 9213 §2.2).
    pub(super) targeted: bool,
}

impl<'a> Stated<'a> {
    /// Reads the most specific field.
    pub(super) fn read(fields: &'a ResponseFields<'_>, options: &CacheOptions) -> Self {
        let targeted = [fields.own_cache_control(), fields.cdn_cache_control(), fields.surrogate_control()];
        Self::of(targeted, fields.cache_control(), options)
    }

    /// The same, of the values of [`TARGETED`] and of `Cache-Control`: a targeted one that is empty or broken counts as
    /// absent (RFC 9213 §2.2).
    pub(super) fn of(
        targeted: [Option<&'a [u8]>; TARGETED.len()],
        cache_control: Option<&'a [u8]>,
        options: &CacheOptions,
    ) -> Self {
        for (name, text) in TARGETED.into_iter().zip(targeted) {
            let Some(text) = text.filter(|text| !without(text, is_space).is_empty()) else { continue };
            let directives = match name {
                SURROGATE if options.surrogate_control => for_this_surrogate(&as_text(text)).map(|text| parsed(&text)),
                SURROGATE => None,
                _ => options.targeted.then(|| parsed(&as_text(text))),
            };
            if let Some(Some(mut directives)) = directives {
                directives.stand_in &= name == OWN;
                return Self { directives, text, targeted: true };
            }
        }
        let text = cache_control.unwrap_or_default();
        // Elsewhere it is an extension that nobody here has agreed on (RFC 9111 §5.2.3).
        let directives = Directives { stand_in: false, ..Directives::read(text) };
        Self { directives, text, targeted: false }
    }

    /// The lifetime that the response states, the most specific statement first (RFC 9111 §4.2.1).
    pub(super) fn lifetime(
        &self,
        expires: Option<&[u8]>,
        date: Option<HttpDate>,
        response_time: Timestamp,
    ) -> Option<(Duration, Source)> {
        let Directives { s_maxage, max_age, .. } = self.directives;
        if let Some(lifetime) = s_maxage {
            return Some((lifetime, Source::SharedMaxAge));
        }
        if let Some(lifetime) = max_age {
            return Some((lifetime, Source::MaxAge));
        }
        let expires = expires.filter(|_| !self.targeted)?;
        let base = date.map_or(response_time, HttpDate::timestamp);
        // Unreadable means already expired, as for `Expires: 0` (RFC 9111 §5.3); two of them are unreadable.
        let lifetime = HttpDate::read(expires).map_or(Duration::ZERO, |expires| expires.timestamp().since(base));
        Some((lifetime, Source::Expires))
    }
}

fn parsed(text: &str) -> Option<Directives> {
    Directives::parse_targeted(text).ok()
}

/// The directives of `Surrogate-Control` that are for everybody, or for a device of our name; `None` without any.
fn for_this_surrogate(text: &str) -> Option<String> {
    let ours = |directive: &&str| directive.split(';').skip(1).all(|target| trim(target) == SURROGATE_DEVICE);
    let directives: Vec<&str> = members(text).filter(ours).collect();
    (!directives.is_empty()).then(|| directives.join(", "))
}

/// A tenth of the time since the last change, at most [`HEURISTIC_MAX`].
pub(super) fn heuristic(modified: Option<Timestamp>, date: Timestamp) -> Option<Duration> {
    modified.map(|modified| (date.since(modified) / 10).min(HEURISTIC_MAX))
}

/// Whether a lifetime may be guessed for this status: those of RFC 9110 §15.1, but 405, 414 and 501, which a client can
/// provoke by the form of its request, only where any status is stored.
pub(super) fn is_heuristically_cacheable(status: u16, statuses: Statuses) -> bool {
    [200, 203, 204, 206, 300, 301, 308, 404, 410].contains(&status)
        || (statuses == Statuses::Any && [405, 414, 501].contains(&status))
}

/// A lifetime with a part taken off by chance, so that what was stored at one moment does not end at one moment. It is
/// only ever shortened, and never below the share that `options` leaves.
pub(super) fn jittered(lifetime: Duration, options: &CacheOptions, random: u32) -> Duration {
    if options.jitter_permille == 0 {
        return lifetime;
    }
    let permille = u128::from(options.jitter_permille.min(JITTER_PERMILLE_MAX));
    let off = lifetime.as_nanos() * permille * u128::from(random) / (1000 << 32);
    // At most a tenth of the lifetime, which fits.
    lifetime.saturating_sub(Duration::from_nanos(u64::try_from(off).unwrap_or(u64::MAX)))
}

/// Cache-control fields meant for this cache, the most specific first (RFC 9213 §2).
pub(super) const TARGETED: [&str; 3] = [OWN, "cdn-cache-control", SURROGATE];

/// The one that is meant for this cache alone, and may say what is agreed on with no other.
const OWN: &str = "seawall-cdn-cache-control";

/// The fields of targeted lifetimes that are meant for no other cache. `CDN-Cache-Control` goes on to caches nearer to the client
/// (RFC 9213 §3).
pub const CONSUMED: [&str; 2] = [OWN, SURROGATE];

/// What origins wrote before there were targeted fields (W3C Note "Edge Architecture Specification", 2001), for a cache
/// that the policy lets stand for such a surrogate. Its directives are those of a targeted field.
const SURROGATE: &str = "surrogate-control";

/// What this cache calls itself in `Surrogate-Capability`.
pub const SURROGATE_DEVICE: &str = "seawall";

/// RFC 9111 §4.2.2 asks for caution beyond a day.
pub const HEURISTIC_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

    #[test]
    fn the_most_specific_statement_counts() {
        let (own, cdn, cc, expires) = (TARGETED[0], TARGETED[1], "cache-control", "expires");
        for (id, response, expect) in [
            ("fresh-none", &[][..], None),
            ("fresh-max-age", &[(cc, "max-age=60")], Some((60, Source::MaxAge))),
            ("fresh-s-maxage", &[(cc, "max-age=60, s-maxage=70")], Some((70, Source::SharedMaxAge))),
            ("fresh-expires", &[(expires, MINUTE_LATER)], Some((60, Source::Expires))),
            ("fresh-max-age-over-expires", &[(expires, MINUTE_LATER), (cc, "max-age=5")], Some((5, Source::MaxAge))),
            ("fresh-expires-0", &[(expires, "0")], Some((0, Source::Expires))),
            ("fresh-expires-past", &[(expires, "Sun, 06 Nov 1994 08:49:36 GMT")], Some((0, Source::Expires))),
            ("fresh-expires-twice", &[(expires, MINUTE_LATER), (expires, MINUTE_LATER)], Some((0, Source::Expires))),
            ("fresh-targeted", &[(cdn, "max-age=8"), (cc, "max-age=7")], Some((8, Source::MaxAge))),
            ("fresh-own-over-cdn", &[(cdn, "max-age=8"), (own, "max-age=9")], Some((9, Source::MaxAge))),
            ("fresh-targeted-empty", &[(own, " "), (cc, "max-age=7")], Some((7, Source::MaxAge))),
            ("fresh-targeted-broken", &[(own, "max-age=9, &&"), (cdn, "max-age=8")], Some((8, Source::MaxAge))),
            ("fresh-targeted-wrong-type", &[(cdn, "max-age=\"9\""), (cc, "max-age=7")], Some((7, Source::MaxAge))),
            ("fresh-targeted-silent", &[(cdn, "stale-if-error=1"), (expires, MINUTE_LATER)], None),
        ] {
            let fields = ResponseFields::read(&response);
            let stated = Stated::read(&fields, &CacheOptions::default());
            let lifetime = stated.lifetime(fields.expires(), DATE.parse().ok(), NOW);
            assert_eq!(lifetime.map(|(lifetime, source)| (lifetime.as_secs(), source)), expect, "{id}");
        }
        let off = CacheOptions { targeted: false, ..CacheOptions::default() };
        let response = [(cdn, "max-age=8"), (cc, "max-age=7")];
        let fields = ResponseFields::read(&response);
        assert_eq!(Stated::read(&fields, &off).directives.max_age, Some(Duration::from_secs(7)), "targeted-off");
        let surrogate = CacheOptions { surrogate_control: true, ..CacheOptions::default() };
        for (id, response, expect) in [
            ("surrogate", &[(SURROGATE, "max-age=5;other, max-age=9;seawall"), (cc, "max-age=7")][..], 9),
            ("surrogate-other", &[(SURROGATE, "max-age=9;other"), (cc, "max-age=7")], 7),
            ("surrogate-after-cdn", &[(SURROGATE, "max-age=9"), (cdn, "max-age=8")], 8),
            ("surrogate-broken", &[(SURROGATE, "content=\""), (cc, "max-age=7")], 7),
        ] {
            let fields = ResponseFields::read(&response);
            let max_age = |options| Stated::read(&fields, options).directives.max_age.map(|time| time.as_secs());
            assert_eq!(max_age(&surrogate), Some(expect), "{id}");
            assert_ne!(max_age(&CacheOptions::default()), Some(9), "{id}");
        }
        let stands_in = "no-store, stand-in";
        for (name, expect) in [(own, true), (cdn, false), (SURROGATE, false), (cc, false)] {
            let response = [(name, stands_in)];
            let fields = ResponseFields::read(&response);
            let Directives { no_store, stand_in, .. } = Stated::read(&fields, &surrogate).directives;
            assert_eq!((no_store, stand_in), (true, expect), "{name}");
        }
        let nothing = Stated::of([None; TARGETED.len()], None, &off);
        assert_eq!(
            nothing.lifetime(Some(MINUTE_LATER.as_bytes()), None, NOW),
            Some((Duration::from_secs(60), Source::Expires)),
            "expires-without-date"
        );
    }

    #[test]
    fn a_guess_is_a_tenth_and_no_more_than_a_day() {
        let ago = |seconds: u64| Some(Timestamp::from_unix_seconds(784_111_777 - seconds));
        for (modified, expect) in [
            (None, None),
            (ago(0), Some(0)),
            (ago(100), Some(10)),
            (ago(86_400), Some(8640)),
            (ago(86_400 * 100), Some(86_400)),
            (Some(NOW.after(Duration::from_secs(5))), Some(0)),
        ] {
            assert_eq!(heuristic(modified, NOW).map(|lifetime| lifetime.as_secs()), expect);
        }
        for (status, statuses, expect) in [
            (404, Statuses::Understood, true),
            (405, Statuses::Understood, false),
            (405, Statuses::Any, true),
            (403, Statuses::Any, false),
        ] {
            assert_eq!(is_heuristically_cacheable(status, statuses), expect, "{status}");
        }
    }

    proptest::proptest! {
        #[test]
        fn jitter_only_shortens_and_by_no_more_than_its_share(
            seconds in 0_u64..40_000_000, permille in 0_u16..2000, random: u32,
        ) {
            let options = CacheOptions { jitter_permille: permille, ..CacheOptions::default() };
            let lifetime = Duration::from_secs(seconds);
            let short = jittered(lifetime, &options, random);
            proptest::prop_assert!(short <= lifetime);
            proptest::prop_assert!(short >= lifetime / 10 * 9);
        }
    }
}
