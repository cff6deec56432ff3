//! A session: a signed value in a cookie. Nothing is stored for it but the generation in the user's row.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

use super::Accounts;
use super::keys::{Purpose, SIGNATURE_BYTES};
use crate::digest::{hex, unhex};

/// Who a cookie says is asking. That the user still exists, and the generation, are for the database to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(super) user_id: i64,
    pub(super) generation: i32,
    issued_at: i64,
    /// Tells two sessions of one second apart, so that the tokens of their forms differ.
    nonce: u64,
}

/// How long a session lasts, whatever is done in it.
pub(crate) const SESSION_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A clock may be ahead of another process's by so much.
const CLOCK_SKEW_SECONDS: i64 = 60;

impl Session {
    pub(crate) fn begin(user_id: i64, generation: i32, now: Timestamp) -> Self {
        Self { user_id, generation, issued_at: now.as_second(), nonce: rand::random() }
    }

    /// What is signed, and what forms are bound to.
    pub(super) fn text(&self) -> String {
        format!("{}.{}.{}.{:016x}", self.user_id, self.generation, self.issued_at, self.nonce)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let session = Self {
            user_id: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
            issued_at: parts.next()?.parse().ok()?,
            nonce: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(session)
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        let age = now.as_second().saturating_sub(self.issued_at);
        (-CLOCK_SKEW_SECONDS..=SESSION_TIME_MAX.as_secs().cast_signed()).contains(&age)
    }
}

/// How the cookie is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookie {
    name: &'static str,
    attributes: &'static str,
    /// Those of [`MARK`].
    mark_attributes: &'static str,
}

/// A cookie that says that someone is signed in and not who, for a script of ours: pages that caches keep are the same for
/// everybody, and it alone changes their links.
const MARK: &str = "seawall-signed-in";

impl Cookie {
    /// Over TLS the name's prefix has browsers refuse a cookie that another host, or a page without TLS, has set
    /// (RFC 6265bis §4.1.3.2).
    pub(super) const fn new(is_secure: bool) -> Self {
        if is_secure {
            Self {
                name: "__Host-seawall",
                attributes: "; Path=/; HttpOnly; SameSite=Lax; Secure",
                mark_attributes: "; Path=/; SameSite=Lax; Secure",
            }
        } else {
            Self {
                name: "seawall",
                attributes: "; Path=/; HttpOnly; SameSite=Lax",
                mark_attributes: "; Path=/; SameSite=Lax",
            }
        }
    }

    /// Both cookies, the session first.
    fn set(self, value: &str, mark: &str, age_max: Duration) -> [HeaderValue; 2] {
        [(self.name, value, self.attributes), (MARK, mark, self.mark_attributes)].map(|(name, value, attributes)| {
            let text = format!("{name}={value}{attributes}; Max-Age={}", age_max.as_secs());
            HeaderValue::from_str(&text).expect("digits, letters, dots and the attributes above stand in a field")
        })
    }

    /// The value of the first cookie of our name.
    fn of(self, headers: &HeaderMap) -> Option<&str> {
        let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name).map(|(_, value)| value)
    }
}

impl Accounts {
    /// The values of `Set-Cookie` that begin a session.
    pub(crate) fn begin(&self, session: &Session) -> [HeaderValue; 2] {
        let text = session.text();
        let value = format!("{text}.{}", hex(&self.keys.sign(Purpose::Session, &text)));
        self.cookie.set(&value, "1", SESSION_TIME_MAX)
    }

    /// Those that end it in this browser.
    pub(crate) fn end(&self) -> [HeaderValue; 2] {
        self.cookie.set("", "", Duration::ZERO)
    }

    /// The session of a request, if its cookie is one that we have signed within [`SESSION_TIME_MAX`].
    pub(super) fn session(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let (text, signature) = self.cookie.of(headers)?.rsplit_once('.')?;
        let signature = unhex::<SIGNATURE_BYTES>(signature)?;
        if !self.keys.verify(Purpose::Session, text, &signature) {
            return None;
        }
        Session::parse(text).filter(|session| session.holds_at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::accounts;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sent(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    #[test]
    fn a_cookie_is_read_as_it_was_written_and_for_a_month() {
        let accounts = accounts(&[]);
        let session = Session::begin(7, 3, at(1_000_000));
        let [set, mark] = accounts.begin(&session).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(mark, "seawall-signed-in=1; Path=/; SameSite=Lax; Secure; Max-Age=2592000");
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=2592000"), "{set}");
        let pair = set.split(';').next().unwrap();
        for (headers, now, known) in [
            (sent(pair), 1_000_000, true),
            (sent(&format!("theme=dark; {pair}; other=1")), 1_000_000, true),
            (sent(pair), 1_000_000 + 2_592_000, true),
            (sent(pair), 1_000_000 + 2_592_001, false),
            (sent(pair), 1_000_000 - 60, true),
            (sent(pair), 1_000_000 - 61, false),
            (sent(&pair.replacen("7.3.", "8.3.", 1)), 1_000_000, false),
            (sent(&pair.replacen("7.3.", "7.4.", 1)), 1_000_000, false),
            (sent(&pair[..pair.len() - 2]), 1_000_000, false),
            (sent(&format!("{pair}00")), 1_000_000, false),
            (sent("__Host-seawall="), 1_000_000, false),
            (sent("__Host-seawall=."), 1_000_000, false),
            (HeaderMap::new(), 1_000_000, false),
        ] {
            assert_eq!(accounts.session(&headers, at(now)), known.then(|| session.clone()), "{headers:?} {now}");
        }
    }

    #[test]
    fn another_key_signs_nobody_in() {
        let set = accounts(&[]).begin(&Session::begin(7, 0, at(0)))[0].to_str().unwrap().to_owned();
        let pair = set.split(';').next().unwrap();
        let key = "other".repeat(8);
        assert_eq!(accounts(&[("SESSION_KEYS", &key)]).session(&sent(pair), at(0)), None);
        let both = format!("{key},{}", "k".repeat(32));
        assert!(accounts(&[("SESSION_KEYS", &both)]).session(&sent(pair), at(0)).is_some());
    }
}
