use std::net::SocketAddr;

use seawall_core::policy::Policy;
use serde_json::json;

use super::*;
use crate::config;
use crate::permits::report::{Bounds, Rows};
use crate::policy::{BUILT_IN, soda_breaker};
use crate::sample;
use crate::soda::stand_in::{Options, Server};

/// Longer than anything takes on a machine that is slow and busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough to be a deadline, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(50);

/// A block that no generated city has.
const BLOCK: &str = "9998";

/// The city's API with two complaints on one parcel, one of which we hold as it was.
async fn city() -> (Server, Live) {
    let options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: Vec::new(),
        generate: Some(sample::Options { permits: 50, ..sample::Options::default() }),
        app_token: None,
    };
    let server = Server::start(options).await.unwrap();
    let config =
        config::Soda { base_url: server.url(), app_token: None, timeout: PATIENCE, page_size: 1_000, in_reports: true };
    let breaker = soda_breaker(&Policy::compile(BUILT_IN).unwrap()).unwrap();
    let client = Client::new(&config, breaker).unwrap();
    let live = Live { client: Some(client.clone()), deadline: PATIENCE, ..Live::new(Some(client)) };
    let complaint = |number: &str, status: &str, filed: &str| json!({":id": number, "complaint_number": number, "status": status, "date_filed": filed, "block": BLOCK, "lot": "004"});
    let rows =
        [complaint("1", "Not Active", "2024-01-01T00:00:00.000"), complaint("3", "Active", "2024-03-01T00:00:00.000")];
    order(&server, "changes", json!({ "dataset": "gm2e-bten", "updated_at": "2024-03-02T00:00:00.000Z", "set": rows }))
        .await;
    (server, live)
}

async fn order(server: &Server, what: &str, order: Value) {
    let answer = reqwest::Client::new().post(format!("{}/stand-in/{what}", server.url())).json(&order).send().await;
    assert_eq!(answer.unwrap().status(), 204);
}

/// How many calls the city has had.
async fn calls(server: &Server) -> u64 {
    let answer = reqwest::get(format!("{}/stand-in/stats", server.url())).await.unwrap();
    answer.json::<Value>().await.unwrap()["total"].as_u64().unwrap()
}

fn parcel(lot: &str) -> Parcel {
    Parcel::parse(BLOCK, lot).unwrap()
}

fn state(word: &Word) -> State {
    let mut rows = Rows::default();
    word.renew(&mut rows);
    rows.city.state
}

#[tokio::test]
async fn the_citys_rows_take_the_place_of_ours_and_are_kept_for_a_quarter_of_an_hour() {
    let (server, live) = city().await;
    let ours = |number: &str, day: i8| Complaint {
        complaint_number: number.into(),
        status: Some("Active".into()),
        date_filed: Some(jiff::civil::date(2024, 1, day).at(0, 0, 0, 0)),
        ..Complaint::default()
    };
    let mut rows = Rows { bounds: Bounds::PAGE, complaints: vec![ours("2", 2), ours("1", 1)], ..Rows::default() };
    live.ask(&parcel("004"), None).await.renew(&mut rows);
    let shown: Vec<_> =
        rows.complaints.iter().map(|row| (row.complaint_number.as_str(), row.status.as_deref().unwrap())).collect();
    assert_eq!(shown, [("3", "Active"), ("2", "Active"), ("1", "Not Active")]);
    assert!(rows.city.state == State::Answered && rows.city.as_of.is_some());

    let before = calls(&server).await;
    assert_eq!(state(&live.ask(&parcel("4"), None).await), State::Answered);
    assert_eq!(calls(&server).await, before, "the answer was kept");
    tokio::time::pause();
    tokio::time::advance(KEPT_FOR).await;
    tokio::time::resume();
    assert_eq!(state(&live.ask(&parcel("004"), None).await), State::Answered);
    assert_eq!(calls(&server).await, before + 2);
}

#[tokio::test]
async fn an_answer_from_before_a_load_is_not_put_over_newer_rows() {
    let (server, live) = city().await;
    let [first, second] = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"].map(|time| time.parse().ok());
    let mut before = calls(&server).await;
    let rows = [(None, 2), (first, 2), (first, 0), (None, 0), (second, 2), (first, 0), (second, 0)];
    for (step, (loaded, asked)) in rows.into_iter().enumerate() {
        assert_eq!(state(&live.ask(&parcel("004"), loaded).await), State::Answered);
        let after = calls(&server).await;
        assert_eq!(after - before, asked, "step {step}");
        before = after;
    }
    order(&server, "faults", json!({ "status": 503, "remaining": 100 })).await;
    let third = "2026-01-03T10:00:00Z".parse().ok();
    assert_eq!(state(&live.ask(&parcel("004"), third).await), State::Away, "the load's rows stand alone");
}

#[tokio::test]
async fn a_city_that_fails_is_asked_again_until_the_breaker_opens() {
    let (server, live) = city().await;
    order(&server, "faults", json!({ "status": 503 })).await;
    for _ in 0..10 {
        assert_eq!(state(&live.ask(&parcel("004"), None).await), State::Away);
    }
    let failed = calls(&server).await;
    assert!((5..20).contains(&failed), "{failed} calls");
    assert_eq!(state(&live.ask(&parcel("005"), None).await), State::Away);
    assert_eq!(calls(&server).await, failed, "the breaker is open");
    assert_eq!(state(&Live::new(None).ask(&parcel("004"), None).await), State::NotAsked);
}

#[tokio::test]
async fn a_city_that_hangs_is_waited_for_until_the_deadline_and_by_so_many_only() {
    let (server, patient) = city().await;
    let hurried = Live { deadline: SHORT, ..patient.clone() };
    order(&server, "faults", json!({ "delay_ms": 2_000, "remaining": 2 })).await;
    assert_eq!(state(&hurried.ask(&parcel("004"), None).await), State::Away, "it would answer later");
    assert_eq!(state(&patient.ask(&parcel("004"), None).await), State::Answered, "the late answer is there");
    assert_eq!(calls(&server).await, 2);

    order(&server, "faults", json!({ "delay_ms": 600_000 })).await;
    let lots: Vec<_> = (10..10 + CALLS_MAX).map(|lot| parcel(&lot.to_string())).collect();
    let all = futures_util::future::join_all(lots.iter().map(|parcel| hurried.ask(parcel, None))).await;
    assert!(all.iter().all(|word| state(word) == State::Away));
    let one_more = patient.flight(patient.client.as_ref().unwrap(), &parcel("999"), None);
    assert!(one_more.is_none(), "one more does not wait");
}

#[tokio::test]
async fn only_so_many_answers_are_kept() {
    let (_server, live) = city().await;
    let now = Instant::now();
    let one = |since| Kept { since, loaded: None, flight: async { None }.boxed().shared() };
    live.kept.lock().unwrap().extend((1..KEPT_MAX).map(|n| (n.to_string(), one(now))));
    live.kept.lock().unwrap().insert("0".to_owned(), one(now - Duration::from_secs(1)));
    live.ask(&parcel("004"), None).await;
    let kept = live.kept.lock().unwrap();
    assert!(kept.len() == KEPT_MAX && !kept.contains_key("0") && kept.contains_key("9998/004"));
}

#[tokio::test]
async fn a_call_that_failed_is_forgotten_although_nobody_waits_for_it() {
    let (server, live) = city().await;
    order(&server, "faults", json!({ "status": 503 })).await;
    let client = live.client.clone().unwrap();
    drop(live.flight(&client, &parcel("004"), None));
    let is_kept = || live.kept.lock().unwrap().contains_key("9998/004");
    assert!(is_kept());
    let forgotten = async {
        while is_kept() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, forgotten).await.expect("it was kept");
    // One that began later is another's.
    let (earlier, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    live.kept
        .lock()
        .unwrap()
        .insert("9998/004".to_owned(), Kept { since: later, loaded: None, flight: async { None }.boxed().shared() });
    live.forget(&parcel("004"), earlier);
    assert!(is_kept());
    live.forget(&parcel("004"), later);
    assert!(!is_kept());
}
