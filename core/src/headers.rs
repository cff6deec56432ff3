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

#[cfg(feature = "http")]
impl Fields for http::HeaderMap {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        join(self.get_all(name).iter().map(|value| alloc::string::String::from_utf8_lossy(value.as_bytes())))
    }
}

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
}
