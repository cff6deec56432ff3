//! Spans of requests for a collector of OpenTelemetry, by OTLP over HTTP, where one is configured.
//!
//! Where the edge's secret vouches for it, a request's span carries on the trace that `traceparent` names, and its caller's
//! choice whether to sample; of traces that begin here a part is sampled. Ended spans wait in a queue of [`QUEUE_MAX`]; a thread of its own sends them in batches.
//! What does not fit, and what the collector does not take, is lost: no request waits for either.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::config::{self, Secret};
use crate::tls;
use crate::vouch::is_from_edge;

/// Spans that wait to be sent; a second of the busiest process, all sampled.
pub const QUEUE_MAX: usize = 4_096;
/// Spans in one request to the collector.
const BATCH_MAX: usize = 512;
/// Longest time that an ended span waits for others to be sent with.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Longest wait for the collector.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);
/// At the end, longest time for what is still in the queue.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Whether spans are exported, and whose traces they may be part of then.
static CALLERS: OnceLock<Callers> = OnceLock::new();

/// Reads who calls.
struct Callers {
    propagator: TraceContextPropagator,
    /// What a request shows that is believed; without it none is.
    edge_secret: Option<Secret>,
}

/// Exports spans until [`Telemetry::end`].
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Starts the exporter; `None` without a collector, and then nothing else here does anything. Only requests that show
    /// `edge_secret` name the trace that they are part of.
    ///
    /// # Errors
    /// When the configuration makes no exporter.
    pub fn start(config: &config::Telemetry, edge_secret: Option<Secret>) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        drop(tls::provider());
        let http = reqwest::Client::builder().timeout(EXPORT_TIME_MAX).build();
        let client = Client { http: http.context("the HTTP client cannot be made")?, runtime: Handle::current() };
        let headers = config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(EXPORT_TIME_MAX)
            .with_headers(headers.collect())
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT makes no exporter")?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let part = f64::from(config.sample_permille) / 1_000.0;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(part))))
            .with_resource(Resource::builder().with_service_name(config.service_name.clone()).build())
            .build();
        CALLERS.get_or_init(|| Callers { propagator: TraceContextPropagator::new(), edge_secret });
        Ok(Some(Self { provider }))
    }

    /// What makes spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("seawall-origin")
    }

    /// Sends what waits, for a few seconds at most.
    pub async fn end(self) {
        // The exporter's thread needs this runtime meanwhile, so this one waits beside it.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH_TIME_MAX)).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!(event = "telemetry.not_flushed", %error, "the last spans were not sent: {error}");
        }
    }
}

/// Makes the span part of the trace that the request names, and names it by its route; before the span is entered, since what
/// has begun keeps its parent and its name.
pub(crate) fn adopt(span: &Span, method: &Method, route: Option<&str>, headers: &HeaderMap) {
    if let Some(Callers { propagator, edge_secret }) = CALLERS.get() {
        // A client can invent methods; what it invents is one.
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::DELETE | Method::OPTIONS => method.as_str(),
            _ => "HTTP",
        };
        span.record(NAME, route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
        // Anyone else could have every request sampled, or put spans into traces that are none of theirs.
        if edge_secret.as_ref().is_some_and(|secret| is_from_edge(headers, secret)) {
            // It fails for a span that the log's filter left out, which nobody exports either.
            let _ = span.set_parent(propagator.extract(&HeaderExtractor(headers)));
        }
    }
}

/// What is said of a request when it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) method: &'a str,
    /// The pattern of the path; `None` where none fits.
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) request_id: &'a str,
}

/// The field that names a span where it is exported; empty until the route is known.
pub(crate) const NAME: &str = "otel.name";

/// Says on the span what became of the request, by the names of OpenTelemetry's conventions for HTTP servers.
pub(crate) fn describe(span: &Span, answered: Answered<'_>) {
    if CALLERS.get().is_none() {
        return;
    }
    let Answered { method, route, status, request_id } = answered;
    span.set_attribute("http.request.method", method.to_owned());
    if let Some(route) = route {
        span.set_attribute("http.route", route.to_owned());
    }
    span.set_attribute("http.response.status_code", i64::from(status));
    span.set_attribute("request.id", request_id.to_owned());
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// The exporter's thread has no runtime, so its requests run on ours.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        sending.await?
    }
}
