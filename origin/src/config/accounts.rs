//! Who may sign in, and how mail goes out.

use lettre::message::Mailbox;

use super::reader::SECRET_BYTES_MIN;
use super::{Reader, Secret, http_url, var};

/// Who may sign in, and how mail goes out.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// `BASE_URL`: what visitors type, without a slash at the end. Links in mail begin with it.
    pub base_url: String,
    /// `SESSION_KEYS`: the first signs, all are accepted. None in development, where a key lasts as long as the process.
    pub session_keys: Vec<Secret>,
    /// `INVITE_CODES`: with none, everyone may sign up.
    pub invite_codes: Vec<Secret>,
    /// `ADMIN_EMAIL`: who is an administrator from the first sign-in, and needs no code. In lower case.
    pub admin_email: Option<String>,
    /// `SMTP_URL`: the mail server. Without one, mail is written to the log.
    pub smtp_url: Option<Secret>,
    /// `SMTP_FROM`: who mail is from.
    pub mail_from: Mailbox,
}

impl Accounts {
    /// Whether visitors come over TLS, as they do in production.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.base_url.starts_with("https://")
    }
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn accounts(&mut self) -> Accounts {
        let session_keys = self.checked(&var::SESSION_KEYS, |value| {
            let keys = list(value);
            let fit = keys.len() <= SESSION_KEYS_MAX && keys.iter().all(|key| key.expose().len() >= SECRET_BYTES_MIN);
            (fit && !keys.is_empty()).then_some(keys)
        });
        let invite_codes = self.checked(&var::INVITE_CODES, |value| {
            let codes = list(value);
            let fit = codes.iter().all(|code| (INVITE_BYTES_MIN..=INVITE_BYTES_MAX).contains(&code.expose().len()));
            (fit && !codes.is_empty() && codes.len() <= INVITES_MAX).then_some(codes)
        });
        let accounts = Accounts {
            base_url: self.text(&var::BASE_URL, http_url),
            session_keys: session_keys.unwrap_or_default(),
            invite_codes: invite_codes.unwrap_or_default(),
            admin_email: self.checked(&var::ADMIN_EMAIL, |value| {
                value.parse::<lettre::Address>().is_ok().then(|| value.to_ascii_lowercase())
            }),
            smtp_url: self.checked(&var::SMTP_URL, smtp_url).map(Secret::new),
            mail_from: self.parse(&var::SMTP_FROM, nobody(), |value| value.parse().ok()),
        };
        if accounts.is_secure() {
            for (variable, is_missing) in
                [(&var::SESSION_KEYS, accounts.session_keys.is_empty()), (&var::SMTP_URL, accounts.smtp_url.is_none())]
            {
                if is_missing && self.optional(variable).is_none() {
                    self.refused.push(format!("  {} is not set: BASE_URL with https needs it", variable.name));
                }
            }
        }
        accounts
    }
}

/// Commas separate, and what is empty between them counts as nothing.
fn list(value: &str) -> Vec<Secret> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| Secret::new(part.to_owned())).collect()
}

fn smtp_url(value: &str) -> Option<String> {
    let is_smtp = ["smtp://", "smtps://"].iter().any(|scheme| value.starts_with(scheme));
    let known = lettre::AsyncSmtpTransport::<lettre::Tokio1Executor>::from_url(value).is_ok();
    (is_smtp && known).then(|| value.to_owned())
}

/// Stands in for a refused address, which ends the start-up anyway.
fn nobody() -> Mailbox {
    Mailbox::new(None, lettre::Address::new("nobody", "localhost").expect("a name and a host make an address"))
}

/// Two overlap while a key is changed; a few more are no harm.
const SESSION_KEYS_MAX: usize = 8;
/// Each is compared with each sign-in.
const INVITES_MAX: usize = 1_000;
/// A shorter code is guessed.
const INVITE_BYTES_MIN: usize = 6;
/// As long as the form takes.
pub(crate) const INVITE_BYTES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError};

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://someone@localhost/seawall");

    fn read(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn lists_are_split_and_production_needs_keys_and_mail() {
        let key = "k".repeat(32);
        let keys = format!("{key}, ,{key}2");
        let https = ("BASE_URL", "https://permits.example/");
        let smtp = ("SMTP_URL", "smtps://me:hunter2@mail.example");
        let config =
            read(&[URL, https, smtp, ("SESSION_KEYS", &keys), ("INVITE_CODES", "welcome,second-one")]).unwrap();
        assert_eq!(config.accounts.base_url, "https://permits.example");
        assert_eq!((config.accounts.session_keys.len(), config.accounts.invite_codes.len()), (2, 2));
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("welcome"));
        let error = read(&[URL, https]).unwrap_err().to_string();
        assert_eq!(
            error,
            "wrong configuration:\n  SESSION_KEYS is not set: BASE_URL with https needs it\n  SMTP_URL is not set: BASE_URL \
             with https needs it"
        );
        let development = read(&[URL]).unwrap();
        assert!(!development.accounts.is_secure() && development.accounts.session_keys.is_empty());
    }

    #[test]
    fn wrong_values_are_named_and_hidden() {
        for (name, value, shown) in [
            ("SESSION_KEYS", "short", "[hidden]"),
            ("INVITE_CODES", "welcome,short", "[hidden]"),
            ("ADMIN_EMAIL", "nobody", "\"nobody\""),
            ("SMTP_URL", "http://:hunter2@mail.example", "[hidden]"),
            ("SMTP_FROM", "nobody at all", "\"nobody at all\""),
            ("BASE_URL", "permits.example", "\"permits.example\""),
        ] {
            let error = read(&[URL, (name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is {shown}: expected ")), "{error}");
        }
    }
}
