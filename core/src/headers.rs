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
}

impl<F: Fields + ?Sized> Fields for &F {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        (**self).field(name)
    }
}

/// A plain list of lower-case names and values; for tests and for hosts that have nothing better.
impl Fields for [(&str, &str)] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        join(self.iter().filter(|(field, _)| *field == name).map(|(_, value)| Cow::Borrowed(*value)))
    }
}

impl<const N: usize> Fields for [(&str, &str); N] {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_slice().field(name)
    }
}

/// Looks a field up in a map by a name that needs no parsing: that costs more than the look-up, and a decision reads up
/// to twenty fields. Any other name is looked up as it is.
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
        join(values.iter().map(|value| match str::from_utf8(value.as_bytes()) {
            Ok(value) => Cow::Borrowed(value),
            Err(_) => alloc::string::String::from_utf8_lossy(value.as_bytes()),
        }))
    }
}

/// Names that each stored response is asked for, and that the crate `http` does not have.
#[cfg(feature = "http")]
static CACHE_GROUPS: http::HeaderName = http::HeaderName::from_static("cache-groups");
#[cfg(feature = "http")]
static CACHE_TAG: http::HeaderName = http::HeaderName::from_static("cache-tag");
#[cfg(feature = "http")]
static SEAWALL_CDN_CACHE_CONTROL: http::HeaderName = http::HeaderName::from_static("seawall-cdn-cache-control");

fn join<'a>(mut values: impl Iterator<Item = Cow<'a, str>>) -> Option<Cow<'a, str>> {
    let mut joined = values.next()?;
    for value in values {
        let line = joined.to_mut();
        line.push_str(", ");
        line.push_str(&value);
    }
    Some(joined)
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
