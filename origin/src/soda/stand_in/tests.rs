use std::time::Duration;

use seawall_core::breaker::{Config, Settings};

use super::*;
use crate::config::{Secret, Soda};
use crate::soda::client::{Client, Page, Query, SodaError};

const PERMITS: &str = "i98e-djp9";

/// Longer than any answer takes on a machine that is slow and busy.
const PATIENCE: Duration = Duration::from_secs(60);

async fn server(app_token: Option<&str>) -> Server {
    let generate = sample::Options { permits: 300, ..sample::Options::default() };
    let options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: Vec::new(),
        generate: Some(generate),
        app_token: app_token.map(str::to_owned),
    };
    Server::start(options).await.unwrap()
}

fn client(server: &Server, app_token: Option<&str>, timeout: Duration) -> Client {
    let config = Soda {
        base_url: server.url(),
        app_token: app_token.map(|token| Secret::new(token.to_owned())),
        timeout,
        page_size: 100,
        in_reports: true,
    };
    Client::new(&config, Config::new(Settings { min_calls: 3, ..Settings::default() }).unwrap()).unwrap()
}

async fn order_fault(server: &Server, fault: Value) {
    let response = reqwest::Client::new().post(format!("{}/stand-in/faults", server.url())).json(&fault).send().await;
    assert_eq!(response.unwrap().status(), 204);
}

fn page(limit: usize, offset: u64) -> Query {
    Query { order: Some(":id".to_owned()), limit: Some(limit), offset: Some(offset), ..Query::default() }
}

#[tokio::test]
async fn pages_hold_every_row_once() {
    let server = server(None).await;
    let client = client(&server, None, PATIENCE);
    let count = client.count(PERMITS, None).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for offset in (0..count).step_by(70) {
        for row in client.query(PERMITS, &page(70, offset)).await.unwrap().rows {
            assert!(seen.insert(row["record_id"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(seen.len() as u64, count);
    let stats: Value = reqwest::get(format!("{}/stand-in/stats", server.url())).await.unwrap().json().await.unwrap();
    assert_eq!(stats["requests"][PERMITS], 1 + count.div_ceil(70));
}

#[tokio::test]
async fn errors_are_sorted_by_blame() {
    let server = server(Some("secret")).await;
    let right = client(&server, Some("secret"), PATIENCE);
    let wrong = client(&server, Some("guess"), PATIENCE);
    let kind = |result: Result<Page, SodaError>| match result.unwrap_err() {
        SodaError::Status { status, code, .. } => format!("{status} {}", code.unwrap_or_default()),
        SodaError::Timeout { .. } => "timeout".to_owned(),
        SodaError::Unreachable(_) => "unreachable".to_owned(),
        SodaError::Interrupted(_) => "interrupted".to_owned(),
        other => other.to_string(),
    };
    assert_eq!(kind(wrong.query(PERMITS, &page(1, 0)).await), "403 permission_denied");
    assert_eq!(kind(right.query("aaaa-aaaa", &page(1, 0)).await), "404 dataset.missing");
    let bad = Query { filter: Some("color = 'red'".to_owned()), ..Query::default() };
    assert_eq!(kind(right.query(PERMITS, &bad).await), "400 query.soql.no-such-column");
    for (fault, timeout, expected) in [
        (json!({"status": 500, "remaining": 1}), PATIENCE, "500 stand-in.fault"),
        (json!({"drop": true, "remaining": 1}), PATIENCE, "interrupted"),
        (json!({"truncate": 10, "remaining": 1}), PATIENCE, "interrupted"),
        (json!({"delay_ms": 600_000, "remaining": 1}), Duration::from_millis(300), "timeout"),
    ] {
        // A client each: the breaker is not what is tested here.
        let client = client(&server, Some("secret"), timeout);
        order_fault(&server, fault.clone()).await;
        assert_eq!(kind(client.query(PERMITS, &page(10, 0)).await), expected, "{fault}");
        assert_eq!(right.query(PERMITS, &page(10, 0)).await.unwrap().rows.len(), 10, "{fault}");
    }
}

#[tokio::test]
async fn the_breaker_is_shared_by_clones_and_spares_the_api() {
    let server = server(None).await;
    let client = client(&server, None, PATIENCE);
    order_fault(&server, json!({"status": 503})).await;
    for _ in 0..3 {
        assert!(client.clone().query(PERMITS, &page(1, 0)).await.is_err());
    }
    let refused = client.query(PERMITS, &page(1, 0)).await.unwrap_err();
    assert!(matches!(refused, SodaError::Refused { retry_after } if retry_after > Duration::ZERO), "{refused}");
    let stats: Value = reqwest::get(format!("{}/stand-in/stats", server.url())).await.unwrap().json().await.unwrap();
    assert_eq!(stats["total"], 3);
}

#[tokio::test]
async fn a_transient_failure_is_tried_again() {
    let server = server(None).await;
    let client = client(&server, None, PATIENCE);
    order_fault(&server, json!({"truncate": 10, "remaining": 1})).await;
    assert_eq!(client.page_patiently(PERMITS, &page(10, 0)).await.unwrap().rows.len(), 10);
    order_fault(&server, json!({"status": 400, "remaining": 1})).await;
    assert!(client.page_patiently(PERMITS, &page(10, 0)).await.is_err());
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused() {
    let server = server(None).await;
    let client = client(&server, None, PATIENCE).with_body_bytes_max(10_000);
    assert!(client.query(PERMITS, &page(1, 0)).await.is_ok());
    let error = client.query(PERMITS, &page(100, 0)).await.unwrap_err();
    assert!(matches!(error, SodaError::TooLarge { bytes_max: 10_000 }), "{error}");
}

#[tokio::test]
async fn only_so_many_faults_can_wait() {
    let server = server(None).await;
    for _ in 0..FAULTS_MAX {
        order_fault(&server, json!({})).await;
    }
    let faults = format!("{}/stand-in/faults", server.url());
    let http = reqwest::Client::new();
    assert_eq!(http.post(&faults).json(&json!({})).send().await.unwrap().status(), 409);
    assert_eq!(http.delete(&faults).send().await.unwrap().status(), 204);
    order_fault(&server, json!({})).await;
}
