use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::support::cable::{Cable, State};
use crate::support::city::POOL_MIN;
use crate::support::{Answer, City, Site, until};

/// What readiness may take to say no: those who ask give up after it.
const READINESS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked that is late.
const TRIES_MAX: u32 = 10;

/// The city's database at the other end of a cable, and a site on it.
async fn site_on_a_cable(city: &City, state: State) -> Result<(Site, Cable)> {
    let origin = &city.database().origin;
    let (url, port) = (&origin.database_url, city.database().port());
    let cable = Cable::to(port, state).await?;
    let mut origin = origin.clone();
    origin.database_url = url.replace(&format!(":{port}/"), &format!(":{}/", cable.port()));
    Ok((Site::start(&origin, 0)?, cable))
}

/// What readiness says, in time. A machine that pauses makes it late once, and not each time.
async fn ready_soon(site: &Site) -> Result<Answer> {
    for _ in 0..TRIES_MAX {
        let asked = Instant::now();
        let ready = site.visitor().get("/health/ready").await?;
        if asked.elapsed() < READINESS_WITHIN {
            return Ok(ready);
        }
    }
    bail!("readiness took longer than {READINESS_WITHIN:?}, {TRIES_MAX} times");
}

async fn assert_pages_without_data_work(site: &Site) -> Result<()> {
    let landing = site.visitor().get("/").await?;
    assert_eq!(landing.status, 200);
    let text = landing.text();
    let stylesheet = text.split('"').find(|part| part.starts_with("/static/") && part.ends_with(".css"));
    for target in ["/methodology"].into_iter().chain(stylesheet) {
        assert_eq!(site.visitor().get(target).await?.status, 200, "{target}");
    }
    assert!(stylesheet.is_some(), "{text}");
    Ok(())
}

async fn assert_pages_with_data_say_when_to_come_back(site: &Site) -> Result<()> {
    for target in ["/search?q=market", "/api/v1/search?q=market", "/report/3507/004", "/api/v1/report/3507/004"] {
        let answer = site.visitor().get(target).await?;
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
        assert!(answer.field("retry-after").parse::<u64>()? >= 1, "{target}");
        assert_eq!(answer.field("cache-control"), "no-store", "{target}");
        for private in ["127.0.0.1", "postgres"] {
            assert!(!answer.text().contains(private), "{target} tells {private}: {}", answer.text());
        }
    }
    Ok(())
}

async fn until_ready(site: &Site) -> Result<()> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_site_starts_without_its_database_and_fills_its_pool_when_it_comes() -> Result<()> {
    let city = City::shared()?;
    let (site, cable) = site_on_a_cable(&city, State::Cut).await?;
    assert_eq!(site.visitor().get("/health/ready").await?.status, 503);
    assert_pages_without_data_work(&site).await?;
    assert_pages_with_data_say_when_to_come_back(&site).await?;

    cable.set(State::Whole);
    until_ready(&site).await?;
    assert_eq!(site.visitor().get("/search?q=market").await?.status, 200);
    // Who asks one thing after the other needs one connection; the rest was opened ahead.
    until(async || Ok(site.visitor().get("/health").await?.json()?["pool"]["idle"] == POOL_MIN)).await
}

// The cable works while the site starts, which this thread waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_database_that_goes_takes_searches_with_it_and_brings_them_back() -> Result<()> {
    let city = City::shared()?;
    let (site, cable) = site_on_a_cable(&city, State::Whole).await?;
    until_ready(&site).await?;
    assert_eq!(site.visitor().get("/search?q=market").await?.status, 200);

    for state in [State::Cut, State::Silent] {
        cable.set(state);
        until(async || Ok(site.visitor().get("/health/ready").await?.status == 503)).await?;
        let ready = ready_soon(&site).await?;
        let answer = ready.json()?;
        assert_eq!((ready.status, &answer["ready"]), (503, &false.into()), "{state:?}: {answer}");
        assert_eq!(answer["checks"]["db_pool"], false, "{state:?}: {answer}");
        assert!(answer["reason"].is_string(), "{state:?}: {answer}");
        assert_pages_without_data_work(&site).await?;
        assert_pages_with_data_say_when_to_come_back(&site).await?;

        cable.set(State::Whole);
        until_ready(&site).await?;
        assert_eq!(site.visitor().get("/search?q=market").await?.status, 200, "{state:?}");
    }
    Ok(())
}
