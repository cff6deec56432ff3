//! Every fault in turn, under load from many clients, with what became of their requests counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::Logs;
use seawall_xtask::redis::Redis;
use seawall_xtask::stack::{Listening, Origin, load_sample};
use seawall_xtask::step::Steps;
use tokio::task::JoinSet;

use crate::support::city::{connect, contents_of};
use crate::support::cron::{WORKER, ask};
use crate::support::visitor::Session;
use crate::support::{City, Visitor, until};

/// Clients that ask, one request after another.
const CLIENTS: usize = 16;
/// Connections of the pool.
const CONNECTIONS: usize = 8;
/// How long a fault lasts.
const LASTS: Duration = Duration::from_secs(3);
const PERMITS: u32 = 400;

/// A limit that nobody reaches, so that each request asks Redis and none is refused; and a breaker for the city's API
/// that does not rest for longer than a test.
const POLICY: &str = r#"
version = 1
[upstream.origin]
[upstream.data]
# More at a time than there are clients, however slow the machine is: what is refused is refused for the fault.
[overload]
law = "additive"
latency_max = "8s"
limit_min = 64
limit_start = 100
limit_max = 500
[upstream.soda.breaker]
open_base = "100ms"
open_cap = "200ms"
[limit.all]
algorithm = "gcra"
quota = 1000000
window = "60s"
key = "client"
scope = "shared"
on_store_failure = "local"
[[route]]
name = "health"
path = "/health/**"
upstream = "data"
priority = "always"
[[route]]
name = "search"
path = "/search"
upstream = "data"
limits = ["all"]
[route.cache]
edge = { fresh = "60s" }
[[route]]
name = "report"
path = "/report/**"
upstream = "data"
limits = ["all"]
[route.cache]
edge = { fresh = "60s" }
[[route]]
name = "permit"
path = "/permit/**"
upstream = "data"
limits = ["all"]
[route.cache]
edge = { fresh = "60s" }
[[route]]
name = "others"
path = "/**"
limits = ["all"]
"#;

/// What became of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// For pages that need no database: answered, and not.
    plain: [u64; 2],
    /// For pages that do: answered 200, told when to come back, and anything else.
    data: [u64; 3],
    /// The longest that a plain page took, and a page with data.
    slowest: [Duration; 2],
}

/// Clients that ask for plain pages and pages with data in turn.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Tally>>,
}

impl Load {
    /// So many clients, who rest between two rounds.
    fn start(visitor: Visitor, report: &str, count: usize, rest: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..count {
            clients.spawn(visit(visitor, report.to_owned(), rest, Arc::clone(&stop)));
        }
        Self { stop, clients }
    }

    async fn end(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            let tally = tally??;
            for (sum, part) in all.plain.iter_mut().zip(tally.plain) {
                *sum += part;
            }
            for (sum, part) in all.data.iter_mut().zip(tally.data) {
                *sum += part;
            }
            for (longest, one) in all.slowest.iter_mut().zip(tally.slowest) {
                *longest = (*longest).max(one);
            }
        }
        Ok(all)
    }
}

async fn visit(visitor: Visitor, report: String, rest: Duration, stop: Arc<AtomicBool>) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut session = visitor.session().await?;
    while !stop.load(Ordering::Relaxed) {
        for target in ["/", "/methodology"] {
            let (status, _, took) = get(&mut session, visitor, target).await?;
            tally.plain[usize::from(status != 200)] += 1;
            tally.slowest[0] = tally.slowest[0].max(took);
        }
        for target in ["/search?q=market", &report] {
            let (status, retry_after, took) = get(&mut session, visitor, target).await?;
            tally.data[match status {
                200 => 0,
                503 if retry_after => 1,
                _ => 2,
            }] += 1;
            tally.slowest[1] = tally.slowest[1].max(took);
        }
        pass(rest).await;
    }
    Ok(tally)
}

/// A status of 0 is a connection that broke.
async fn get(session: &mut Session, visitor: Visitor, target: &str) -> Result<(u16, bool, Duration)> {
    let asked = Instant::now();
    let answer = session.get(target).await;
    let took = asked.elapsed();
    Ok(match answer {
        Ok(answer) => (answer.status, !answer.field("retry-after").is_empty(), took),
        Err(_) => {
            *session = visitor.session().await?;
            (0, false, took)
        }
    })
}

/// The parts that can fail.
struct Stack {
    cluster: Cluster,
    redis: Redis,
    origin: Origin,
    server: Listening,
    report: String,
}

impl Stack {
    /// A process that keeps so many MiB of pages in memory.
    async fn start(page_memory_mib: &str) -> Result<Self> {
        let (cluster, redis) = (Cluster::start_temp()?, Redis::start()?);
        let program = City::shared()?.database().origin.program.clone();
        let origin = Origin { program, database_url: cluster.create_database("faults")? };
        let steps = Steps::new();
        steps.run("migrate", |step| origin.migrate(step))?;
        let files = seawall_xtask::scratch::dir("faults")?;
        load_sample(&origin, 2, PERMITS, files.path(), &steps)?;
        let url = format!("redis+unix://{}", redis.socket().display());
        let policy = files.path().join("policy.toml");
        std::fs::write(&policy, POLICY)?;
        let policy = policy.to_string_lossy().into_owned();
        let connections = CONNECTIONS.to_string();
        let variables = [
            ("REDIS_URL", &*url),
            ("POLICY_FILE", &policy),
            ("DB_POOL_MAX", &connections),
            // Shorter than a fault, so that it shows, and longer than a busy machine takes for two pages.
            ("DB_CHECKOUT_TIMEOUT", "2s"),
            ("DB_CONNECT_TIMEOUT", "2s"),
            ("PAGE_MEMORY_MIB", page_memory_mib),
        ];
        let server = origin.serve(0, &variables, Logs::Keep)?;
        let client = connect(&origin.database_url).await?;
        let row = client
            .query_one("SELECT block, lot FROM permits WHERE block IS NOT NULL AND lot IS NOT NULL LIMIT 1", &[])
            .await?;
        let report = format!("/report/{}/{}", row.get::<_, &str>(0), row.get::<_, &str>(1));
        let stack = Self { cluster, redis, origin, server, report };
        stack.until_well().await?;
        Ok(stack)
    }

    fn visitor(&self) -> Visitor {
        Visitor::local(self.server.port)
    }

    async fn until_well(&self) -> Result<()> {
        until(async || {
            let ready = self.visitor().get("/health/ready").await?.status == 200;
            Ok(ready && self.visitor().get(&self.report).await?.status == 200)
        })
        .await
    }
}

/// Lets a fault last, or a moment pass between two looks.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What a fault may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    /// No request at all.
    Nothing,
    /// Pages with data, which say when to come back.
    Data,
}

fn check(name: &str, cost: Cost, tally: Tally) -> Result<()> {
    let Tally { plain: [plain, plain_failed], data: [data, told, data_failed], slowest } = tally;
    println!(
        "| {name} | {} | {plain_failed} | {} | {told} | {data_failed} | {} ms | {} ms |",
        plain + plain_failed,
        data + told + data_failed,
        slowest[0].as_millis(),
        slowest[1].as_millis()
    );
    ensure!(plain > 0 && data > 0, "{name}: nothing was asked: {tally:?}");
    ensure!(plain_failed == 0, "{name}: pages that need no database failed: {tally:?}");
    ensure!(data_failed == 0, "{name}: pages failed without saying when to come back: {tally:?}");
    ensure!(cost == Cost::Data || told == 0, "{name}: pages with data failed: {tally:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_each_fault_costs_no_more_than_it_must() -> Result<()> {
    // Every page asks the database.
    let mut stack = Stack::start("0").await?;
    let before = contents_of(&stack.origin.database_url).await?;
    println!("| fault | plain | failed | with data | told to come back | failed | slowest plain | slowest with data |");
    println!("|---|---|---|---|---|---|---|---|");

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    pass(LASTS).await;
    check("none", Cost::Nothing, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    stack.redis.kill();
    pass(LASTS).await;
    stack.redis.restart()?;
    pass(LASTS).await;
    check("Redis stopped and back", Cost::Nothing, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    stack.redis.freeze()?;
    pass(LASTS).await;
    stack.redis.thaw()?;
    check("Redis hanging", Cost::Nothing, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    let blocker = connect(&stack.origin.database_url).await?;
    blocker.batch_execute("BEGIN; LOCK TABLE permits").await?;
    pass(LASTS).await;
    blocker.batch_execute("COMMIT").await?;
    drop(blocker);
    stack.until_well().await?;
    check("pool exhausted by slow statements", Cost::Data, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    stack.cluster.restart()?;
    stack.until_well().await?;
    check("Postgres restarted", Cost::Data, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    stack.cluster.freeze()?;
    pass(LASTS).await;
    stack.cluster.thaw()?;
    stack.until_well().await?;
    check("Postgres hanging", Cost::Data, load.end().await?)?;

    let load = Load::start(stack.visitor(), &stack.report, CLIENTS, Duration::ZERO);
    stack.cluster.kill()?;
    pass(LASTS).await;
    stack.cluster.restart()?;
    stack.until_well().await?;
    check("Postgres killed, and back after 3 s", Cost::Data, load.end().await?)?;

    let after = contents_of(&stack.origin.database_url).await?;
    assert_eq!(after, before, "records were lost");
    let rows: i64 = after.values().map(|(rows, _)| rows).sum();
    println!("{rows} records, 0 lost");
    Ok(())
}

/// Clients that ask for what is in memory, requests of each, and the pause between two, in which one more look comes due.
const READERS: usize = 8;
const READS: usize = 25;
const READ_EVERY: Duration = Duration::from_millis(100);
/// Whoever takes longer has waited for the database.
const AT_ONCE: Duration = Duration::from_millis(900);

/// Those who came before it was known, and as many again.
const WAITED_MAX: usize = 2 * READERS;
/// How often all of them are read at most.
const ROUNDS_MAX: u32 = 5;
/// Of those who are refused, as many may have looked whether it speaks again: one in about a second, and all of them together do
/// not take so many.
const LOOKS_MAX: usize = 4;
/// Permits that were never asked for, and searches.
const UNKNOWN: i64 = 16;
const _: () = assert!(LOOKS_MAX < READERS && READERS >= CONNECTIONS);

/// How many have waited for the database.
fn waited(took: &[Duration]) -> usize {
    took.iter().filter(|took| **took >= AT_ONCE).count()
}

/// Pages in memory while the database hangs: who asks first waits for a word of it, and then nobody does. Others are refused
/// without a wait once it has been silent for a while, also when nothing is asked for that asks the page cache, and when all
/// connections of the pool wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_in_memory_do_not_wait_for_a_database_that_hangs() -> Result<()> {
    let stack = Stack::start("8").await?;
    let client = connect(&stack.origin.database_url).await?;
    let parcels = "SELECT DISTINCT block, lot FROM permits WHERE block <> '' AND lot <> '' ORDER BY 1, 2 LIMIT 9";
    let rows = client.query(parcels, &[]).await?;
    let reports = rows.iter().map(|row| format!("/report/{}/{}", row.get::<_, &str>(0), row.get::<_, &str>(1)));
    let mut pages: Vec<String> = reports.chain(["/search?q=market".to_owned()]).collect();
    for page in &pages {
        ensure!(stack.visitor().get(page).await?.status == 200, "{page}");
    }
    let numbers = "SELECT DISTINCT permit_number FROM permits ORDER BY 1 LIMIT $1";
    let rows = client.query(numbers, &[&(UNKNOWN + 1)]).await?;
    let permits: Vec<String> = rows.iter().map(|row| format!("/permit/{}", row.get::<_, &str>(0))).collect();
    let [known, others @ ..] = &permits[..] else { bail!("no permits") };
    ensure!(stack.visitor().get(known).await?.status == 200, "{known}");
    pages.push(known.clone());

    stack.cluster.freeze()?;
    let told = tell_all(stack.visitor(), others).await;
    stack.cluster.thaw()?;
    told?;
    until(async || {
        let looked = stack.visitor().get(&pages[0]).await?.field("cache-control") != "no-store";
        Ok(looked && stack.visitor().get("/health").await?.json()?["cache"]["breaker"] == "closed")
    })
    .await?;

    stack.cluster.freeze()?;
    // Nothing is trusted without a look any more.
    pass(Duration::from_millis(1_100)).await;
    let mut read = read_all(stack.visitor(), &pages).await;
    // On a machine that pauses by itself more of them take that long. If pages waited, they would every time.
    for _ in 1..ROUNDS_MAX {
        if !read.as_ref().is_ok_and(|took| waited(took) > WAITED_MAX) {
            break;
        }
        read = read_all(stack.visitor(), &pages).await;
    }
    let health = stack.visitor().get("/health").await;
    let searches = (0..UNKNOWN).map(|number| format!("/search?q=street+{number}"));
    let told = tell_all(stack.visitor(), &others.iter().cloned().chain(searches).collect::<Vec<_>>()).await;
    stack.cluster.thaw()?;
    let (took, health) = (read?, health?.json()?);
    told?;
    let cache = &health["cache"];
    assert!(cache["breaker"] != "closed" && cache["memory"]["pages"].as_u64() >= Some(pages.len() as u64), "{cache}");
    let waited = waited(&took);
    println!("{} pages in memory, none failed, {waited} waited, at most {:?}", took.len(), took.iter().max());
    assert_eq!(took.len(), READERS * READS);
    assert!(waited <= WAITED_MAX, "{waited} of {} waited for the database", took.len());
    // It is asked again by itself.
    until(async || Ok(stack.visitor().get(&pages[0]).await?.field("cache-control") != "no-store")).await?;
    until(async || Ok(stack.visitor().get(&others[0]).await?.status == 200)).await
}

/// Many clients ask for some pages while the database hangs, and again until they are refused without a wait; but for those who
/// look whether that is over.
async fn tell_all(visitor: Visitor, pages: &[String]) -> Result<()> {
    let ask = async |page: &String| {
        let asked = Instant::now();
        let answer = visitor.get(page).await?;
        let told = answer.status == 503 && !answer.field("retry-after").is_empty();
        ensure!(told, "{page}: {} {}", answer.status, answer.text());
        Ok(asked.elapsed())
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let took: Vec<Duration> = stream::iter(pages).map(ask).buffer_unordered(READERS).try_collect().await?;
        let waited = waited(&took);
        println!(
            "{} other pages, all told when to come back, {waited} waited, at most {:?}",
            took.len(),
            took.iter().max()
        );
        if waited <= LOOKS_MAX {
            return Ok(());
        }
        rounds.push(took);
    }
    bail!("pages that are not in memory waited for a database that hangs: {rounds:?}")
}

/// Many clients ask for each page in turn; how long each answer took.
async fn read_all(visitor: Visitor, pages: &[String]) -> Result<Vec<Duration>> {
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let pages: Vec<String> = pages.iter().cycle().skip(reader).take(READS).cloned().collect();
        readers.spawn(async move {
            let mut took = Vec::new();
            for page in pages {
                let asked = Instant::now();
                let answer = visitor.get(&page).await?;
                took.push(asked.elapsed());
                ensure!(answer.status == 200, "{page}: {} {}", answer.status, answer.text());
                ensure!(answer.field("cache-control") == "no-store", "{page} can be stored: {:?}", answer.headers);
                pass(READ_EVERY).await;
            }
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(read) = readers.join_next().await {
        took.extend(read??);
    }
    Ok(took)
}

/// The city's API fails, and then hangs: the nightly load says so, and what was there stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_api_that_fails_or_hangs_loses_nothing() -> Result<()> {
    use crate::support::cable::{Cable, State};

    let city = City::shared()?;
    let database = crate::support::Database::create("faults_soda")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let load = database.ingest(&stand_in.url(), &[])?;
    ensure!(load.succeeded, "{}", load.text);
    let before = database.contents().await?;
    let cable = Cable::to(stand_in.port, State::Cut).await?;
    let soda = format!("http://127.0.0.1:{}", cable.port());
    let folder = seawall_xtask::scratch::dir("faults-soda")?;
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, POLICY)?;
    let soda = [("SODA_BASE_URL", &*soda), ("SODA_TIMEOUT", "1s"), ("POLICY_FILE", &policy.to_string_lossy())];
    let site = crate::support::Site::start_with(&database.origin, 0, &[&WORKER[..], &soda].concat())?;
    let ask = |method, target: &str| ask(&site, method, target).send();
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    let run = ask("POST", "/cron/nightly").await?;
    ensure!(run.status == 202, "{}", run.text());
    let place = run.field("location");
    let permit = database.some_permit().await?;
    // One is enough to notice, and leaves the load the machine.
    let visitors = Load::start(site.visitor(), &format!("/report/{}/{}", permit.block, permit.lot), 1, READ_EVERY);
    for (state, attempts) in [(State::Cut, 1), (State::Silent, 2)] {
        cable.set(state);
        let asked = Instant::now();
        let why = loop {
            let run = ask("GET", &place).await?.json()?;
            if run["attempts"].as_i64() >= Some(attempts) && run["status"] == "queued" {
                break run["error_message"].as_str().context("a reason")?.to_owned();
            }
            ensure!(asked.elapsed() < PATIENCE, "{run}");
            pass(Duration::from_millis(100)).await;
        };
        println!("{state:?}: the run failed after {:?}: {why}", asked.elapsed());
        assert_eq!(database.contents().await?, before, "{state:?}");
    }
    // Visitors notice nothing.
    check("the city's API gone, then hanging", Cost::Nothing, visitors.end().await?)?;
    // It is tried again by itself, and the city's API is back.
    cable.set(State::Whole);
    let asked = Instant::now();
    while ask("GET", &place).await?.json()?["status"] != "success" {
        ensure!(asked.elapsed() < PATIENCE, "the run did not succeed after the API was back");
        pass(Duration::from_millis(100)).await;
    }
    assert_eq!(database.contents().await?, before);
    Ok(())
}

/// Longer than a load is patient with the city's API.
const PATIENCE: Duration = Duration::from_secs(120);
