//! Reading header fields wherever they live.

use alloc::{borrow::Cow, string::String, vec::Vec};

/// Header fields of a request or a response, read by name.
///
/// A host implements this over its own type, so that a decision looks only at the fields it needs and
/// nothing is converted for it.
pub trait Fields {
    /// The value of the field `name` (given in lower case), or `None` when it is absent.
    ///
    /// Several lines of one field come back as one value joined by `", "` (RFC 9110 §5.3). Bytes that are
    /// not UTF-8 may come back as replacement characters: no field that decides anything holds them.
    fn field(&self, name: &str) -> Option<Cow<'_, str>>;

    /// The values of several fields, in the order of `names`, each as [`Fields::field`] gives it, but for bytes that are
    /// not UTF-8, which stay as they are: what decides is read byte by byte, and to check that it is text costs as much
    /// as to read it.
    ///
    /// Looks every one of them up. A host whose fields lie in a list goes through it once instead
    /// ([`Names::place`]); one that pays for each look-up may fetch them together ([`Names::all`]).
    fn fields<const N: usize>(&self, names: &Names<N>) -> Values<'_, N> {
        let mut values = Values::NONE;
        for (place, name) in names.names.iter().enumerate() {
            match self.field(name) {
                None => {}
                Some(Cow::Borrowed(value)) => values.found[place] = Some(value.as_bytes()),
                Some(Cow::Owned(value)) => values.joined.push((place, value.into_bytes())),
            }
        }
        values
    }
}

impl<F: Fields + ?Sized> Fields for &F {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        (**self).field(name)
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> Values<'_, N> {
        (**self).fields(names)
    }
}

/// The values of fields that were read together, in the order of their [`Names`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values<'a, const N: usize> {
    found: [Option<&'a [u8]>; N],
    /// Places whose values lie in one piece nowhere but here: those of several lines, mostly.
    joined: Vec<(usize, Vec<u8>)>,
}

impl<const N: usize> Values<'_, N> {
    const NONE: Self = Self { found: [None; N], joined: Vec::new() };

    /// The value of the field at this place among the names.
    #[inline]
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&[u8]> {
        let found = *self.found.get(place)?;
        if self.joined.is_empty() { found } else { self.joined(place).or(found) }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [Option<&[u8]>; N] {
        core::array::from_fn(|place| self.at(place))
    }

    fn joined(&self, place: usize) -> Option<&[u8]> {
        self.joined.iter().find(|(joined, _)| *joined == place).map(|(_, value)| value.as_slice())
    }

    /// Adds a further line of a field to what was found of it (RFC 9110 §5.3).
    #[cold]
    fn join(&mut self, place: usize, earlier: &[u8], line: &[u8]) {
        let joined = match self.joined.iter().position(|(joined, _)| *joined == place) {
            Some(at) => &mut self.joined[at].1,
            None => {
                self.joined.push((place, earlier.to_vec()));
                let last = self.joined.len() - 1;
                &mut self.joined[last].1
            }
        };
        joined.extend_from_slice(BETWEEN_LINES.as_bytes());
        joined.extend_from_slice(line);
    }
}

/// Names of fields that are read together, in lower case, and found by their length and their ends: so to ask whether a
/// field is one of them costs about one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Names<const N: usize> {
    names: [&'static str; N],
    ends: [Ends; N],
    /// For each length, a bit for each name that has it.
    by_length: [u32; NAME_BYTES_MAX + 1],
}

impl<const N: usize> Names<N> {
    /// These names: at most 32, each of at most 31 bytes and in lower case.
    ///
    /// # Panics
    ///
    /// With more or longer names; in a constant that is an error of the compiler.
    #[must_use]
    pub const fn new(names: [&'static str; N]) -> Self {
        assert!(N <= u32::BITS as usize, "each name has one bit");
        let (mut ends, mut by_length) = ([Ends(0, 0); N], [0; NAME_BYTES_MAX + 1]);
        let mut place = 0;
        while place < N {
            ends[place] = Ends::of(names[place].as_bytes());
            by_length[names[place].len()] |= 1 << place;
            place += 1;
        }
        Self { names, ends, by_length }
    }

    /// Where among them `name` (given in lower case) is.
    #[inline]
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        let mut places = *self.by_length.get(name.len())?;
        if places == 0 {
            return None;
        }
        let ends = Ends::of(name.as_bytes());
        loop {
            let place = places.trailing_zeros() as usize;
            if self.ends[place] == ends && (name.len() <= ENDS_BYTES || self.names[place] == name) {
                return Some(place);
            }
            places &= places - 1;
            if places == 0 {
                return None;
            }
        }
    }

    /// All of them, in their order.
    #[must_use]
    pub const fn all(&self) -> &[&'static str; N] {
        &self.names
    }
}

/// The first and the last bytes of a name, as numbers; of one that is no longer than [`ENDS_BYTES`], all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends(u64, u64);

impl Ends {
    const fn of(name: &[u8]) -> Self {
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Self(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        }
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Self(u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64);
        }
        match *name {
            [first, middle, last] => Self(first as u64, u16::from_le_bytes([middle, last]) as u64),
            [first, last] => Self(first as u64, last as u64),
            [only] => Self(only as u64, 0),
            _ => Self(0, 0),
        }
    }
}

/// Two numbers of eight bytes.
const ENDS_BYTES: usize = 16;

/// Longest name that can be read together with others; the longest that decides anything has 25 bytes.
const NAME_BYTES_MAX: usize = 31;

/// A plain list of lower-case names and values; for tests and for hosts that have nothing better.
impl Fields for [(&str, &str)] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        join(self.iter().filter(|(field, _)| *field == name).map(|(_, value)| Cow::Borrowed(*value)))
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> Values<'_, N> {
        gather(names, self.iter().map(|(name, value)| (*name, value.as_bytes())))
    }
}

impl<const N: usize> Fields for [(&str, &str); N] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_slice().field(name)
    }

    fn fields<const M: usize>(&self, names: &Names<M>) -> Values<'_, M> {
        self.as_slice().fields(names)
    }
}

/// Looks a field up in a map by a name that needs no parsing, which costs more than the look-up. Any other name is looked
/// up as it is.
#[cfg(feature = "http")]
macro_rules! known {
    ($map:expr, $name:expr, $($text:literal => $known:ident),* $(,)?) => {
        match $name {
            $($text => $map.get_all(http::header::$known),)*
            "cache-groups" => $map.get_all(&CACHE_GROUPS),
            "cache-tag" => $map.get_all(&CACHE_TAG),
            "seawall-cdn-cache-control" => $map.get_all(&SEAWALL_CDN_CACHE_CONTROL),
            name => $map.get_all(name),
        }
    };
}

#[cfg(feature = "http")]
impl Fields for http::HeaderMap {
    // Where the name is a literal, nothing is left of the look-up by name.
    #[inline]
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let values = known!(
            self, name,
            "accept" => ACCEPT,
            "accept-encoding" => ACCEPT_ENCODING,
            "accept-language" => ACCEPT_LANGUAGE,
            "age" => AGE,
            "authorization" => AUTHORIZATION,
            "cache-control" => CACHE_CONTROL,
            "cdn-cache-control" => CDN_CACHE_CONTROL,
            "content-encoding" => CONTENT_ENCODING,
            "content-length" => CONTENT_LENGTH,
            "content-range" => CONTENT_RANGE,
            "date" => DATE,
            "etag" => ETAG,
            "expires" => EXPIRES,
            "if-modified-since" => IF_MODIFIED_SINCE,
            "if-none-match" => IF_NONE_MATCH,
            "if-range" => IF_RANGE,
            "last-modified" => LAST_MODIFIED,
            "location" => LOCATION,
            "pragma" => PRAGMA,
            "range" => RANGE,
            "set-cookie" => SET_COOKIE,
            "vary" => VARY,
        );
        join(values.iter().map(|value| match value.to_str() {
            // Nearly all are ASCII, and to see that takes half as long as to read UTF-8.
            Ok(value) => Cow::Borrowed(value),
            Err(_) => as_text(value.as_bytes()),
        }))
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> Values<'_, N> {
        gather(names, self.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
}

/// Bytes that are not UTF-8 become replacement characters.
pub(crate) fn as_text(value: &[u8]) -> Cow<'_, str> {
    // What nearly always fits needs no search for what does not.
    str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

/// Names that each stored response is asked for, and that the crate `http` does not have.
#[cfg(feature = "http")]
static CACHE_GROUPS: http::HeaderName = http::HeaderName::from_static("cache-groups");
#[cfg(feature = "http")]
static CACHE_TAG: http::HeaderName = http::HeaderName::from_static("cache-tag");
#[cfg(feature = "http")]
static SEAWALL_CDN_CACHE_CONTROL: http::HeaderName = http::HeaderName::from_static("seawall-cdn-cache-control");

/// Goes through lines once and keeps those whose names are wanted.
fn gather<'a, const N: usize>(names: &Names<N>, lines: impl Iterator<Item = (&'a str, &'a [u8])>) -> Values<'a, N> {
    let mut values = Values::NONE;
    for (name, line) in lines {
        let Some(place) = names.place(name) else { continue };
        match values.found[place] {
            None => values.found[place] = Some(line),
            Some(earlier) => values.join(place, earlier, line),
        }
    }
    values
}

fn join<'a>(mut values: impl Iterator<Item = Cow<'a, str>>) -> Option<Cow<'a, str>> {
    let first = values.next()?;
    Some(values.fold(first, |mut earlier, line| {
        let joined = earlier.to_mut();
        joined.push_str(BETWEEN_LINES);
        joined.push_str(&line);
        earlier
    }))
}

const BETWEEN_LINES: &str = ", ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_field_are_joined() {
        let fields = [("vary", "accept"), ("age", "3"), ("vary", "accept-language")];
        assert_eq!(fields.field("vary").as_deref(), Some("accept, accept-language"));
        assert_eq!(fields.field("age").as_deref(), Some("3"));
        assert_eq!(fields.field("date"), None);
    }

    #[test]
    fn names_are_found_by_length_and_bytes() {
        let long = "seawall-cdn-cache-control";
        let names = Names::new(["a", "te", "age", "date", "vary", "range", "expires", "location", "set-cookie", long]);
        for (place, name) in names.all().iter().enumerate() {
            assert_eq!(names.place(name), Some(place));
            // Nor is it found with any byte of it changed.
            for at in 0..name.len() {
                let other: String = name.char_indices().map(|(i, c)| if i == at { '~' } else { c }).collect();
                assert_eq!(names.place(&other), None, "{other}");
            }
        }
        for other in ["", "x", "ages", "dat", "x-a-name-that-is-longer-than-any-of-them"] {
            assert_eq!(names.place(other), None, "{other}");
        }
    }

    /// A host that reads fields one by one.
    struct OneByOne<'a>(&'a [(&'static str, &'static str)]);

    impl Fields for OneByOne<'_> {
        fn field(&self, name: &str) -> Option<Cow<'_, str>> {
            self.0.field(name)
        }
    }

    #[test]
    fn fields_read_together_are_those_read_one_by_one() {
        const NAMES: Names<3> = Names::new(["vary", "date", "age"]);
        let fields = [("age", "3"), ("vary", "accept"), ("x", "y"), ("vary", "origin"), ("age", "4"), ("vary", "x")];
        let expect = [Some("accept, origin, x"), None, Some("3, 4")];
        assert_eq!(NAMES.all().map(|name| fields.field(name)).each_ref().map(|value| value.as_deref()), expect);
        let expect = expect.map(|value| value.map(str::as_bytes));
        assert_eq!(fields.fields(&NAMES).all(), expect);
        assert_eq!(OneByOne(&fields).fields(&NAMES).all(), expect);
        assert_eq!(Fields::fields(&&fields, &NAMES).all(), expect);
        #[cfg(feature = "http")]
        {
            let mut map = http::HeaderMap::new();
            for (name, value) in fields {
                map.append(name, http::HeaderValue::from_static(value));
            }
            assert_eq!(map.fields(&NAMES).all(), expect);
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_header_map_reads_the_same() {
        let mut fields = http::HeaderMap::new();
        fields.append("vary", http::HeaderValue::from_static("accept"));
        fields.append("vary", http::HeaderValue::from_static("accept-language"));
        assert_eq!(fields.field("vary").as_deref(), Some("accept, accept-language"));
        assert_eq!(fields.field("date"), None);
    }

    #[cfg(feature = "http")]
    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut fields = http::HeaderMap::new();
        fields.append("x-name", http::HeaderValue::from_bytes(b"a\xff").expect("a header value may hold it"));
        assert_eq!(fields.field("x-name").as_deref(), Some("a\u{fffd}"));
    }
}
