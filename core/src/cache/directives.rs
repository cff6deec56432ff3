//! `Cache-Control` and the targeted fields that share its directives (RFC 9111 §5.2, RFC 5861, RFC 8246, RFC 9213).

use core::time::Duration;

use crate::headers::{Fields, Names};

use super::structured::{Bare, InvalidStructure, Value, dictionary};

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
            directives.apply(name, || lifetime, || reach);
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
    fn apply(&mut self, name: &str, lifetime: impl FnOnce() -> Duration, reach: impl FnOnce() -> Reach) {
        match Directive::named(name) {
            Some(Directive::NoStore) => self.no_store = true,
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
        if let Some(stated) = Directive::named(name).and_then(|directive| self.lifetime(directive)) {
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
}

impl Directive {
    /// The one of this name, in any case.
    fn named(name: &str) -> Option<Self> {
        Self::spelled(name.as_bytes()).or_else(|| {
            let mut folded = [0; LONGEST_DIRECTIVE];
            let folded = folded.get_mut(..name.len()).filter(|_| name.bytes().any(|byte| byte.is_ascii_uppercase()))?;
            folded.copy_from_slice(name.as_bytes());
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
        let [cache_control, pragma] = request.fields(&REQUEST_FIELDS);
        let Some(value) = cache_control else {
            directives.no_cache =
                pragma.is_some_and(|value| members(&value).any(|member| member.eq_ignore_ascii_case("no-cache")));
            return directives;
        };
        for (name, argument) in EachDirective::of(&value) {
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
pub(super) fn forbids_storing(cache_control: &str) -> bool {
    EachDirective::of(cache_control).any(|(name, _)| Directive::named(name) == Some(Directive::NoStore))
}

/// The field names that the qualified `no-cache` and `private` of a `Cache-Control` value list.
pub(super) fn listed_fields(value: &str) -> impl Iterator<Item = &str> {
    EachDirective::of(value)
        .filter_map(|(name, argument)| {
            let lists = matches!(Directive::named(name), Some(Directive::NoCache | Directive::Private));
            argument.filter(|_| lists)
        })
        .flat_map(|argument| argument.trim_matches('"').split(','))
        .map(trim)
        .filter(|name| !name.is_empty())
}

/// Name and argument of each directive, in one pass over the value. A space beside the `=` is not in the grammar; the
/// argument is then read as it stands, and a lifetime so written is no number.
struct EachDirective<'a> {
    rest: &'a str,
    /// Whether what was read last ended before its quoted string did.
    ended_inside_quotes: bool,
}

impl<'a> EachDirective<'a> {
    const fn of(value: &'a str) -> Self {
        Self { rest: value, ended_inside_quotes: false }
    }
}

impl<'a> Iterator for EachDirective<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (rest, first) = (self.rest, First::of(self.rest));
            // Behind the comma, where there is one.
            self.rest = rest.get(first.end + 1..).unwrap_or_default();
            self.ended_inside_quotes = first.ended_inside_quotes;
            let Some(equals) = first.equals else {
                let name = trim(&rest[..first.end]);
                if name.is_empty() {
                    continue;
                }
                return Some((name, None));
            };
            let (name, argument) = (&rest[..equals], trim_end(&rest[equals + 1..first.end]));
            let is_spaced = name.ends_with([' ', '\t']);
            return Some((trim(name), Some(if is_spaced { "" } else { argument })));
        }
        None
    }
}

/// Where the first member of a list ends, and what was seen on the way there. What matters is ASCII, which is part of no
/// other character.
struct First {
    /// The place of the comma behind it, or the length of the list.
    end: usize,
    /// The place of the first `=` in it.
    equals: Option<usize>,
    ended_inside_quotes: bool,
}

impl First {
    fn of(list: &str) -> Self {
        let bytes = list.as_bytes();
        let (mut equals, mut quoted, mut escaped) = (None, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            // Letters first: they say nothing.
            if *byte > b'=' && *byte != b'\\' || escaped {
                escaped = false;
                continue;
            }
            match byte {
                b',' if !quoted => return Self { end: at, equals, ended_inside_quotes: false },
                b'"' => quoted = !quoted,
                b'\\' => escaped = quoted,
                b'=' if equals.is_none() => equals = Some(at),
                _ => {}
            }
        }
        Self { end: bytes.len(), equals, ended_inside_quotes: quoted }
    }
}

/// What a directive with this argument speaks of; an empty list would protect nothing and so means everything.
fn reach(argument: Option<&str>) -> Reach {
    match argument.map(|list| list.trim_matches(['"', ' ', '\t', ','])) {
        None | Some("") => Reach::Response,
        Some(_) => Reach::Fields,
    }
}

/// Reads delta-seconds (RFC 9111 §1.2.2), also inside quotes; a larger number than 2^31 counts as 2^31.
/// Anything else, a sign or a fraction included, is `None`.
pub(super) fn delta_seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let seconds = digits.bytes().try_fold(0, |seconds: u64, digit| {
        // Ten times the largest number is far inside 64 bits.
        digit.is_ascii_digit().then(|| (seconds * 10 + u64::from(digit - b'0')).min(DELTA_SECONDS_MAX))
    })?;
    Some(Duration::from_secs(seconds))
}

/// The members of a comma-separated list, trimmed, empty ones left out. A comma inside a quoted string does
/// not separate.
pub(super) fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = First::of(rest).end;
            let member = trim(&rest[..end]);
            // Behind the comma, where there is one.
            rest = rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

/// A text without the spaces and tabs around it.
pub(super) fn trim(text: &str) -> &str {
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix([' ', '\t']) {
        rest = inner;
    }
    trim_end(rest)
}

/// A text without the spaces and tabs behind it.
fn trim_end(text: &str) -> &str {
    let mut rest = text;
    while let Some(inner) = rest.strip_suffix([' ', '\t']) {
        rest = inner;
    }
    rest
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
             must-understand, immutable, s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4, unknown=5",
        );
        assert_eq!(
            directives,
            Directives {
                max_age: seconds(2),
                s_maxage: seconds(1),
                stale_while_revalidate: seconds(3),
                stale_if_error: seconds(4),
                no_store: true,
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
            assert!(listed_fields(value).eq(fields.iter().copied()), "{value}");
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
