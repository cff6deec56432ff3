//! How one variable is read: found, parsed, and refused with what was expected.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Secret, Variable};

/// Reads variables, and collects what is wrong with them.
pub(super) struct Reader<L> {
    pub(super) lookup: L,
    pub(super) refused: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn optional(&self, variable: &Variable) -> Option<String> {
        (self.lookup)(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The parsed value or default; `fallback` stands in for a refused one, which ends the start-up anyway.
    pub(super) fn parse<T>(&mut self, variable: &Variable, fallback: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let given = self.optional(variable);
        let Some(value) = given.as_deref().or(variable.default) else {
            self.refused.push(format!("  {} is not set: expected {}", variable.name, variable.expected));
            return fallback;
        };
        parse(value).unwrap_or_else(|| {
            let shown = if variable.secret { "[hidden]".to_owned() } else { format!("{value:?}") };
            self.refused.push(format!("  {} is {shown}: expected {}", variable.name, variable.expected));
            fallback
        })
    }

    /// The parsed value of a variable that may be absent.
    pub(super) fn checked<T>(&mut self, variable: &Variable, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.optional(variable)?;
        self.parse(variable, None, |value| parse(value).map(Some))
    }

    pub(super) fn text(&mut self, variable: &Variable, parse: impl Fn(&str) -> Option<String>) -> String {
        self.parse(variable, String::new(), parse)
    }

    pub(super) fn number<T>(&mut self, variable: &Variable, range: RangeInclusive<T>) -> T
    where
        T: std::str::FromStr + PartialOrd + Copy,
    {
        self.parse(variable, *range.start(), |value| value.parse().ok().filter(|number| range.contains(number)))
    }

    pub(super) fn duration(&mut self, variable: &Variable) -> Duration {
        self.parse(variable, Duration::ZERO, |value| duration(value).filter(|value| DURATIONS.contains(value)))
    }

    pub(super) fn address(&mut self, variable: &Variable) -> IpAddr {
        self.parse(variable, IpAddr::from([127, 0, 0, 1]), |value| value.parse().ok())
    }
}

/// As many characters as 128 random bits have in hexadecimal.
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// Shorter fails always, longer is a hang.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);

/// A secret that somebody else has too.
pub(super) fn secret(value: &str) -> Option<Secret> {
    (value.len() >= SECRET_BYTES_MIN).then(|| Secret::new(value.to_owned()))
}

/// `250ms`, `10s`, `2m`, or whole seconds without a unit.
fn duration(value: &str) -> Option<Duration> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

pub(super) fn http_url(value: &str) -> Option<String> {
    let url = reqwest::Url::parse(value).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    plain.then(|| value.trim_end_matches('/').to_owned())
}

/// The same without a path: where a server is, and not one of its pages.
pub(super) fn http_server(value: &str) -> Option<String> {
    http_url(value).filter(|_| reqwest::Url::parse(value).is_ok_and(|url| url.path() == "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("7", Some(7_000)),
            ("2m", Some(120_000)),
            ("1h", None),
            ("s", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_server_is_no_page() {
        for (url, is_url, is_server) in [
            ("https://permits.example", true, true),
            ("http://127.0.0.1:8787/", true, true),
            ("https://permits.example/__seawall/purge", true, false),
            ("https://permits.example/?all", false, false),
            ("ftp://permits.example", false, false),
            ("permits.example", false, false),
        ] {
            assert_eq!((http_url(url).is_some(), http_server(url).is_some()), (is_url, is_server), "{url}");
        }
    }
}
