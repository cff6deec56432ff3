use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;

use crate::support::{Edge, Reply, Upstream};

/// Pages that are past every window but that for failing origins.
const OLD: [&str; 4] = ["/methodology", "/privacy", "/about-data", "/demo"];
/// Pages that become stale while the origin is away.
const NEW: [&str; 5] = ["/", "/search?q=a", "/search?q=b", "/search?q=c", "/search?q=d"];
/// When those are stored, an hour and a day after the others.
const LATER: Duration = Duration::from_secs(90_000);
/// How far the clock goes on after each visitor has asked for a page: what the limit of a client lets it ask.
const PAUSE: Duration = Duration::from_millis(150);
const VISITORS: u8 = 20;
/// How often each of them asks at least, however slow the machine is.
const ROUNDS_MIN: usize = 3;

/// How long the origin is away: `SEAWALL_AWAY_SECONDS`, by default as long as shows that it is.
fn away_for() -> Result<Duration> {
    let seconds = env::var("SEAWALL_AWAY_SECONDS").map_or(Ok(3), |text| text.parse());
    seconds.map(Duration::from_secs).context("SEAWALL_AWAY_SECONDS is no number of seconds")
}

/// What a crowd sees that asks for every page in turn, as fast as it is answered.
async fn crowd(edge: &Edge, until: Instant) -> Result<BTreeMap<u16, usize>> {
    let mut statuses = BTreeMap::new();
    for round in 0.. {
        if round >= ROUNDS_MIN && Instant::now() >= until {
            break;
        }
        let pages = OLD.iter().chain(&NEW).cycle().skip(round);
        let visits = (1..=VISITORS).zip(pages).map(|(host, page)| edge.visitor(host).get(page));
        for answer in try_join_all(visits).await? {
            *statuses.entry(answer.status).or_default() += 1;
        }
        edge.advance(PAUSE).await?;
    }
    Ok(statuses)
}

#[tokio::test]
async fn an_origin_that_dies_under_load_shows_on_no_kept_page() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    for (pages, pause) in [(&OLD[..], LATER), (&NEW[..], Duration::ZERO)] {
        for page in pages {
            edge.visitor(100).get(page).await?;
            edge.until_stored(page).await?;
        }
        edge.advance(pause).await?;
    }
    upstream.answer(|_| Reply::text("an error page").status(500));
    let seen = crowd(&edge, Instant::now() + away_for()? / 3).await?;
    println!("origin answering 500 for {:?}: {seen:?}", away_for()? / 3);
    assert_eq!(seen.keys().copied().collect::<Vec<u16>>(), [200], "{seen:?}");

    let port = upstream.port();
    drop(upstream);
    let seen = crowd(&edge, Instant::now() + away_for()?).await?;
    println!("origin killed for {:?}: {seen:?}", away_for()?);
    assert_eq!(seen.keys().copied().collect::<Vec<u16>>(), [200], "{seen:?}");
    assert!(seen[&200] >= ROUNDS_MIN * usize::from(VISITORS), "{seen:?}");

    let _back = Upstream::start_on(port, |_| Reply::text("another")).await?;
    edge.advance(Duration::from_secs(120)).await?;
    edge.until("/methodology", |answer| answer.text() == "another").await?;
    Ok(())
}
