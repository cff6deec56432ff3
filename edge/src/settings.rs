//! What the host's configuration says beside the policy: secrets, switches, and which build this is.

use alloc::{string::String, vec::Vec};
use core::fmt;

use subtle::ConstantTimeEq;

use crate::message::parts;

/// One of the variables that a host reads, under the name that it has there.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// Its text; `None` when it is not set, or empty.
    pub text: Option<String>,
}

/// The variables of every host.
#[derive(Clone, Debug)]
pub struct Variables {
    /// The secret of `/__seawall/`.
    pub control_secret: Variable,
    /// What the origin wants of who starts its jobs; `None` on a host that starts none.
    pub cron_secret: Option<Variable>,
    /// What shows the origin that a request comes from this edge.
    pub edge_secret: Variable,
    /// Takes the site down (`on`) or up (`off`), whatever the policy says.
    pub maintenance: Variable,
}

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
    /// What the variables say; what one says that nobody understands is as if it were not set, and the log names it.
    #[must_use]
    pub fn read(variables: Variables, build: Build, log: impl Fn(&str)) -> Self {
        let Variables { control_secret, cron_secret, edge_secret, maintenance } = variables;
        let secret = |variable| Self::secret(variable, &log);
        Self {
            control_secret: secret(control_secret),
            cron_secret: cron_secret.and_then(secret),
            edge_secret: secret(edge_secret),
            maintenance: Self::switch(&maintenance, &log),
            build,
        }
    }

    /// One that is too short to be a secret opens nothing.
    fn secret(Variable { name, text }: Variable, log: impl Fn(&str)) -> Option<Secret> {
        let secret = Secret::new(text?);
        if secret.is_none() {
            let advice = "=too-short: give at least 32 bytes, such as `openssl rand -hex 32` prints";
            log(&["edge.settings ", name, advice].concat());
        }
        secret
    }

    fn switch(Variable { name, text }: &Variable, log: impl Fn(&str)) -> Option<bool> {
        match text.as_deref()? {
            "on" => Some(true),
            "off" => Some(false),
            _ => {
                log(&["edge.settings ", name, "=unknown: it may be on or off"].concat());
                None
            }
        }
    }
}

/// The addresses in a variable, separated by commas, each without a slash at its end; none when it is not set. What is no
/// address beside others that are is passed over, and the log names it.
///
/// # Errors
/// When there is no other: with a text that names the variable and what is none, such as `origin.example` or
/// `https://a.example/?b`.
pub fn addresses(Variable { name, text }: &Variable, log: impl Fn(&str)) -> Result<Vec<String>, String> {
    let (mut addresses, mut wrong) = (Vec::new(), None);
    for address in text.as_deref().unwrap_or_default().split(',') {
        let address = address.trim().trim_end_matches('/');
        match parts(address) {
            _ if address.is_empty() => {}
            Some((scheme, host, _, _))
                if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
                    && !host.is_empty()
                    && !address.contains(['?', '#']) =>
            {
                addresses.push([&*scheme.to_ascii_lowercase(), &address[scheme.len()..]].concat());
            }
            _ => {
                let advice = ": give an address such as https://origin.example";
                wrong = Some(["the variable ", name, " has ", address, advice].concat());
            }
        }
    }
    match wrong {
        Some(wrong) if addresses.is_empty() => return Err(wrong),
        Some(wrong) => log(&["edge.settings ", &wrong].concat()),
        None => {}
    }
    Ok(addresses)
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
        let variable =
            |name, text: &str| Variable { name, text: Some(text.to_owned()).filter(|text| !text.is_empty()) };
        let read = |secret: &str, word| {
            let variables = Variables {
                control_secret: variable("SECRET", secret),
                cron_secret: None,
                edge_secret: variable("EDGE", &"x".repeat(Secret::BYTES_MIN)),
                maintenance: variable("MAINTENANCE", word),
            };
            let Settings { control_secret, cron_secret, edge_secret, maintenance, .. } =
                Settings::read(variables, Build::default(), log);
            assert!(cron_secret.is_none() && edge_secret.is_some());
            (control_secret.is_some(), maintenance, said.take())
        };
        let long = "y".repeat(Secret::BYTES_MIN);
        for (secret, word, expect) in
            [("", "", (false, None)), (&*long, "on", (true, Some(true))), ("", "off", (false, Some(false)))]
        {
            assert_eq!(read(secret, word), (expect.0, expect.1, Vec::new()), "{word}");
        }
        let (is_open, maintenance, lines) = read("short", "On");
        assert_eq!((is_open, maintenance, lines.len()), (false, None, 2));
        assert!(lines[0].contains("SECRET=too-short") && !lines[0].contains("=short"), "{lines:?}");
        assert!(lines[1].contains("MAINTENANCE=unknown"), "{lines:?}");
    }

    #[test]
    fn addresses_are_told_apart_and_what_is_none_is_named() {
        let said = core::cell::RefCell::new(Vec::new());
        let log = |line: &str| said.borrow_mut().push(line.to_owned());
        let read = |text: &str| addresses(&Variable { name: "ORIGIN", text: Some(text.to_owned()) }, log);
        for (text, expect) in [
            ("https://a.example", &["https://a.example"][..]),
            (" https://a.example:8443/base/ ,, http://[::1]:80//", &["https://a.example:8443/base", "http://[::1]:80"]),
            ("HTTPS://A.example/Base", &["https://A.example/Base"]),
            (" , ", &[]),
        ] {
            assert_eq!(read(text).unwrap(), expect, "{text}");
        }
        assert!(said.take().is_empty());
        for wrong in
            ["a.example", "ftp://a.example", "https://", "https:///a", "https://a.example?b", "https://a.example/#b"]
        {
            let error = read(wrong).unwrap_err();
            assert!(
                error.contains("the variable ORIGIN has ") && error.contains(wrong.trim_end_matches('/')),
                "{error}"
            );
            // A spare that is none costs the good one nothing.
            assert_eq!(read(&format!("https://spare.example, {wrong}")).unwrap(), ["https://spare.example"]);
            assert_eq!(said.take(), [format!("edge.settings {error}")]);
        }
        assert_eq!(addresses(&Variable { name: "ORIGIN", text: None }, |_| ()), Ok(Vec::new()));
    }

    #[test]
    fn a_short_secret_is_none() {
        assert!(Secret::new("x".repeat(Secret::BYTES_MIN)).is_some());
        assert!(Secret::new("x".repeat(Secret::BYTES_MIN - 1)).is_none());
        assert!(Secret::new(String::new()).is_none());
    }
}
