//! Which parameters of a query count.

use alloc::string::String;

/// Keeps the parameters named in `allowed`, in that order, each with its raw spelling; several of one name keep
/// their order. Everything else is left out.
///
/// The result is what names the cache entry *and* what the origin gets, so no parameter can change a response
/// without changing its name. Names are compared after percent-decoding, and `&` alone separates: a parser that
/// also splits at `;` sees one value here.
#[must_use]
pub fn keep(raw: &str, allowed: &[String]) -> String {
    let mut kept = String::with_capacity(raw.len());
    for name in allowed {
        for pair in raw.split('&') {
            let spelled = pair.split('=').next().unwrap_or_default();
            if decoded_equals(spelled.as_bytes(), name.as_bytes()) {
                if !kept.is_empty() {
                    kept.push('&');
                }
                kept.push_str(pair);
            }
        }
    }
    kept
}

/// Whether `spelled`, once percent-decoded and with `+` read as a space, is `name`.
fn decoded_equals(mut spelled: &[u8], name: &[u8]) -> bool {
    for &expect in name {
        let (byte, rest) = match spelled {
            [b'%', high, low, rest @ ..] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => return false,
            },
            [b'+', rest @ ..] => (b' ', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return false,
        };
        if byte != expect {
            return false;
        }
        spelled = rest;
    }
    spelled.is_empty()
}

/// The value of a hexadecimal digit, in either case. Whoever reads percent-encoding uses this one, so that key and
/// path agree on it.
#[must_use]
pub const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn only_named_parameters_stay_in_the_order_of_the_policy() {
        let allowed = ["q".to_string(), "page".to_string()];
        for (raw, expect) in [
            ("", ""),
            ("q=market", "q=market"),
            ("page=2&q=market", "q=market&page=2"),
            ("utm_source=x&q=market&fbclid=1", "q=market"),
            ("q=a&q=b", "q=a&q=b"),
            ("%71=market", "%71=market"),
            ("q", "q"),
            ("q=", "q="),
            ("q=a=b", "q=a=b"),
            ("Q=market", ""),
            ("qq=market", ""),
            ("%7=market", ""),
            ("utm_content=x;q=evil", ""),
            ("q=x;page=9", "q=x;page=9"),
            ("&&q=a&&", "q=a"),
        ] {
            assert_eq!(keep(raw, &allowed), expect, "{raw}");
        }
        assert_eq!(keep("q=market", &[]), "");
        assert_eq!(keep("a+b=1&a%20b=2", &["a b".to_string()]), "a+b=1&a%20b=2");
    }
}
