//! Errors of the request path: status, public text and internal text are chosen once, here.
//!
//! A handler returns [`Error`]; it becomes an answer that holds only the status and the error itself.
//! [`crate::http::errors`] turns that into a page or a problem document and writes the one log line.
//! Public text says what was wrong and what to do; internal text goes to the log and never to a client.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio_postgres::error::SqlState;

use crate::db::CheckoutError;

/// When to come back after the database was away: long enough for a restart, short enough to be noticed.
const RETRY_DATABASE: Duration = Duration::from_secs(5);

/// When to come back after every connection was busy or the answer took too long.
const RETRY_BUSY: Duration = Duration::from_secs(2);

/// When to come back after a request was refused because too many run.
const RETRY_SHED: Duration = Duration::from_secs(1);

/// When to come back after as many jobs wait as may: some of them are done then.
const RETRY_QUEUE: Duration = Duration::from_secs(30);

/// Why a request got no proper answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Error {
    status: StatusCode,
    public: Cow<'static, str>,
    retry_after: Option<Duration>,
    internal: Option<Arc<dyn StdError + Send + Sync>>,
    busy: bool,
    shed: bool,
}

impl Error {
    fn new(status: StatusCode, public: impl Into<Cow<'static, str>>) -> Self {
        Self { status, public: public.into(), retry_after: None, internal: None, busy: false, shed: false }
    }

    /// 400: the request makes no sense; `public` says what to change.
    #[must_use]
    pub fn bad_request(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, public)
    }

    /// 401: nobody is signed in; `public` says how one does.
    #[must_use]
    pub fn unauthorized(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, public)
    }

    /// 403: this may not be done from here; `public` says how it can be.
    #[must_use]
    pub fn forbidden(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, public)
    }

    /// 404: nothing is known under this address.
    #[must_use]
    pub fn not_found(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, public)
    }

    /// 500: a bug of ours. `internal` is for the log.
    #[must_use]
    pub fn bug(internal: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "This is a fault of ours, and it has been recorded.");
        error.because(internal)
    }

    /// 503: the database is away.
    #[must_use]
    pub fn database_away(internal: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let public = "The permit records cannot be reached at the moment. Please try again in a few seconds.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, public).retry_after(RETRY_DATABASE).because(internal)
    }

    /// 503: the answer could not be made in time.
    #[must_use]
    pub fn busy(internal: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let public = "This is taking too long because many people are asking. Please try again in a few seconds.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, public).retry_after(RETRY_BUSY).because(internal);
        Self { busy: true, ..error }
    }

    /// 503: more is asked than this process can do.
    #[must_use]
    pub fn shed() -> Self {
        let public = "Many people are asking at this moment. Please try again in a second.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, public).retry_after(RETRY_SHED);
        Self { shed: true, ..error.because("more requests than this process takes on") }
    }

    /// 503: the database has been silent for a while, so it was not asked.
    #[must_use]
    pub fn silent() -> Self {
        Self { shed: true, ..Self::database_away("the database has been silent for a while") }
    }

    /// 503: as many jobs wait as may.
    #[must_use]
    pub fn queue_full() -> Self {
        let public = "Many people wait for work like this. Please try again in half a minute.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, public).retry_after(RETRY_QUEUE);
        error.because("as many jobs wait as may, or their results take as much room as they may")
    }

    /// 409: what is asked for does not fit the state of things.
    #[must_use]
    pub fn conflict(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, public)
    }

    /// 429: this client asks for too much. Who knows the limits adds when to come back.
    #[must_use]
    pub fn too_many(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, public)
    }

    /// The error for an answer that a library gave without one of ours: a wrong method, a body too long.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        let public = match status {
            StatusCode::BAD_REQUEST => "The request could not be understood. Please check the address.",
            StatusCode::UNAUTHORIZED => "This address needs a token.",
            StatusCode::NOT_FOUND => "There is nothing at this address.",
            StatusCode::METHOD_NOT_ALLOWED => "This address does not take this kind of request.",
            StatusCode::PAYLOAD_TOO_LARGE => "The request is longer than this site accepts.",
            _ if status.is_client_error() => "The request could not be answered.",
            _ => "This is a fault of ours, and it has been recorded.",
        };
        Self::new(status, public)
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    fn because(mut self, internal: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.internal = Some(Arc::from(internal.into()));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the answer took too long, or would have.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the request was turned away before anything was done for it. Who turns away says so, seldom.
    #[must_use]
    pub fn is_shed(&self) -> bool {
        self.shed
    }

    /// What the client may read.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// What only the log may hold: the causes, outermost first.
    #[must_use]
    pub fn internal(&self) -> Option<String> {
        let mut cause: &dyn StdError = self.internal.as_deref()?;
        let mut text = cause.to_string();
        while let Some(source) = cause.source() {
            text = format!("{text}: {source}");
            cause = source;
        }
        Some(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.public)
    }
}

impl StdError for Error {}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CheckoutError> for Error {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Exhausted => Self::busy(error),
            _ => Self::database_away(error),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            // Without a state the server did not speak: the connection broke, or the row was not what we expected.
            let broken = error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>());
            return if broken { Self::database_away(error) } else { Self::bug(error) };
        };
        let class = state.code().get(..2).unwrap_or_default();
        match class {
            _ if *state == SqlState::QUERY_CANCELED => Self::busy(error),
            // 08 connection, 53 resources (also too many connections), 57 operator intervention (restart, recovery).
            "08" | "53" | "57" => Self::database_away(error),
            // The tables are not there yet: the migrations have not run.
            _ if *state == SqlState::UNDEFINED_TABLE || *state == SqlState::UNDEFINED_COLUMN => {
                Self::database_away(error)
            }
            _ => Self::bug(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_text_stays_inside() {
        let error = Error::bug("relation \"secrets\" is broken");
        assert_eq!(error.internal().as_deref(), Some("relation \"secrets\" is broken"));
        assert!(!error.public().contains("secrets"));
        assert!(!error.to_string().contains("secrets"));
    }

    #[test]
    fn what_may_pass_says_when_to_come_back() {
        for (error, wait) in [(Error::database_away("gone"), "5"), (Error::busy("slow"), "2")] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], wait);
        }
        assert!(!Error::bug("x").into_response().headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn an_exhausted_pool_is_busy_and_not_broken() {
        assert_eq!(Error::from(CheckoutError::Exhausted).into_response().headers()[RETRY_AFTER], "2");
        let away = CheckoutError::Unreachable("refused".into());
        assert_eq!(Error::from(away).into_response().headers()[RETRY_AFTER], "5");
    }
}
