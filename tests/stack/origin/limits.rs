use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use seawall_xtask::redis::Redis;
use seawall_xtask::scratch;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::support::upstash::RestStandIn;
use crate::support::{Database, Site, Visitor, until};

/// Of `[limit.api]` in policy.toml: what one client gets at once.
const BURST: usize = 60;
const API: &str = "/api/v1/nowhere";

fn site(database: &Database, redis: &Redis) -> Result<Site> {
    let url = format!("redis+unix://{}", redis.socket().display());
    Site::start_with(&database.origin, 0, &[("RATE_LIMITS", "on"), ("REDIS_URL", &url), ("TRUSTED_PROXY_HOPS", "1")])
}

/// The same, waiting for Redis as long as a busy machine may take: a call given up is counted by the process itself, and
/// then the sums are not exact.
fn patient_site(database: &Database, redis: &Redis) -> Result<Site> {
    let url = format!("redis+unix://{}", redis.socket().display());
    patient_site_with(database, &redis.socket().with_file_name("policy.toml"), &[("REDIS_URL", &url)])
}

/// The same, whose policy is put at `file`, and whose Redis is what these variables say.
fn patient_site_with(database: &Database, file: &Path, redis: &[(&str, &str)]) -> Result<Site> {
    write_patient_policy(file)?;
    let file = file.to_string_lossy();
    let variables = [("RATE_LIMITS", "on"), ("TRUSTED_PROXY_HOPS", "1"), ("POLICY_FILE", &*file)];
    Site::start_with(&database.origin, 0, &[&variables[..], redis].concat())
}

/// The site's policy, with patience for Redis.
pub(super) fn write_patient_policy(file: &Path) -> Result<()> {
    let policy = include_str!("../../../policy.toml");
    let patient = policy.replace(REDIS_DEADLINE, "deadline = \"5s\"");
    ensure!(patient != policy, "policy.toml says something else than {REDIS_DEADLINE}");
    Ok(std::fs::write(file, patient)?)
}

/// Of `[upstream.redis]`, the only one so short.
const REDIS_DEADLINE: &str = "deadline = \"100ms\"";

/// Pauses of the machine while a hundred requests are answered.
const PAUSES: u64 = 10;
/// Requests of one client under way at a time.
const AT_A_TIME: usize = 16;

/// How many of `requests` from one client were admitted, and how long the slowest took. No answer is anything but
/// admitted (404: there is no such page) or refused.
async fn admitted(visitors: &[Visitor], client: &str, requests: usize) -> Result<(usize, Duration)> {
    let ask = async |visitor: Visitor| {
        let asked = Instant::now();
        let answer = visitor.ask("GET", API).field("x-forwarded-for", client).send().await?;
        ensure!([404, 429].contains(&answer.status), "{}: {}", answer.status, answer.text());
        ensure!((answer.status == 404) == answer.field("retry-after").is_empty(), "{}", answer.text());
        let policy = answer.field("ratelimit-policy");
        ensure!(policy.ends_with("\"api\";q=60;w=60"), "{policy}");
        Ok((usize::from(answer.status == 404), asked.elapsed()))
    };
    // Not all at once: on a slow machine the last of them would wait for longer than a request may take.
    let requests = (0..requests).map(|request| ask(visitors[request % visitors.len()]));
    let answers: Vec<_> = stream::iter(requests).buffer_unordered(AT_A_TIME).try_collect().await?;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
    Ok((answers.iter().map(|(admitted, _)| admitted).sum(), slowest))
}

async fn breaker(site: &Site) -> Result<String> {
    let health = site.visitor().ask("GET", "/health").field("x-forwarded-for", "192.0.2.250").send().await?.json()?;
    Ok(health["redis"].as_str().context("no redis in health")?.to_owned())
}

/// Two processes on one Redis admit between them what one may, exactly; a client of another address is not touched.
/// GCRA gives one back each second, so what was given back while they were asked is taken off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_redis_admit_the_limit_between_them() -> Result<()> {
    let (database, redis) = (Database::create("limits_two")?, Redis::start()?);
    let sites = [patient_site(&database, &redis)?, patient_site(&database, &redis)?];
    let visitors = sites.each_ref().map(Site::visitor);
    for client in ["192.0.2.1", "192.0.2.2"] {
        let started = Instant::now();
        let (admitted, _) = admitted(&visitors, client, 3 * BURST).await?;
        let given_back = usize::try_from(started.elapsed().as_secs())?;
        println!("{client}: {admitted} of {} admitted, {given_back} given back meanwhile", 3 * BURST);
        assert!((BURST..=BURST + given_back).contains(&admitted), "{admitted} admitted, {given_back} given back");
    }
    for site in &sites {
        assert_eq!(breaker(site).await?, "closed");
    }
    Ok(())
}

/// How many scripts Redis has run.
pub(super) async fn scripts(redis: &Redis) -> Result<u64> {
    let mut connection = BufReader::new(UnixStream::connect(redis.socket()).await?);
    connection.write_all(b"INFO commandstats\r\n").await?;
    let mut length = String::new();
    connection.read_line(&mut length).await?;
    let length: usize = length.trim().strip_prefix('$').context("no length")?.parse()?;
    let mut text = vec![0; length];
    connection.read_exact(&mut text).await?;
    let text = String::from_utf8(text)?;
    let calls = |line: &str| line.split_once(":calls=")?.1.split_once(',')?.0.parse::<u64>().ok();
    Ok(text.lines().filter(|line| line.starts_with("cmdstat_evalsha:")).filter_map(calls).sum())
}

/// Who has just been refused is refused again without a word to Redis, and admitted when the wait is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_costs_redis_one_question() -> Result<()> {
    let (database, redis) = (Database::create("limits_refused")?, Redis::start()?);
    let site = patient_site(&database, &redis)?;
    let visitor = site.visitor();
    admitted(&[visitor], "192.0.2.1", 2 * BURST).await?;
    let (started, before) = (Instant::now(), scripts(&redis).await?);
    let mut admitted_again = 0;
    for _ in 0..100 {
        admitted_again += admitted(&[visitor], "192.0.2.1", 1).await?.0;
    }
    let given_back = 1 + started.elapsed().as_secs();
    let asked = scripts(&redis).await? - before;
    println!(
        "100 requests of a refused client in {:?}: {asked} questions, {admitted_again} admitted",
        started.elapsed()
    );
    // For each that is given back, one question is answered yes and the next one no. A wait is counted from before its
    // question, so where the machine pauses in one, the next comes too early.
    assert!(asked <= 2 * given_back + PAUSES && admitted_again as u64 <= given_back, "{asked} {admitted_again}");
    until(async || Ok(admitted(&[visitor], "192.0.2.1", 1).await?.0 == 1)).await?;
    assert_eq!(admitted(&[visitor], "192.0.2.2", 1).await?.0, 1, "another client is not touched");
    Ok(())
}

/// Redis is killed, then another one starts in its place. Nothing fails: each process counts by itself meanwhile, and
/// then together again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_go_and_come_back() -> Result<()> {
    let (database, mut redis) = (Database::create("limits_gone")?, Redis::start()?);
    let sites = [patient_site(&database, &redis)?, patient_site(&database, &redis)?];
    let visitors = sites.each_ref().map(Site::visitor);
    let started = Instant::now();
    let (together, _) = admitted(&visitors, "192.0.2.1", 2 * BURST).await?;
    let given_back = usize::try_from(started.elapsed().as_secs())?;
    assert!((BURST..=BURST + given_back).contains(&together), "{together}");

    redis.kill();
    let started = Instant::now();
    let (alone, slowest) = admitted(&visitors, "192.0.2.3", 4 * BURST).await?;
    let given_back = 2 * (1 + usize::try_from(started.elapsed().as_secs())?);
    println!("without Redis: {alone} of {} admitted by two processes, the slowest after {slowest:?}", 4 * BURST);
    assert!((2 * BURST..=2 * BURST + given_back).contains(&alone), "{alone}");
    until(async || Ok(breaker(&sites[0]).await? != "closed")).await?;

    redis.restart()?;
    let probe = "192.0.2.9";
    for (site, visitor) in sites.iter().zip(&visitors) {
        until(async || {
            admitted(std::slice::from_ref(visitor), probe, 1).await?;
            Ok(breaker(site).await? == "closed")
        })
        .await?;
    }
    let started = Instant::now();
    let (together, _) = admitted(&visitors, "192.0.2.4", 3 * BURST).await?;
    let given_back = usize::try_from(started.elapsed().as_secs())?;
    assert!((BURST..=BURST + given_back).contains(&together), "{together}");
    Ok(())
}

/// A Redis at Upstash is counted in by all processes, and left alone while it hangs, as one that speaks for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_at_upstash_counts_for_all_processes() -> Result<()> {
    let (database, upstash, folder) =
        (Database::create("limits_upstash")?, RestStandIn::start().await?, scratch::dir("limits-upstash")?);
    let url = upstash.url();
    let redis = [("UPSTASH_REDIS_REST_URL", &*url), ("UPSTASH_REDIS_REST_TOKEN", RestStandIn::TOKEN)];
    let file = folder.path().join("policy.toml");
    let sites = [patient_site_with(&database, &file, &redis)?, patient_site_with(&database, &file, &redis)?];
    let visitors = sites.each_ref().map(Site::visitor);
    let started = Instant::now();
    let (together, _) = admitted(&visitors, "192.0.2.1", 3 * BURST).await?;
    let given_back = usize::try_from(started.elapsed().as_secs())?;
    assert!((BURST..=BURST + given_back).contains(&together), "{together}");
    let commands = upstash.commands();
    assert!(commands.iter().all(|command| ["EVALSHA", "EVAL"].contains(&&**command)), "{commands:?}");

    upstash.hang(true);
    let asked = admitted(&visitors[..1], "192.0.2.2", 5);
    let (alone, slowest) = asked.await?;
    assert!(alone == 5 && slowest >= Duration::from_secs(5), "it was waited for, and then this process counted");
    until(async || {
        admitted(&visitors[..1], "192.0.2.3", 1).await?;
        Ok(breaker(&sites[0]).await? != "closed")
    })
    .await?;
    upstash.hang(false);
    until(async || {
        admitted(&visitors[..1], "192.0.2.4", 1).await?;
        Ok(breaker(&sites[0]).await? == "closed")
    })
    .await
}

/// Redis hangs: requests wait for it for a tenth of a second, until the breaker opens, and then not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_holds_nobody_up() -> Result<()> {
    let (database, redis) = (Database::create("limits_hang")?, Redis::start()?);
    let sites = [site(&database, &redis)?];
    let visitors = [sites[0].visitor()];
    admitted(&visitors, "192.0.2.1", 10).await?;
    redis.freeze()?;
    until(async || {
        admitted(&visitors, "192.0.2.5", 1).await?;
        Ok(breaker(&sites[0]).await? != "closed")
    })
    .await?;
    let (_, slowest) = admitted(&visitors, "192.0.2.6", BURST).await?;
    println!("Redis hangs: the slowest of {BURST} after {slowest:?}");
    // A request waits for a tenth of a second at most; the rest is the machine's. One that waited for Redis would be given
    // up after eight.
    ensure!(slowest < Duration::from_secs(6), "a request waited for {slowest:?}");
    redis.thaw()?;
    until(async || {
        admitted(&visitors, "192.0.2.7", 1).await?;
        Ok(breaker(&sites[0]).await? == "closed")
    })
    .await
}
