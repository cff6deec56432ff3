use std::collections::HashMap;

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::{Call, Database, Gate, Reply, Site, Upstream, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const EDGE_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a batch says, once the whole of it has come: whose it is, and its spans.
fn batch(call: &Call) -> Option<(HashMap<String, String>, Vec<Span>)> {
    let batch = ExportTraceServiceRequest::decode(&*call.bytes()).ok()?;
    let resource = batch.resource_spans.first()?.resource.as_ref()?;
    let resource = attributes(&resource.attributes);
    let scopes = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    Some((resource, scopes.flat_map(|scope| scope.spans).collect()))
}

fn attributes(pairs: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A collector reads the span of a request whose trace a caller with the edge's secret samples, and nothing of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_who_shows_the_secret_of_the_edge_has_a_request_sampled() -> Result<()> {
    let (database, collector) = (Database::create("telemetry")?, Upstream::start(|_| Reply::text("")).await?);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret"),
        ("OTEL_SERVICE_NAME", "permits"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        // Lines of the log and spans have filters of their own.
        ("RUST_LOG", "error"),
        ("EDGE_SECRET", EDGE_SECRET),
    ];
    let site = Site::start_with(&database.origin, 0, &variables)?;
    assert_eq!(site.visitor().get("/methodology").await?.status, 200);
    let traced = async |target: &str, request_id: &str, sampled: &str, secret: &str| {
        let parent = format!("00-{TRACE}-{CALLER}-{sampled}");
        let request = site.visitor().ask("GET", target).field("traceparent", &parent);
        request.field("x-request-id", request_id).field("seawall-edge-secret", secret).send().await
    };
    // A stranger has nothing sampled.
    for secret in ["", "1", &EDGE_SECRET.replace('0', "1")] {
        assert_eq!(traced("/privacy", "stranger", "01", secret).await?.status, 200);
    }
    assert_eq!(traced("/privacy", "edge-0", "00", EDGE_SECRET).await?.status, 200);
    assert_eq!(traced("/report/3507/004", "edge-1", "01", EDGE_SECRET).await?.status, 404);

    let call = collector.call(1).await?;
    assert_eq!((&*call.target, call.field("x-key")), ("/v1/traces", "secret".to_owned()));
    until(async || Ok(batch(&call).is_some_and(|(_, spans)| !spans.is_empty()))).await?;
    let (resource, spans) = batch(&call).context("a batch")?;
    assert_eq!(resource["service.name"], "permits");
    let [span] = &spans[..] else { anyhow::bail!("{spans:?}") };
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!(span.name, "GET /report/{block}/{lot}");
    let said = attributes(&span.attributes);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/report/{block}/{lot}"),
        ("http.response.status_code", "404"),
        ("request.id", "edge-1"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{said:?}");
    }
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    Ok(())
}

/// A collector that takes a batch and does not answer holds no request up, and neither does one that is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dead_collector_changes_nothing() -> Result<()> {
    let (database, gate) = (Database::create("telemetry_dead")?, Gate::closed());
    let held = gate.clone();
    let hanging = Upstream::start(move |_| Reply::text("").after(&held)).await?;
    for (url, hangs) in [(hanging.url(), true), ("http://127.0.0.1:1".to_owned(), false)] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url), ("OTEL_TRACES_SAMPLER_ARG", "1")];
        let site = Site::start_with(&database.origin, 0, &variables)?;
        assert_eq!(site.visitor().get("/methodology").await?.status, 200);
        if hangs {
            hanging.call(1).await?;
        }
        // More than the exporter holds, while it waits.
        let mut session = site.visitor().session().await?;
        for _ in 0..5_000 {
            assert_eq!(session.get("/robots.txt").await?.status, 200);
        }
    }
    Ok(())
}
