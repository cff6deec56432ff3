//! A client for the city's open-data API.
//!
//! One [`Client`] is made per process and cloned, so every call goes through the same breaker. A single call never
//! retries; [`Client::page_patiently`] does, for the loader, which has time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use seawall_core::breaker::{self, Breaker, Gate, Outcome, Permit, Reply, State};
use seawall_core::time::Timestamp;

use crate::config::{self, Secret};
use crate::tls;

mod error;
mod retry;

pub use error::SodaError;
pub use retry::{ATTEMPTS_MAX, PAUSE_MAX};

/// A client; clones share connections and breaker.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: Arc<str>,
    app_token: Option<Secret>,
    timeout: Duration,
    body_bytes_max: usize,
    breaker: Arc<Mutex<Breaker>>,
    breaker_config: breaker::Config,
}

/// What to ask of a dataset. An absent part is left to the API's own default.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// `$select`
    pub select: Option<String>,
    /// `$where`; quote values with [`quote`].
    pub filter: Option<String>,
    /// `$order`
    pub order: Option<String>,
    /// `$limit`
    pub limit: Option<usize>,
    /// `$offset`
    pub offset: Option<u64>,
}

/// One answer.
#[derive(Debug)]
pub struct Page {
    /// The rows, as they came.
    pub rows: Vec<Value>,
}

/// A text value for `$where`, quoted so that it stays one value.
#[must_use]
pub fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

impl Client {
    /// A client with a closed breaker. Opens no connection yet.
    ///
    /// # Errors
    /// When the platform's root certificates cannot be read.
    pub fn new(config: &config::Soda, breaker_config: breaker::Config) -> anyhow::Result<Self> {
        // reqwest takes the process's default provider.
        drop(tls::provider());
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
            .user_agent(concat!("seawall/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client for the city's API cannot be made")?;
        Ok(Self {
            http,
            base_url: config.base_url.as_str().into(),
            app_token: config.app_token.clone(),
            timeout: config.timeout,
            body_bytes_max: BODY_BYTES_MAX,
            breaker: Arc::default(),
            breaker_config,
        })
    }

    /// The same client with a bound on answers that a test can reach.
    #[cfg(test)]
    pub(crate) fn with_body_bytes_max(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// The same client, with the same breaker, for calls of at most so long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: self.timeout.min(timeout), ..self }
    }

    /// Asks once.
    ///
    /// # Errors
    /// Sorted by blame; see [`SodaError`].
    pub async fn query(&self, dataset_id: &str, query: &Query) -> Result<Page, SodaError> {
        let permit = self.admit()?;
        let started = Instant::now();
        let result = self.call(dataset_id, query).await;
        self.record(permit, &result, started.elapsed());
        result
    }

    /// Asks for one page, again after a transient failure, with growing random pauses in between. An open breaker, and
    /// an API that asks to be left alone, are waited for up to [`PAUSE_MAX`]. Gives up after [`ATTEMPTS_MAX`] attempts,
    /// or at once when a longer wait is asked for.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn page_patiently(&self, dataset_id: &str, query: &Query) -> Result<Page, SodaError> {
        let mut attempt = 1;
        loop {
            let error = match self.query(dataset_id, query).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let Some(pause) = retry::pause(attempt, &error, rand::random()) else { return Err(error) };
            tracing::warn!(
                event = "soda.retry", dataset = dataset_id, attempt, pause_ms = pause.as_millis(), %error,
                "{dataset_id}: attempt {attempt} of {ATTEMPTS_MAX} failed, trying again: {error}"
            );
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// How many rows of a dataset meet a condition, asked as patiently as a page.
    ///
    /// # Errors
    /// As [`Client::page_patiently`], or malformed when the answer is not one count.
    pub async fn count(&self, dataset_id: &str, filter: Option<&str>) -> Result<u64, SodaError> {
        let filter = filter.map(str::to_owned);
        let query = Query { select: Some("count(*) as count".to_owned()), filter, ..Query::default() };
        let page = self.page_patiently(dataset_id, &query).await?;
        let count = page.rows.first().and_then(|row| row.get("count"));
        let number = count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
        number.ok_or_else(|| SodaError::Malformed("expected one row with a count".to_owned()))
    }

    /// Where the breaker stands, for health and metrics.
    #[must_use]
    pub fn breaker_state(&self) -> State {
        self.lock().state(now())
    }

    async fn call(&self, dataset_id: &str, query: &Query) -> Result<Page, SodaError> {
        let mut request = self.http.get(format!("{}/resource/{dataset_id}.json", self.base_url)).timeout(self.timeout);
        for (name, value) in query.parameters() {
            request = request.query(&[(name, value)]);
        }
        if let Some(token) = &self.app_token {
            request = request.header("X-App-Token", token.expose());
        }
        let mut response = request.send().await.map_err(|error| SodaError::of(error, self.timeout))?;
        let status = response.status();
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let retry_after = header("retry-after").and_then(|value| retry::after_header(&value));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| SodaError::of(error, self.timeout))? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(SodaError::TooLarge { bytes_max: self.body_bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let (code, message) = ErrorBody::read(&body);
            return Err(SodaError::Status { status: status.as_u16(), code, message, retry_after });
        }
        let rows = serde_json::from_slice(&body).map_err(|error| SodaError::Malformed(error.to_string()))?;
        Ok(Page { rows })
    }

    fn admit(&self) -> Result<Permit, SodaError> {
        match self.lock().admit(&self.breaker_config, now()) {
            Gate::Pass(permit) => Ok(permit),
            Gate::Reject { retry_after } => Err(SodaError::Refused { retry_after }),
        }
    }

    fn record(&self, permit: Permit, result: &Result<Page, SodaError>, took: Duration) {
        let reply = match result {
            Ok(_) => Reply::Status { status: 200, retry_after: None },
            Err(SodaError::Status { status, retry_after, .. }) => {
                Reply::Status { status: *status, retry_after: *retry_after }
            }
            Err(SodaError::Timeout { .. }) => Reply::TimedOut,
            // A body that broke off or is no JSON comes from a dependency that is failing, whatever its status said.
            Err(SodaError::Unreachable(_) | SodaError::Interrupted(_) | SodaError::Malformed(_)) => Reply::Disconnected,
            Err(SodaError::TooLarge { .. } | SodaError::Refused { .. }) => Reply::Abandoned,
        };
        let outcome = Outcome::classify(&self.breaker_config, reply, took);
        self.lock().record(&self.breaker_config, permit, outcome, now(), rand::random());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        // The breaker's methods do not panic; if one did, its last state is still a breaker.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Query {
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("$select", self.select.clone()),
            ("$where", self.filter.clone()),
            ("$order", self.order.clone()),
            ("$limit", self.limit.map(|limit| limit.to_string())),
            ("$offset", self.offset.map(|offset| offset.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A connection takes a fraction of a second where it works at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A page of 50,000 rows, the most SODA gives at once, is about 60 MB.
pub const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// An error message is a sentence; some carry the whole query plan.
const MESSAGE_CHARS_MAX: usize = 300;

/// What SODA says about an error; which of the two codes it uses depends on the part that answers.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(alias = "errorCode")]
    code: Option<String>,
    message: Option<String>,
}

impl ErrorBody {
    fn read(body: &[u8]) -> (Option<String>, String) {
        let parsed = serde_json::from_slice(body).unwrap_or(Self { code: None, message: None });
        let message = parsed.message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        (parsed.code, message.chars().take(MESSAGE_CHARS_MAX).collect())
    }
}

/// The one place where this module reads the clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.after(since)
}
