//! What holds for the whole site: its hosts, the security fields of its answers, its maintenance and its jobs.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::{Name, UpstreamId};

/// What holds for every route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Site {
    /// Whose requests are answered.
    pub hosts: Hosts,
    /// Who learns what the cache did and how long things took.
    pub diagnostics: Diagnostics,
    /// The sets of security fields; the first holds where no route says otherwise.
    pub(super) fields: Vec<SecurityFields>,
    /// What happens while the site is down on purpose.
    pub maintenance: Maintenance,
    /// What is asked of an upstream at fixed times.
    pub jobs: Vec<Job>,
}

impl Site {
    /// Most hosts: each is compared with the host of every request.
    pub const HOSTS_MAX: usize = 64;
    /// Most jobs.
    pub const JOBS_MAX: usize = 16;
}

impl Default for Site {
    fn default() -> Self {
        Self {
            hosts: Hosts::default(),
            diagnostics: Diagnostics::Public,
            fields: alloc::vec![SecurityFields::default()],
            maintenance: Maintenance::default(),
            jobs: Vec::new(),
        }
    }
}

/// The hosts that the site answers for; none listed: every host.
///
/// An entry is a host in lower case (`permits.example`), with a port unless it is the scheme's own
/// (`permits.example:8443`), or `*.` and a host, which takes every host below that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hosts(pub(super) Vec<String>);

impl Hosts {
    /// Whether requests for `host` are answered; in lower case, with the port as the request has it.
    #[must_use]
    pub fn take(&self, host: &str) -> bool {
        let takes = |entry: &String| match entry.strip_prefix('*') {
            // The dot stays, so that `*.permits.example` does not take `evilpermits.example`.
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == entry,
        };
        self.0.is_empty() || self.0.iter().any(takes)
    }
}

/// Who learns what the cache did and how long things took: `Cache-Status`, `Age`, `Server-Timing` and
/// `X-Response-Time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Diagnostics {
    /// Everybody.
    Public,
    /// Who sends the control secret. Others cannot read from a field whether someone asked for the same before.
    Operator,
}

/// The fields of [`SecurityFields`], in the order of their numbers.
pub const SECURITY_FIELDS: [&str; 14] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "document-policy",
    "origin-agent-cluster",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-robots-tag",
];

/// Fields that answers get unless the origin has set them itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SecurityFields(pub(super) Vec<(u8, String)>);

impl SecurityFields {
    /// What holds when the policy says nothing: what no site has a reason to be without.
    const DEFAULT: [(&'static str, &'static str); 3] = [
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
    ];

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|(at, value)| Some((*SECURITY_FIELDS.get(usize::from(*at))?, value.as_str())))
    }

    /// Sets the value of a field, or with an empty one takes it out.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        // There are fewer fields than a byte counts.
        let place = SECURITY_FIELDS.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok());
        let Some(place) = place else { return };
        self.0.retain(|(at, _)| *at != place);
        if !value.is_empty() {
            self.0.push((place, String::from(value)));
        }
    }
}

impl Default for SecurityFields {
    fn default() -> Self {
        let mut fields = Self(Vec::new());
        Self::DEFAULT.iter().for_each(|(name, value)| fields.set(name, value));
        fields
    }
}

/// The site is down on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Maintenance {
    /// Whether it is now. A host may have a switch of its own, which wins.
    pub on: bool,
    /// What visitors are told to wait, in whole seconds.
    pub retry_after: Duration,
    /// Whether what is stored is served, fresh or inside its `stale_if_error`; otherwise nothing but the page is.
    pub stored: bool,
    /// What the page says.
    pub text: String,
}

impl Maintenance {
    /// Range of `retry_after`.
    pub const RETRY_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
    /// Longest text of the page.
    pub const TEXT_BYTES_MAX: usize = 1024;
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            on: false,
            retry_after: Duration::from_secs(600),
            stored: true,
            text: String::from("We are working on this site. It is back soon."),
        }
    }
}

/// A request that the host's timer makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Job {
    /// What logs and metrics call it.
    pub name: Name,
    /// When: the five fields of a cron expression, in UTC, as the host's own configuration writes them.
    pub schedule: String,
    /// What is posted to.
    pub path: String,
    /// Who is called: within its deadline, and again within its budget.
    pub upstream: UpstreamId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_taken_as_it_is_written_or_below_a_star() {
        let hosts = Hosts(["permits.example", "permits.example:8443", "*.city.example"].map(String::from).into());
        for (host, takes) in [
            ("permits.example", true),
            ("permits.example:8443", true),
            ("a.city.example", true),
            ("a.b.city.example", true),
            ("permits.example:8080", false),
            ("a.permits.example", false),
            ("evilpermits.example", false),
            ("city.example", false),
            (".city.example", false),
            ("evilcity.example", false),
            ("a.city.example:8443", false),
            ("", false),
        ] {
            assert_eq!(hosts.take(host), takes, "{host}");
        }
        assert!(Hosts::default().take("any.example"));
    }

    #[test]
    fn a_security_field_is_set_replaced_and_taken_out() {
        let mut fields = SecurityFields::default();
        fields.set("x-frame-options", "DENY");
        fields.set("referrer-policy", "");
        fields.set("x-invented", "1");
        let seen: Vec<_> = fields.iter().collect();
        assert_eq!(seen, [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")]);
    }
}
