//! Reading header fields wherever they live.

use alloc::borrow::Cow;

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

    /// The values of several fields, in the order of `names`, each as [`Fields::field`] gives it.
    ///
    /// Looks every one of them up. A host whose fields lie in a list goes through it once instead
    /// ([`Names::place`]); one that pays for each look-up may fetch them together ([`Names::all`]).
    fn fields<const N: usize>(&self, names: &Names<N>) -> [Option<Cow<'_, str>>; N] {
        names.names.map(|name| self.field(name))
    }
}

impl<F: Fields + ?Sized> Fields for &F {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        (**self).field(name)
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> [Option<Cow<'_, str>>; N] {
        (**self).fields(names)
    }
}

/// Names of fields that are read together, in lower case, and found by their length: so to ask whether a field is one
/// of them costs about one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Names<const N: usize> {
    names: [&'static str; N],
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
        let mut by_length = [0; NAME_BYTES_MAX + 1];
        let mut place = 0;
        while place < N {
            by_length[names[place].len()] |= 1 << place;
            place += 1;
        }
        Self { names, by_length }
    }

    /// Where among them `name` (given in lower case) is.
    #[inline]
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        let mut places = *self.by_length.get(name.len())?;
        while places != 0 {
            let place = places.trailing_zeros() as usize;
            if self.names[place] == name {
                return Some(place);
            }
            places &= places - 1;
        }
        None
    }

    /// All of them, in their order.
    #[must_use]
    pub const fn all(&self) -> &[&'static str; N] {
        &self.names
    }
}

/// Longest name that can be read together with others; the longest that decides anything has 25 bytes.
const NAME_BYTES_MAX: usize = 31;

/// A plain list of lower-case names and values; for tests and for hosts that have nothing better.
impl Fields for [(&str, &str)] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        join(self.iter().filter(|(field, _)| *field == name).map(|(_, value)| Cow::Borrowed(*value)))
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> [Option<Cow<'_, str>>; N] {
        gather(names, self.iter().copied(), Cow::Borrowed)
    }
}

impl<const N: usize> Fields for [(&str, &str); N] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_slice().field(name)
    }

    fn fields<const M: usize>(&self, names: &Names<M>) -> [Option<Cow<'_, str>>; M] {
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
        join(values.iter().map(text))
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> [Option<Cow<'_, str>>; N] {
        gather(names, self.iter().map(|(name, value)| (name.as_str(), value)), text)
    }
}

#[cfg(feature = "http")]
fn text(value: &http::HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        // Nearly all are ASCII, and to see that takes half as long as to read UTF-8.
        Ok(value) => Cow::Borrowed(value),
        Err(_) => alloc::string::String::from_utf8_lossy(value.as_bytes()),
    }
}

/// Names that each stored response is asked for, and that the crate `http` does not have.
#[cfg(feature = "http")]
static CACHE_GROUPS: http::HeaderName = http::HeaderName::from_static("cache-groups");
#[cfg(feature = "http")]
static CACHE_TAG: http::HeaderName = http::HeaderName::from_static("cache-tag");
#[cfg(feature = "http")]
static SEAWALL_CDN_CACHE_CONTROL: http::HeaderName = http::HeaderName::from_static("seawall-cdn-cache-control");

/// Goes through lines once and keeps those whose names are wanted.
fn gather<'a, Value, const N: usize>(
    names: &Names<N>,
    lines: impl Iterator<Item = (&'a str, Value)>,
    text: impl Fn(Value) -> Cow<'a, str>,
) -> [Option<Cow<'a, str>>; N] {
    let mut values = [const { None }; N];
    for (name, value) in lines {
        let Some(place) = names.place(name) else { continue };
        let value = text(value);
        values[place] = Some(match values[place].take() {
            None => value,
            Some(earlier) => with_line(earlier, &value),
        });
    }
    values
}

fn join<'a>(mut values: impl Iterator<Item = Cow<'a, str>>) -> Option<Cow<'a, str>> {
    let first = values.next()?;
    Some(values.fold(first, |earlier, value| with_line(earlier, &value)))
}

/// One value for a field and a further line of it (RFC 9110 §5.3).
fn with_line<'a>(mut earlier: Cow<'a, str>, line: &str) -> Cow<'a, str> {
    let joined = earlier.to_mut();
    joined.push_str(", ");
    joined.push_str(line);
    earlier
}

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
        const NAMES: Names<4> = Names::new(["age", "date", "etag", "vary"]);
        for (place, name) in NAMES.all().iter().enumerate() {
            assert_eq!(NAMES.place(name), Some(place));
        }
        for other in ["", "a", "ages", "aga", "dat", "x-a-name-that-is-longer-than-any-of-them"] {
            assert_eq!(NAMES.place(other), None, "{other}");
        }
    }

    #[test]
    fn fields_read_together_are_those_read_one_by_one() {
        const NAMES: Names<3> = Names::new(["vary", "date", "age"]);
        let fields = [("age", "3"), ("vary", "accept"), ("x", "y"), ("vary", "origin"), ("age", "4")];
        let one_by_one = NAMES.all().map(|name| fields.field(name));
        assert_eq!(one_by_one.each_ref().map(|value| value.as_deref()), [Some("accept, origin"), None, Some("3, 4")]);
        assert_eq!(fields.fields(&NAMES), one_by_one);
        assert_eq!(Fields::fields(&&fields, &NAMES), one_by_one);
        #[cfg(feature = "http")]
        {
            let mut map = http::HeaderMap::new();
            for (name, value) in fields {
                map.append(name, http::HeaderValue::from_static(value));
            }
            assert_eq!(map.fields(&NAMES), one_by_one);
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
