//! What visitors and those who look for faults are told about the site.

use std::ops::RangeInclusive;

use super::{Reader, http_url, var};

/// What visitors and those who look for faults are told about the site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// `STATIC_BASE_URL`: the host of our files, without a slash at the end. Without one they are beside the pages.
    pub static_base_url: Option<String>,
    /// `SECURITY_CONTACT`: whom to tell of a hole.
    pub security_contact: Option<String>,
    /// `PAGE_MEMORY_MIB`: most bytes of pages that this process keeps in memory.
    pub page_memory_bytes: u64,
}

/// With none pages are made for each request; more than this is better spent on the database.
const PAGE_MEMORY_MIB: RangeInclusive<u64> = 0..=4_096;

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn site(&mut self) -> Site {
        Site {
            static_base_url: self.checked(&var::STATIC_BASE_URL, host),
            security_contact: self.checked(&var::SECURITY_CONTACT, contact),
            page_memory_bytes: self.number(&var::PAGE_MEMORY_MIB, PAGE_MEMORY_MIB) * 1024 * 1024,
        }
    }
}

/// A scheme and a host, since the pages' security policy names no more.
fn host(value: &str) -> Option<String> {
    let url = http_url(value)?;
    let (_, rest) = url.split_once("://")?;
    let plain = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    plain.then_some(url)
}

/// RFC 9116 §2.5.3: a URI; web addresses are https.
fn contact(value: &str) -> Option<String> {
    let address = value.strip_prefix("mailto:").or_else(|| value.strip_prefix("https://"))?;
    (!address.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_on_a_host_and_not_below_a_path() {
        for (value, expected) in [
            ("https://static.example.org", Some("https://static.example.org")),
            ("https://static.example.org/", Some("https://static.example.org")),
            ("http://127.0.0.1:8081", Some("http://127.0.0.1:8081")),
            ("https://static.example.org/files", None),
            ("https://a.example; script-src *", None),
            ("static.example.org", None),
        ] {
            assert_eq!(host(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_contact_is_an_address_on_one_line() {
        for (value, fits) in [
            ("mailto:security@example.org", true),
            ("https://example.org/security", true),
            ("mailto:", false),
            ("security@example.org", false),
            ("http://example.org/security", false),
            ("mailto:a@example.org\nContact: mailto:b@example.org", false),
        ] {
            assert_eq!(contact(value).is_some(), fits, "{value}");
        }
    }
}
