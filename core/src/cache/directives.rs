//! `Cache-Control` and the targeted fields that share its directives (RFC 9111 §5.2, RFC 5861, RFC 9213).

use core::time::Duration;

/// The directives of one cache-control field that a shared cache acts on. Unknown ones are skipped
/// (RFC 9111 §5.2.3).
///
/// Parsing allocates nothing and costs one pass over the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `s-maxage`, which outranks `max-age` in a shared cache.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`, also in its qualified form: validating more than was asked is always correct.
    pub no_cache: bool,
    /// `private`, also in its qualified form: storing less than was allowed is always correct.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
}

impl Directives {
    /// Reads a field value. Of a directive given twice, the first counts (RFC 9111 §4.2.1); a lifetime that
    /// is not a number counts as zero, because such a response is best treated as stale.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let mut directives = Self::default();
        for member in members(value) {
            let (name, argument) = match member.split_once('=') {
                Some((name, argument)) => (name.trim_end(), Some(argument.trim_start())),
                None => (member, None),
            };
            directives.apply(name, argument);
        }
        directives
    }

    /// Whether any lifetime is stated, so that a cache has no need to guess.
    #[must_use]
    pub const fn has_explicit_lifetime(&self) -> bool {
        self.s_maxage.is_some() || self.max_age.is_some()
    }

    /// Whether a stale response must never be served (RFC 9111 §5.2.2.2, §5.2.2.8, and §5.2.2.10, where
    /// `s-maxage` carries the meaning of `proxy-revalidate`).
    #[must_use]
    pub const fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }

    fn apply(&mut self, name: &str, argument: Option<&str>) {
        let flag = match () {
            () if name.eq_ignore_ascii_case("no-store") => &mut self.no_store,
            () if name.eq_ignore_ascii_case("no-cache") => &mut self.no_cache,
            () if name.eq_ignore_ascii_case("private") => &mut self.private,
            () if name.eq_ignore_ascii_case("public") => &mut self.public,
            () if name.eq_ignore_ascii_case("must-revalidate") => &mut self.must_revalidate,
            () if name.eq_ignore_ascii_case("proxy-revalidate") => &mut self.proxy_revalidate,
            () if name.eq_ignore_ascii_case("immutable") => &mut self.immutable,
            () => return self.apply_lifetime(name, argument),
        };
        *flag = true;
    }

    fn apply_lifetime(&mut self, name: &str, argument: Option<&str>) {
        let lifetime = match () {
            () if name.eq_ignore_ascii_case("max-age") => &mut self.max_age,
            () if name.eq_ignore_ascii_case("s-maxage") => &mut self.s_maxage,
            () if name.eq_ignore_ascii_case("stale-while-revalidate") => &mut self.stale_while_revalidate,
            () if name.eq_ignore_ascii_case("stale-if-error") => &mut self.stale_if_error,
            () => return,
        };
        if lifetime.is_none() {
            *lifetime = Some(argument.and_then(delta_seconds).unwrap_or(Duration::ZERO));
        }
    }
}

/// Reads delta-seconds (RFC 9111 §1.2.2), also inside quotes; a larger number than 2^31 counts as 2^31.
/// Anything else, a sign or a fraction included, is `None`.
pub(super) fn delta_seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse().map_or(DELTA_SECONDS_MAX, |seconds: u64| seconds.min(DELTA_SECONDS_MAX));
    Some(Duration::from_secs(seconds))
}

/// The members of a comma-separated list, trimmed, empty ones left out. A comma inside a quoted string does
/// not separate.
pub(super) fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    list.split(move |character: char| {
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        }
        character == ',' && !quoted
    })
    .map(|member| member.trim_matches([' ', '\t']))
    .filter(|member| !member.is_empty())
}

/// RFC 9111 §1.2.2 asks for at least this range and lets a cache cut what is above.
const DELTA_SECONDS_MAX: u64 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn lifetimes_are_read_as_the_field_says() {
        for (value, expect) in [
            ("max-age=60", seconds(60)),
            ("MAX-AGE=60", seconds(60)),
            ("public,max-age=60", seconds(60)),
            ("max-age = 60", seconds(60)),
            (" ,, max-age=60 ,", seconds(60)),
            ("max-age=\"60\"", seconds(60)),
            ("max-age=60, max-age=10", seconds(60)),
            ("max-age=99999999999999999999", seconds(1 << 31)),
            ("max-age=4294967296", seconds(1 << 31)),
            ("max-age=-1", seconds(0)),
            ("max-age=1.5", seconds(0)),
            ("max-age=a", seconds(0)),
            ("max-age", seconds(0)),
            ("max-age=", seconds(0)),
            ("ext=\"max-age=60\"", None),
            ("ext=\"a\\\", max-age=60\"", None),
            ("s-maxage=60", None),
            ("xmax-age=60", None),
            ("", None),
        ] {
            assert_eq!(Directives::parse(value).max_age, expect, "{value}");
        }
    }

    #[test]
    fn every_directive_is_known_by_its_name() {
        let directives = Directives::parse(
            "no-store, no-cache=\"set-cookie\", private=\"x\", public, must-revalidate, proxy-revalidate, \
             immutable, s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4, unknown=5",
        );
        assert_eq!(
            directives,
            Directives {
                max_age: seconds(2),
                s_maxage: seconds(1),
                stale_while_revalidate: seconds(3),
                stale_if_error: seconds(4),
                no_store: true,
                no_cache: true,
                private: true,
                public: true,
                must_revalidate: true,
                proxy_revalidate: true,
                immutable: true,
            }
        );
    }

    #[test]
    fn only_what_forbids_stale_forbids_it() {
        for (value, expect) in [
            ("max-age=1", false),
            ("max-age=1, must-revalidate", true),
            ("max-age=1, proxy-revalidate", true),
            ("s-maxage=1", true),
            ("no-cache", true),
            ("public, immutable, max-age=1", false),
        ] {
            assert_eq!(Directives::parse(value).forbids_stale(), expect, "{value}");
        }
    }
}
