//! `cargo xtask bench visit`: what a visitor waits for, with the edge and without it, in one run.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seawall_xtask::http::{Connection, Response};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::stack::{self, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::{build, interrupt, ports, scratch, screen, tools};
use serde_json::{Value, json};

/// Requests that one client address makes: below the burst of every limit on the way.
const REQUESTS_PER_CLIENT: u32 = 10;
/// Requests before the measured ones, so that connections, caches and compilers are warm.
const WARM_UP: u32 = 20;
/// Permits of the city that is searched.
const PERMITS: u32 = 2_000;
const SEED: u64 = 1;

/// The times of one case; at least one.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Sorted.
    pub(super) times: Vec<Duration>,
}

impl Case {
    pub(super) fn new(name: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { name, times }
    }

    pub(super) fn percentile(&self, percent: usize) -> Duration {
        // Nearest rank; no case is empty.
        self.times[(self.times.len() * percent).div_ceil(100).max(1) - 1]
    }
}

pub(crate) fn run(project: &Project, requests: u32) -> Result<Value> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    build::worker(project, &steps)?;
    let program = build::origin(project, build::Profile::Release, &steps)?;
    let cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program, database_url: cluster.create_database("bench")? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let files = scratch::dir("bench")?;
    stack::load_sample(&origin, SEED, PERMITS, files.path(), &steps)?;
    let origin = steps.run("start the origin", |_| origin.serve(0, &[("RATE_LIMITS", "off")], Logs::Keep))?;
    // Its own store, so that nothing of an earlier run is a hit here.
    let state = scratch::dir("bench-edge")?;
    let edge = steps.run("start the edge under wrangler dev", |_| {
        stack::edge(project, ports::free()?, &origin.url(), state.path(), None, Logs::Keep)
    })?;

    let visits = Visits { requests };
    let cases = steps.run("measure", |_| {
        let plain = |response: &Response| ensure_status(response, 200);
        let status = |word: &'static str| {
            move |response: &Response| {
                ensure_status(response, 200)?;
                let status = response.field("cache-status").unwrap_or_default();
                ensure!(status.contains(word), "expected {word:?} in Cache-Status, got {status:?}");
                Ok(())
            }
        };
        Ok([
            visits.measure("origin alone", origin.port, 1, &plain)?,
            visits.measure("edge, miss", edge.port, 2, &status("fwd=uri-miss"))?,
            visits.measure("edge, hit", edge.port, 2, &status("; hit"))?,
            visits.refused("edge, refused", edge.port)?,
        ])
    })?;
    Ok(report(&cases, requests))
}

/// How the cases are asked for.
struct Visits {
    requests: u32,
}

impl Visits {
    fn measure(
        &self,
        name: &'static str,
        port: u16,
        series: u32,
        check: &dyn Fn(&Response) -> Result<()>,
    ) -> Result<Case> {
        let mut times = Vec::new();
        let mut connection = None;
        for number in 0..WARM_UP + self.requests {
            interrupt::check()?;
            if number % REQUESTS_PER_CLIENT == 0 {
                connection = Some(Connection::open(port, client(series, name, number / REQUESTS_PER_CLIENT))?);
            }
            // Opened by the first request of each client.
            let connection = connection.as_mut().context("no connection")?;
            // Another address for each request; the case "hit" repeats those of the case "miss".
            // Another page of one street each time: it begins after a permit that need not be there.
            let path = format!("/search?q=valencia&after=2024-01-01T00:00:00_{series}{number:05}");
            let started = Instant::now();
            let response = connection.get(&path)?;
            let time = started.elapsed();
            check(&response).with_context(|| format!("{name}, request {number}"))?;
            if number >= WARM_UP {
                times.push(time);
            }
        }
        Ok(Case::new(name, times))
    }

    /// One client that goes on after it was refused.
    fn refused(&self, name: &'static str, port: u16) -> Result<Case> {
        let mut connection = Connection::open(port, Ipv4Addr::new(127, 9, 9, 9))?;
        let mut times = Vec::new();
        // A refused client is let in again every few seconds; those answers are another case.
        while times.len() < self.requests as usize {
            interrupt::check()?;
            let started = Instant::now();
            let response = connection.get("/search?q=valencia")?;
            if response.status == 429 {
                times.push(started.elapsed());
            }
        }
        Ok(Case::new(name, times))
    }
}

/// A loopback address for each client, another one for each case.
fn client(series: u32, name: &str, number: u32) -> Ipv4Addr {
    let case = 10 + series as u8 * 10 + name.len() as u8;
    Ipv4Addr::new(127, case, (number / 250) as u8, (number % 250) as u8 + 1)
}

fn ensure_status(response: &Response, status: u16) -> Result<()> {
    ensure!(response.status == status, "expected {status}, got {}", response.status);
    Ok(())
}

fn report(cases: &[Case], requests: u32) -> Value {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let base = milliseconds(cases[0].percentile(50));
    screen::line("");
    screen::line(&format!("{requests} requests each, one after another"));
    screen::line("case             p50 ms    p95 ms    p50 against origin alone");
    let mut figures = Vec::new();
    for case in cases {
        let (p50, p95) = (milliseconds(case.percentile(50)), milliseconds(case.percentile(95)));
        screen::line(&format!("{:<14} {p50:>8.2}  {p95:>8.2}    {:.2}", case.name, p50 / base));
        figures.push(json!({ "case": case.name, "requests": case.times.len(), "p50_ms": p50, "p95_ms": p95 }));
    }
    json!({ "cases": figures })
}
