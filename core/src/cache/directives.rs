//! `Cache-Control` and the targeted fields that share its directives (RFC 9111 §5.2, RFC 5861, RFC 8246, RFC 9213).

use core::time::Duration;

use crate::headers::{Fields, Names, as_text};

use super::{
    list::{EachDirective, is_space, members, without},
    structured::{Bare, InvalidStructure, Value, dictionary},
};

/// The directives of one cache-control field of a response that a shared cache acts on. Unknown ones are skipped
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
    /// `stand-in`, an extension of ours (RFC 9111 §5.2.3): the origin could not say what is right now and answers with what it
    /// had. Beside `no-store` it leaves what is stored as it is. Counts only in the field that is meant for this cache alone.
    pub stand_in: bool,
    /// `no-cache`.
    pub no_cache: Reach,
    /// `private`.
    pub private: Reach,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
}

/// How much of a response a directive speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing: it is not there.
    #[default]
    Absent,
    /// Only the fields that its argument lists (RFC 9111 §5.2.2.4, §5.2.2.7).
    Fields,
    /// All of it.
    Response,
}

/// What a client asks of caches on its way (RFC 9111 §5.2.1), `Pragma` included (§5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age`: nothing older.
    pub max_age: Option<Duration>,
    /// `max-stale`: stale for no longer; without an argument, however long.
    pub max_stale: Option<Duration>,
    /// `min-fresh`: fresh for that much longer.
    pub min_fresh: Option<Duration>,
    /// `no-cache`: nothing without validation.
    pub no_cache: bool,
    /// `no-store`: nothing may be kept of this.
    pub no_store: bool,
    /// `only-if-cached`: do not ask the origin.
    pub only_if_cached: bool,
}

impl Directives {
    /// Reads a `Cache-Control` value. Of a directive given twice, the first counts (RFC 9111 §4.2.1); a lifetime
    /// that is not a number counts as zero, because such a response is best treated as stale.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        Self::read(value.as_bytes())
    }

    /// The same, of a value whose bytes need not be text: what is known here is ASCII.
    pub(super) fn read(value: &[u8]) -> Self {
        let mut directives = Self::default();
        let mut each = EachDirective::of(value);
        for (name, argument) in &mut each {
            let lifetime = || argument.and_then(delta_seconds).unwrap_or(Duration::ZERO);
            directives.apply(name, lifetime, || reach(argument));
        }
        if each.ended_inside_quotes {
            // The open quote may have swallowed a restriction.
            directives.private = Reach::Response;
        }
        directives
    }

    /// Reads a targeted field, which is a Dictionary (RFC 9213 §2.1).
    ///
    /// # Errors
    /// When it is no Dictionary, or gives a directive that is known here a value of the wrong type: then the whole
    /// field counts as absent.
    pub fn parse_targeted(value: &str) -> Result<Self, InvalidStructure> {
        let mut directives = Self::default();
        let mut fits = true;
        dictionary(value, |name, member| {
            let takes_number = matches!(name, "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error");
            let (lifetime, reach) = match member.value {
                Value::Item(Bare::Boolean(false)) if !takes_number => return,
                Value::Item(Bare::Integer(seconds)) => {
                    // A negative lifetime is none.
                    (Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(DELTA_SECONDS_MAX)), Reach::Response)
                }
                Value::Item(Bare::String(_)) => (Duration::ZERO, Reach::Fields),
                _ => (Duration::ZERO, Reach::Response),
            };
            let is_number = matches!(member.value, Value::Item(Bare::Integer(_)));
            fits &= is_number || !takes_number;
            if takes_number {
                // Of a repeated key the last counts (RFC 9651 §4.2.2).
                directives.forget(name);
            }
            directives.apply(name.as_bytes(), || lifetime, || reach);
        })?;
        if fits { Ok(directives) } else { Err(InvalidStructure) }
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
        self.must_revalidate
            || self.proxy_revalidate
            || matches!(self.no_cache, Reach::Response)
            || self.s_maxage.is_some()
    }

    /// Takes a directive in; what it says is read only if it is known to say something.
    fn apply(&mut self, name: &[u8], lifetime: impl FnOnce() -> Duration, reach: impl FnOnce() -> Reach) {
        match Directive::named(name) {
            Some(Directive::NoStore) => self.no_store = true,
            Some(Directive::StandIn) => self.stand_in = true,
            Some(Directive::Public) => self.public = true,
            Some(Directive::MustRevalidate) => self.must_revalidate = true,
            Some(Directive::ProxyRevalidate) => self.proxy_revalidate = true,
            Some(Directive::MustUnderstand) => self.must_understand = true,
            Some(Directive::Immutable) => self.immutable = true,
            Some(Directive::NoCache) => self.no_cache = self.no_cache.max(reach()),
            Some(Directive::Private) => self.private = self.private.max(reach()),
            Some(directive) => {
                let Some(stated) = self.lifetime(directive) else { return };
                stated.get_or_insert_with(lifetime);
            }
            None => {}
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(stated) = Directive::named(name.as_bytes()).and_then(|directive| self.lifetime(directive)) {
            *stated = None;
        }
    }

    fn lifetime(&mut self, directive: Directive) -> Option<&mut Option<Duration>> {
        match directive {
            Directive::MaxAge => Some(&mut self.max_age),
            Directive::SMaxage => Some(&mut self.s_maxage),
            Directive::StaleWhileRevalidate => Some(&mut self.stale_while_revalidate),
            Directive::StaleIfError => Some(&mut self.stale_if_error),
            _ => None,
        }
    }
}

/// The directives that are known, in requests and in responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Immutable,
    MaxAge,
    MaxStale,
    MinFresh,
    MustRevalidate,
    MustUnderstand,
    NoCache,
    NoStore,
    OnlyIfCached,
    Private,
    ProxyRevalidate,
    Public,
    SMaxage,
    StaleIfError,
    StaleWhileRevalidate,
    StandIn,
}

impl Directive {
    /// The one of this name, in any case.
    fn named(name: &[u8]) -> Option<Self> {
        Self::spelled(name).or_else(|| {
            let mut folded = [0; LONGEST_DIRECTIVE];
            let folded = folded.get_mut(..name.len()).filter(|_| name.iter().any(u8::is_ascii_uppercase))?;
            folded.copy_from_slice(name);
            folded.make_ascii_lowercase();
            Self::spelled(folded)
        })
    }

    /// The one of this name in lower case, as nearly all are written.
    const fn spelled(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"immutable" => Self::Immutable,
            b"max-age" => Self::MaxAge,
            b"max-stale" => Self::MaxStale,
            b"min-fresh" => Self::MinFresh,
            b"must-revalidate" => Self::MustRevalidate,
            b"must-understand" => Self::MustUnderstand,
            b"no-cache" => Self::NoCache,
            b"no-store" => Self::NoStore,
            b"only-if-cached" => Self::OnlyIfCached,
            b"private" => Self::Private,
            b"proxy-revalidate" => Self::ProxyRevalidate,
            b"public" => Self::Public,
            b"s-maxage" => Self::SMaxage,
            b"stale-if-error" => Self::StaleIfError,
            b"stale-while-revalidate" => Self::StaleWhileRevalidate,
            b"stand-in" => Self::StandIn,
            _ => return None,
        })
    }
}

impl RequestDirectives {
    /// Reads them from a request. `Pragma: no-cache` counts when there is no `Cache-Control` (RFC 9111 §5.4).
    ///
    /// An unreadable `max-age` counts as zero and the two others as absent: each errs towards asking the origin.
    #[must_use]
    pub fn of(request: &impl Fields) -> Self {
        let mut directives = Self::default();
        let asked = request.fields(&REQUEST_FIELDS);
        let [cache_control, pragma] = asked.all();
        let Some(value) = cache_control else {
            let no_cache = |value: &str| members(value).any(|member| member.eq_ignore_ascii_case("no-cache"));
            directives.no_cache = pragma.map(as_text).is_some_and(|value| no_cache(&value));
            return directives;
        };
        for (name, argument) in EachDirective::of(value) {
            let seconds = argument.and_then(delta_seconds);
            match Directive::named(name) {
                Some(Directive::MaxAge) => {
                    directives.max_age = directives.max_age.or_else(|| Some(seconds.unwrap_or_default()))
                }
                Some(Directive::MaxStale) => {
                    let unbounded = argument.is_none().then_some(Duration::MAX);
                    directives.max_stale = directives.max_stale.or(seconds).or(unbounded);
                }
                Some(Directive::MinFresh) => directives.min_fresh = directives.min_fresh.or(seconds),
                Some(Directive::NoCache) => directives.no_cache = true,
                Some(Directive::NoStore) => directives.no_store = true,
                Some(Directive::OnlyIfCached) => directives.only_if_cached = true,
                _ => {}
            }
        }
        directives
    }
}

/// Whether the `Cache-Control` of a request wants nothing of it kept (RFC 9111 §5.2.1.5).
pub(super) fn forbids_storing(cache_control: &[u8]) -> bool {
    EachDirective::of(cache_control).any(|(name, _)| Directive::named(name) == Some(Directive::NoStore))
}

/// The field names that the qualified `no-cache` and `private` of a `Cache-Control` value list.
pub(super) fn listed_fields(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    EachDirective::of(value)
        .filter_map(|(name, argument)| {
            let lists = matches!(Directive::named(name), Some(Directive::NoCache | Directive::Private));
            argument.filter(|_| lists)
        })
        .flat_map(|argument| without(argument, |byte| byte == b'"').split(|byte| *byte == b','))
        .map(|name| without(name, is_space))
        .filter(|name| !name.is_empty())
}

/// What a directive with this argument speaks of; an empty list would protect nothing and so means everything.
fn reach(argument: Option<&[u8]>) -> Reach {
    match argument.map(|list| without(list, |byte| matches!(byte, b'"' | b' ' | b'\t' | b','))) {
        None | Some(b"") => Reach::Response,
        Some(_) => Reach::Fields,
    }
}

/// Reads delta-seconds (RFC 9111 §1.2.2), also inside quotes; a larger number than 2^31 counts as 2^31.
/// Anything else, a sign or a fraction included, is `None`.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    let digits = if let [b'"', digits @ .., b'"'] = text { digits } else { text };
    if digits.is_empty() {
        return None;
    }
    let seconds = digits.iter().try_fold(0, |seconds: u64, digit| {
        // Ten times the largest number is far inside 64 bits.
        digit.is_ascii_digit().then(|| (seconds * 10 + u64::from(digit - b'0')).min(DELTA_SECONDS_MAX))
    })?;
    Some(Duration::from_secs(seconds))
}

/// Where a request says what it wants.
static REQUEST_FIELDS: Names<2> = Names::new(["cache-control", "pragma"]);

/// `stale-while-revalidate`.
const LONGEST_DIRECTIVE: usize = 22;

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
            ("max-age = 60", seconds(0)),
            ("max-age =60", seconds(0)),
            ("max-age= 60", seconds(0)),
            ("max-age='60'", seconds(0)),
            ("max-age=0060", seconds(60)),
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
            "no-store, no-cache=\"set-cookie\", private, public, must-revalidate, proxy-revalidate, \
             must-understand, immutable, s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4, stand-in, unknown=5",
        );
        assert_eq!(
            directives,
            Directives {
                max_age: seconds(2),
                s_maxage: seconds(1),
                stale_while_revalidate: seconds(3),
                stale_if_error: seconds(4),
                no_store: true,
                stand_in: true,
                no_cache: Reach::Fields,
                private: Reach::Response,
                public: true,
                must_revalidate: true,
                proxy_revalidate: true,
                must_understand: true,
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

    #[test]
    fn the_qualified_forms_list_fields() {
        for (value, reach, fields) in [
            ("private=\"a\"", Reach::Fields, &["a"][..]),
            ("private=\"a, B\"", Reach::Fields, &["a", "B"]),
            ("private=a", Reach::Fields, &["a"]),
            ("private=\"a\", private=\"b\"", Reach::Fields, &["a", "b"]),
            ("private=\"a\", private", Reach::Response, &["a"]),
            ("private=\"\"", Reach::Response, &[]),
            ("private=", Reach::Response, &[]),
            ("private", Reach::Response, &[]),
            ("ext=\"private\"", Reach::Absent, &[]),
            ("ext=\"x, no-store", Reach::Response, &[]),
            ("ext=\"x\\\"\", max-age=1", Reach::Absent, &[]),
        ] {
            assert_eq!(Directives::parse(value).private, reach, "{value}");
            assert!(listed_fields(value.as_bytes()).eq(fields.iter().map(|name| name.as_bytes())), "{value}");
        }
    }

    #[test]
    fn a_targeted_field_is_a_dictionary_or_nothing() {
        for (value, expect) in [
            ("max-age=60", Ok(seconds(60))),
            ("foobar, max-age=60;x", Ok(seconds(60))),
            ("max-age=1, max-age=60", Ok(seconds(60))),
            ("max-age=-1", Ok(seconds(0))),
            ("max-age=99999999999", Ok(seconds(1 << 31))),
            ("no-store", Ok(None)),
            ("max-age=\"60\"", Err(InvalidStructure)),
            ("max-age", Err(InvalidStructure)),
            ("max-age=?0", Err(InvalidStructure)),
            ("max-age=60, &&&&&", Err(InvalidStructure)),
            ("MaX-aGe=60", Err(InvalidStructure)),
            ("max-age =60", Err(InvalidStructure)),
        ] {
            assert_eq!(Directives::parse_targeted(value).map(|directives| directives.max_age), expect, "{value}");
        }
        let directives = Directives::parse_targeted("no-store=?0, private=\"x\", no-cache").unwrap();
        assert_eq!(
            (directives.no_store, directives.private, directives.no_cache),
            (false, Reach::Fields, Reach::Response)
        );
    }

    #[test]
    fn a_request_says_what_it_wants() {
        let of = |name: &str, value: &str| RequestDirectives::of(&[(name, value)]);
        let none = RequestDirectives::default();
        for (name, value, expect) in [
            ("cache-control", "max-age=5", RequestDirectives { max_age: seconds(5), ..none }),
            ("cache-control", "max-age=x", RequestDirectives { max_age: seconds(0), ..none }),
            ("cache-control", "max-stale", RequestDirectives { max_stale: Some(Duration::MAX), ..none }),
            ("cache-control", "max-stale=5", RequestDirectives { max_stale: seconds(5), ..none }),
            ("cache-control", "max-stale=x", none),
            ("cache-control", "min-fresh=5", RequestDirectives { min_fresh: seconds(5), ..none }),
            ("cache-control", "No-Cache", RequestDirectives { no_cache: true, ..none }),
            ("cache-control", "no-store", RequestDirectives { no_store: true, ..none }),
            ("cache-control", "only-if-cached", RequestDirectives { only_if_cached: true, ..none }),
            ("cache-control", "x", none),
            ("pragma", "no-cache", RequestDirectives { no_cache: true, ..none }),
            ("pragma", "x, No-Cache", RequestDirectives { no_cache: true, ..none }),
        ] {
            assert_eq!(of(name, value), expect, "{name}: {value}");
        }
        assert_eq!(RequestDirectives::of(&[("pragma", "no-cache"), ("cache-control", "x")]), none);
    }
}
