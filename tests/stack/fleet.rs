use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::channel::Channel;
use tokio::task::JoinHandle;

use crate::support::upstash::RestStandIn;
use crate::support::visitor::Session;
use crate::support::{Answer, Authority, Edge, Fleet, Gate, Reply, Upstream, soon, until};

const ISOLATES: usize = 20;
/// Each isolate sends so many requests in each round.
const EACH: usize = 10;
const ROUNDS: usize = 50;
/// How far the clocks move between two rounds.
const STEP_MS: i64 = 100;
/// What the quota of the fleet's limits earns in all rounds, and the burst before.
const EARNED: u64 = (ROUNDS as u64 - 1) * STEP_MS as u64 / 10 + 100;

/// What became of many requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    admitted: u64,
    refused: u64,
    failed: u64,
}

impl Seen {
    fn count(&mut self, status: u16) {
        match status {
            200 => self.admitted += 1,
            429 => self.refused += 1,
            _ => self.failed += 1,
        }
    }
}

async fn pages() -> Result<Upstream> {
    Upstream::start(|_| Reply::text("a page")).await
}

/// Ten thousand requests for one client from twenty isolates at once, while the clocks go on, each isolate's with an
/// offset of its own. `midway` is done in the middle.
async fn flood(fleet: &Fleet, target: &str, midway: impl AsyncFn() -> Result<()>) -> Result<Seen> {
    for isolate in 1..ISOLATES {
        fleet.move_clock(isolate, isolate as i64 * 500 - 5000).await?;
    }
    let mut sessions = fleet.sessions().await?;
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            midway().await?;
        }
        let statuses = try_join_all(sessions.iter_mut().map(|session| some(session, target))).await?;
        statuses.into_iter().flatten().for_each(|status| seen.count(status));
        if round + 1 < ROUNDS {
            try_join_all((0..ISOLATES).map(|isolate| fleet.move_clock(isolate, STEP_MS))).await?;
        }
    }
    Ok(seen)
}

async fn some(session: &mut Session, target: &str) -> Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..EACH {
        statuses.push(session.get(target).await?.status);
    }
    Ok(statuses)
}

#[tokio::test]
async fn twenty_isolates_admit_no_more_than_the_limit_and_its_bound() -> Result<()> {
    let upstream = pages().await?;
    // An authority that starts anew forgives a quarter of the burst where units are held, and nothing otherwise.
    for (target, bound) in [("/exact", 0), ("/lease", 50 + 25)] {
        let fleet = Fleet::before(&upstream.url(), ISOLATES, &[])?;
        let began = Instant::now();
        let seen = flood(&fleet, target, async || fleet.set_authority("dies").await).await?;
        println!("{target}: {seen:?} of {EARNED} and {bound}, in {:?}", began.elapsed());
        assert_eq!(seen.admitted + seen.refused, (ISOLATES * EACH * ROUNDS) as u64, "{target}: {seen:?}");
        assert!(seen.admitted <= EARNED + bound, "{target}: {seen:?}");
        assert!(seen.admitted >= EARNED * 8 / 10, "{target}: {seen:?}");
    }
    Ok(())
}

/// Without an authority twenty isolates count under a twentieth each: together no more than the quota, but for one
/// unit of each.
#[tokio::test]
async fn without_their_authority_isolates_keep_to_their_shares() -> Result<()> {
    let upstream = pages().await?;
    let fleet = Fleet::before(&upstream.url(), ISOLATES, &[])?;
    fleet.set_authority("fails").await?;
    let seen = flood(&fleet, "/half", async || Ok(())).await?;
    println!("without an authority: {seen:?} of {EARNED}");
    assert_eq!(seen.failed, 0);
    assert!((EARNED * 8 / 10..=EARNED + ISOLATES as u64).contains(&seen.admitted), "{seen:?}");
    Ok(())
}

/// What visitors see of faults of those who keep the counts: of pages that may be cached, no error.
#[tokio::test]
async fn faults_of_the_limiter_are_no_errors_of_the_site() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    for fault in ["down", "hanging", "clock back"] {
        match fault {
            "down" => edge.set_authority(Authority::Fails).await?,
            "hanging" => edge.set_authority(Authority::Hangs).await?,
            _ => {
                edge.set_authority(Authority::Answers).await?;
                edge.advance(Duration::from_secs(10)).await?;
                edge.set_clock(edge.clock().await? - 3_600_000).await?;
            }
        }
        let mut seen = Seen::default();
        let began = Instant::now();
        for visitor in 1..=100 {
            for page in 0..2 {
                seen.count(
                    edge.visitor(visitor).get(&format!("/search?q={fault}-{page}").replace(' ', "-")).await?.status,
                );
            }
        }
        println!("authority {fault}: {seen:?} in {:?}", began.elapsed());
        assert_eq!(seen, Seen { admitted: 200, ..Seen::default() }, "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_at_upstash_counts_for_all_isolates_and_falls_back_when_it_is_away() -> Result<()> {
    let upstream = pages().await?;
    let upstash = RestStandIn::start().await?;
    let bindings =
        [("UPSTASH_REDIS_REST_URL", upstash.url()), ("UPSTASH_REDIS_REST_TOKEN", RestStandIn::TOKEN.to_owned())];
    let bindings: Vec<(&str, &str)> = bindings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let fleet = Fleet::before(&upstream.url(), 2, &bindings)?;
    let mut sessions = fleet.sessions().await?;
    for spent in 0..5 {
        let answer = sessions[spent % 2].get("/redis").await?;
        assert_eq!((answer.status, answer.limit("redis").split(';').next()), (200, Some(&*format!("r={}", 4 - spent))));
    }
    for session in &mut sessions {
        assert_eq!(session.get("/redis").await?.status, 429);
    }
    // By its hash, once whole: the server did not know it.
    let commands = upstash.commands();
    assert_eq!(commands.iter().filter(|command| *command == "EVAL").count(), 1, "{commands:?}");
    assert_eq!(commands.iter().filter(|command| *command == "EVALSHA").count(), 7, "{commands:?}");

    // Hanging: three requests wait for a second each, the others not at all, and a share of five is counted here.
    upstash.hang(true);
    let fleet = Fleet::before(&upstream.url(), 1, &bindings)?;
    let mut session = fleet.sessions().await?.remove(0);
    let mut seen = Seen::default();
    let began = Instant::now();
    for _ in 0..50 {
        seen.count(session.get("/redis").await?.status);
    }
    let took = began.elapsed();
    println!("Upstash hanging: {seen:?} in {took:?}");
    assert_eq!(seen, Seen { admitted: 5, refused: 45, failed: 0 });
    assert!(took >= Duration::from_secs(3), "{took:?}");
    upstash.hang(false);
    fleet.move_clock(0, 11_000).await?;
    assert_eq!(session.get("/redis").await?.status, 429, "the count of before");
    Ok(())
}

/// An answer that does not end is read as far as an answer may be long, and no longer than the deadline; then each isolate
/// counts by itself.
#[tokio::test]
async fn an_answer_of_upstash_that_does_not_end_is_cut() -> Result<()> {
    const CHUNK: &[u8] = &[b' '; 16 << 10];
    let upstream = pages().await?;
    for pours in [true, false] {
        let sent = Arc::new(AtomicUsize::default());
        let counted = Arc::clone(&sent);
        let upstash = Upstream::start(move |_| {
            let ((mut body, answer), sent) = (Channel::new(1), Arc::clone(&counted));
            tokio::spawn(async move {
                while body.send_data(Bytes::from_static(CHUNK)).await.is_ok() {
                    sent.fetch_add(CHUNK.len(), Ordering::Relaxed);
                    if !pours {
                        std::future::pending::<()>().await;
                    }
                }
            });
            Reply::of(answer)
        })
        .await?;
        let url = upstash.url();
        let bindings = [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", "a-token")];
        let fleet = Fleet::before(&upstream.url(), 1, &bindings)?;
        let mut session = fleet.sessions().await?.remove(0);
        let (mut seen, began) = (Seen::default(), Instant::now());
        for _ in 0..50 {
            seen.count(session.get("/redis").await?.status);
        }
        let (sent, took) = (sent.load(Ordering::Relaxed), began.elapsed());
        println!("Upstash answering without end, pouring {pours}: {seen:?} in {took:?}, {sent} bytes sent");
        assert_eq!(seen, Seen { admitted: 5, refused: 45, failed: 0 });
        assert_eq!(upstash.calls().len(), 3, "it is left alone");
        // What is read is 64 KiB; the rest lies in buffers between the two.
        assert!(sent <= 3 * (8 << 20), "{sent}");
        assert!(pours || took >= Duration::from_secs(3), "{took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_at_this_location_is_the_platforms() -> Result<()> {
    let upstream = pages().await?;
    let fleet = Fleet::before(&upstream.url(), 1, &[])?;
    let mut session = fleet.sessions().await?.remove(0);
    // The platform's windows are those of the machine's clock: what two of them have counted says nothing.
    let (statuses, refused) = loop {
        let began = window()?;
        let mut statuses = Vec::new();
        for _ in 0..7 {
            statuses.push(session.get("/here").await?.status);
        }
        let refused = session.get("/here").await?;
        let ended = window()?;
        if ended == began {
            break (statuses, refused);
        }
        until(async || Ok(window()? > ended)).await?;
    };
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!((refused.field("retry-after"), refused.limit("here")), ("10".to_owned(), "r=0;t=10".to_owned()));
    Ok(())
}

/// The number of the window of ten seconds that it is now.
fn window() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 10)
}

/// The origin never sees the field in which a client says so, and what it answers is stored for nobody all the same.
#[tokio::test]
async fn what_a_client_forbids_to_store_is_not_stored() -> Result<()> {
    let upstream = pages().await?;
    let fleet = Fleet::before(&upstream.url(), 1, &[])?;
    let answer = fleet.visitor(0).ask("GET", "/shared/secret").field("cache-control", "no-store").send().await?;
    assert!(answer.field("cache-status").ends_with("; detail=request-no-store"), "{}", answer.field("cache-status"));
    let answer = fleet.visitor(0).get("/shared/secret").await?;
    assert!(answer.field("cache-status").contains("fwd=uri-miss"), "{}", answer.field("cache-status"));
    Ok(())
}

/// Ten visitors of one isolate who ask for the same page at once.
fn crowd(fleet: &Fleet, isolate: usize, target: &'static str) -> Vec<JoinHandle<Result<Answer>>> {
    (0..10).map(|_| tokio::spawn(fleet.visitor(isolate).get(target))).collect()
}

async fn all(visitors: Vec<JoinHandle<Result<Answer>>>) -> Result<Vec<Answer>> {
    let answers = soon("all answers", try_join_all(visitors)).await??;
    answers.into_iter().collect()
}

#[tokio::test]
async fn isolates_of_one_place_share_a_call_and_outlive_the_one_that_makes_it() -> Result<()> {
    let upstream = pages().await?;
    let fleet = Fleet::before(&upstream.url(), 2, &[])?;

    let gate = Gate::closed();
    let slow = gate.clone();
    upstream.answer(move |_| Reply::text("a page").after(&slow));
    let mut visitors = crowd(&fleet, 0, "/shared/one");
    upstream.call(1).await?;
    let asked = fleet.collapse_questions().await?;
    visitors.extend(crowd(&fleet, 1, "/shared/one"));
    // The other isolate asks, looks, and asks again.
    until(async || Ok(fleet.collapse_questions().await? >= asked + 2)).await?;
    gate.open();
    let answers = all(visitors).await?;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "a page"));
    assert_eq!(upstream.calls().len(), 1);
    let collapsed = answers.iter().filter(|answer| answer.field("cache-status").contains("; collapsed")).count();
    assert_eq!(collapsed, 19);

    // Whoever leads is gone: its call hangs, and nothing it says of its end arrives.
    let never = Gate::closed();
    upstream.answer(move |_| Reply::text("never").after(&never));
    let lost = crowd(&fleet, 0, "/shared/two");
    upstream.call(2).await?;
    fleet.set_collapse(false).await?;
    let asked = fleet.collapse_questions().await?;
    assert!(all(lost).await?.iter().all(|answer| answer.status == 503));
    // It is told twice.
    until(async || Ok(fleet.collapse_questions().await? >= asked + 2)).await?;
    fleet.set_collapse(true).await?;
    upstream.answer(|_| Reply::text("again"));
    let asked = fleet.collapse_questions().await?;
    let visitors = crowd(&fleet, 1, "/shared/two");
    until(async || Ok(fleet.collapse_questions().await? >= asked + 2)).await?;
    assert_eq!(upstream.calls().len(), 2, "it still counts as under way");
    fleet.move_clock(0, 3_100).await?;
    assert!(all(visitors).await?.iter().all(|answer| answer.text() == "again"));
    assert_eq!(upstream.calls().len(), 3);

    // Without the object each isolate makes one call.
    fleet.set_collapse(false).await?;
    let mut visitors = crowd(&fleet, 0, "/shared/three");
    visitors.extend(crowd(&fleet, 1, "/shared/three"));
    assert!(all(visitors).await?.iter().all(|answer| answer.text() == "again"));
    assert!((4..=5).contains(&upstream.calls().len()), "{}", upstream.calls().len());
    Ok(())
}
