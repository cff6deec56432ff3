//! People who sign in: by a link in a mail, kept by a signed cookie, guarded against pages of other sites.
//!
//! # Design
//! A request that asks for a link is answered before anything is looked up, so neither the answer nor its time tells
//! whether an address is known. The link's token is in the mail only; the database has its digest. A session is a signed
//! value in a cookie that names the user and the generation of the user's sessions; each request reads the user's row,
//! so signing out everywhere works at once. Forms carry a token made from the session, and requests that change anything
//! are refused when a browser says that another site made them. Pages that the edge keeps know nothing of all this.

mod form;
mod keys;
mod link;
mod origin_check;
mod session;
mod unsubscribe;
mod user;
pub(crate) mod watch;

use std::sync::Arc;

use anyhow::Context as _;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Uri};
use subtle::ConstantTimeEq as _;

pub(crate) use self::form::SignedForm;
use self::keys::Keys;
pub(crate) use self::link::{Asked, Desk, EMAIL_BYTES_MAX, Email, LINK_MINUTES, Token};
pub(crate) use self::origin_check::layer as origin_check;
use self::session::Cookie;
pub(crate) use self::session::Session;
pub(crate) use self::user::{Admin, Frequency, User};
use crate::config;

/// Who may sign in, and how sessions are signed.
#[derive(Debug)]
pub(crate) struct Accounts {
    settings: config::Accounts,
    /// `https://host:port` of `BASE_URL`, as browsers write it in `Origin`.
    origin: String,
    keys: Keys,
    cookie: Cookie,
}

impl Accounts {
    /// # Errors
    /// When `BASE_URL` has no host.
    pub(crate) fn new(settings: config::Accounts) -> anyhow::Result<Arc<Self>> {
        let uri: Uri = settings.base_url.parse().context("BASE_URL is not a URL")?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).context("BASE_URL has no host")?;
        let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
        if settings.session_keys.is_empty() {
            tracing::warn!(
                event = "accounts.key_of_this_process",
                "SESSION_KEYS is not set: sessions end with this process, and no other process knows them"
            );
        }
        let keys = Keys::new(&settings.session_keys);
        let cookie = Cookie::new(settings.is_secure());
        Ok(Arc::new(Self { settings, origin, keys, cookie }))
    }

    /// An address of this site as visitors type it; `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.base_url)
    }

    /// The host that visitors type, without a port.
    pub(crate) fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or(&*self.origin, |(_, authority)| authority);
        authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(authority, |(host, _)| host)
    }

    /// Whether new visitors need a code.
    pub(crate) fn needs_invite(&self) -> bool {
        !self.settings.invite_codes.is_empty()
    }

    /// Where someone signs up, with a code that may be known to all: the first that begins with [`PUBLIC_CODE`].
    pub(crate) fn sign_up_path(&self) -> String {
        let mut codes = self.settings.invite_codes.iter().map(config::Secret::expose);
        let code = codes.find(|code| code.starts_with(PUBLIC_CODE));
        let query = code.and_then(|code| serde_urlencoded::to_string([("invite_code", code)]).ok());
        query.map_or_else(|| "/auth/login".to_owned(), |query| format!("/auth/login?{query}"))
    }

    /// Compares with every code, in a time that tells nothing about any of them.
    fn is_invited(&self, code: &str) -> bool {
        let same = |known: &config::Secret| known.expose().as_bytes().ct_eq(code.as_bytes());
        let none = subtle::Choice::from(0);
        bool::from(self.settings.invite_codes.iter().fold(none, |found, known| found | same(known)))
    }

    fn is_admin(&self, email: &str) -> bool {
        self.settings.admin_email.as_deref() == Some(email)
    }
}

/// How an invite code begins that pages may show.
const PUBLIC_CODE: &str = "demo-";

/// What belongs to one visitor is kept by nobody, not even for the way back.
pub(crate) fn private<R: axum::response::IntoResponse>(answer: R) -> axum::response::Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Config;

    /// Accounts of a site at `https://permits.example` with these variables.
    pub(crate) fn accounts(further: &[(&str, &str)]) -> Arc<Accounts> {
        let base = [("DATABASE_URL", "postgres://x@localhost/x"), ("SMTP_URL", "smtp://localhost")];
        let set = [further, &base, &[("BASE_URL", "https://permits.example")]].concat();
        let config = Config::read(|name| {
            let given = set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            given.or_else(|| (name == "SESSION_KEYS").then(|| "k".repeat(32)))
        });
        Accounts::new(config.unwrap().accounts).unwrap()
    }

    #[test]
    fn only_a_code_that_says_so_is_shown() {
        for (codes, path) in [
            ("welcome,demo-a b,demo-2", "/auth/login?invite_code=demo-a+b"),
            ("welcome,a-demo-1", "/auth/login"),
            ("", "/auth/login"),
        ] {
            assert_eq!(accounts(&[("INVITE_CODES", codes)]).sign_up_path(), path);
        }
    }

    #[test]
    fn a_host_has_no_port() {
        assert_eq!(accounts(&[]).host(), "permits.example");
        assert_eq!(accounts(&[("BASE_URL", "http://localhost:8080")]).host(), "localhost");
        assert_eq!(accounts(&[("BASE_URL", "http://[::1]:8080/")]).host(), "[::1]");
    }

    #[test]
    fn a_code_is_compared_whole() {
        let accounts = accounts(&[("INVITE_CODES", "welcome, second-one")]);
        assert!(accounts.needs_invite());
        for (code, invited) in [
            ("welcome", true),
            ("second-one", true),
            ("Welcome", false),
            ("welcom", false),
            ("welcome1", false),
            ("", false),
        ] {
            assert_eq!(accounts.is_invited(code), invited, "{code}");
        }
    }
}
