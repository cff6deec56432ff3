//! What the host's configuration says beside the policy: secrets, switches, and which build this is.

use alloc::string::String;
use core::fmt;

use subtle::ConstantTimeEq;

/// Read once by each isolate: hosts start new isolates when their configuration changes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Opens the paths under `/__seawall/`; without it there are none.
    pub control_secret: Option<Secret>,
    /// What the origin wants of who starts its jobs; without it every job fails.
    pub cron_secret: Option<Secret>,
    /// What the origin wants to see before it believes who the client is; without it the origin believes whoever comes.
    pub edge_secret: Option<Secret>,
    /// Whether the site is down on purpose; `None`: as the policy says.
    pub maintenance: Option<bool>,
    /// What runs.
    pub build: Build,
}

/// The field in which an operator's own requests for pages carry the control secret. `Authorization` belongs to the
/// origin there. It goes no further than this edge.
pub const SECRET_FIELD: &str = "seawall-secret";

/// The field in which this edge shows the origin its secret. What clients send in it is taken away.
pub const EDGE_SECRET_FIELD: &str = "seawall-edge-secret";

impl Settings {
    /// A secret of the configuration; `None` when it is not set. One that is too short to be one opens nothing, and the
    /// log says so.
    #[must_use]
    pub fn secret(name: &str, text: Option<String>, log: impl Fn(&str)) -> Option<Secret> {
        let secret = Secret::new(text?);
        if secret.is_none() {
            let advice = "=too-short: give at least 32 bytes, such as `openssl rand -hex 32` prints";
            log(&["edge.settings ", name, advice].concat());
        }
        secret
    }

    /// A switch of the configuration; `None` when it is not set. Anything but its two words is as if it were not set, and
    /// the log says so.
    #[must_use]
    pub fn switch(name: &str, word: Option<&str>, log: impl Fn(&str)) -> Option<bool> {
        match word? {
            "on" => Some(true),
            "off" => Some(false),
            _ => {
                log(&["edge.settings ", name, "=unknown: it may be on or off"].concat());
                None
            }
        }
    }
}

/// Which build runs, for people who look.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// The release.
    pub version: String,
    /// A digest of the compiled policy: two isolates with the same one obey the same rules.
    pub policy: String,
    /// What the host calls this deployment.
    pub deployment: String,
}

/// A secret that requests carry.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Fewest bytes of a secret: 128 bits, written in hexadecimal. What is shorter could be found by trying.
    pub const BYTES_MIN: usize = 32;

    /// The secret of this text; `None` when it is shorter than [`Secret::BYTES_MIN`].
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        (text.len() >= Self::BYTES_MIN).then_some(Self(text))
    }

    /// Its text, for a request to who shares it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `authorization` is `Bearer` and this secret (RFC 6750 §2.1). How long that takes says nothing of which
    /// bytes are right; it may tell the length.
    #[must_use]
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && self.is(token)
    }

    /// Whether `text` is this secret, compared in the same way.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.trim().as_bytes()).into()
    }
}

/// Never its text: a value that is printed is a value that is logged.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_opens() {
        let text = "0123456789abcdef0123456789abcdef";
        let secret = Secret::new(text.to_owned()).unwrap();
        for (authorization, opens) in [
            (Some(format!("Bearer {text}")), true),
            (Some(format!("bearer  {text} ")), true),
            (Some(format!("Basic {text}")), false),
            (Some(format!("Bearer {}", &text[1..])), false),
            (Some(format!("Bearer {text}0")), false),
            (Some(format!("Bearer {}", text.to_uppercase())), false),
            (Some(text.to_owned()), false),
            (Some(String::from("Bearer ")), false),
            (None, false),
        ] {
            assert_eq!(secret.admits(authorization.as_deref()), opens, "{authorization:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn what_the_configuration_says_is_taken_or_named() {
        let said = core::cell::RefCell::new(Vec::new());
        let log = |line: &str| said.borrow_mut().push(line.to_owned());
        for (word, expect, lines) in
            [(None, None, 0), (Some("on"), Some(true), 0), (Some("off"), Some(false), 0), (Some("On"), None, 1)]
        {
            assert_eq!((Settings::switch("MAINTENANCE", word, log), said.borrow().len()), (expect, lines), "{word:?}");
        }
        assert!(said.borrow()[0].contains("MAINTENANCE=unknown"));
        assert!(Settings::secret("SECRET", Some("x".repeat(Secret::BYTES_MIN)), log).is_some());
        assert!(Settings::secret("SECRET", None, log).is_none() && said.borrow().len() == 1);
        assert!(Settings::secret("SECRET", Some(String::from("short")), log).is_none());
        assert!(said.borrow()[1].contains("SECRET=too-short") && !said.borrow()[1].contains("=short"));
    }

    #[test]
    fn a_short_secret_is_none() {
        assert!(Secret::new("x".repeat(Secret::BYTES_MIN)).is_some());
        assert!(Secret::new("x".repeat(Secret::BYTES_MIN - 1)).is_none());
        assert!(Secret::new(String::new()).is_none());
    }
}
