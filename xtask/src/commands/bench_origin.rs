//! `cargo xtask bench origin`: how long the origin takes when fifty connections ask at once, and what memory it needs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use seawall_xtask::http::Connection;
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::stack::{self, Listening, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::{build, interrupt, scratch, screen, tools};
use serde_json::json;

/// As the figures of the replaced site were measured.
const CONNECTIONS: usize = 50;
/// Each case runs for so long, after a warm-up of a tenth of it.
const DURATION: Duration = Duration::from_secs(10);
const SEED: u64 = 1;

/// One address, asked for as often as it is answered.
struct Case {
    target: String,
    /// Sorted.
    times: Vec<Duration>,
    /// Answers other than 200.
    failed: usize,
    took: Duration,
}

pub(super) fn run(project: &Project, permits: u32, json: Option<&Path>) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_packages(project, &steps)?;
    let program = build::origin(project, build::Profile::Release, &steps)?;
    let cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program, database_url: cluster.create_database("bench")? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let files = scratch::dir("bench")?;
    stack::load_sample(&origin, SEED, permits, files.path(), &steps)?;
    cluster.execute("bench", "ANALYZE")?;
    let parcel = busiest_parcel(files.path())?;
    let site = steps.run("start the origin", |_| origin.serve(0, &[("RATE_LIMITS", "off")], Logs::Keep))?;
    let fresh_kib = resident_kib(&site)?;
    let targets = [
        "/health".to_owned(),
        "/methodology".to_owned(),
        "/search?q=market".to_owned(),
        "/search?q=1455+Market+St".to_owned(),
        format!("/report/{parcel}"),
    ];
    let mut cases = Vec::new();
    for target in targets {
        let name = format!("{CONNECTIONS} connections ask for {target}");
        cases.push(steps.run(&name, |_| measure(site.port, &target))?);
    }
    let loaded_kib = resident_kib(&site)?;
    report(&cases, [fresh_kib, loaded_kib], json)
}

fn measure(port: u16, target: &str) -> Result<Case> {
    let started = Instant::now();
    let warm = started + DURATION / 10;
    let end = warm + DURATION;
    let ask = || -> Result<(Vec<Duration>, usize)> {
        let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST)?;
        let (mut times, mut failed) = (Vec::new(), 0);
        loop {
            interrupt::check()?;
            let asked = Instant::now();
            if asked >= end {
                return Ok((times, failed));
            }
            let response = connection.get(target)?;
            if asked >= warm {
                failed += usize::from(response.status != 200);
                times.push(asked.elapsed());
            }
        }
    };
    let answers: Vec<Result<(Vec<Duration>, usize)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))).collect()
    });
    let mut case = Case { target: target.to_owned(), times: Vec::new(), failed: 0, took: DURATION };
    for answer in answers {
        let (times, failed) = answer?;
        case.times.extend(times);
        case.failed += failed;
    }
    ensure!(!case.times.is_empty(), "{target} was never answered");
    case.times.sort_unstable();
    Ok(case)
}

impl Case {
    fn percentile(&self, percent: usize) -> Duration {
        // Nearest rank; no case is empty.
        self.times[(self.times.len() * percent).div_ceil(100).max(1) - 1]
    }
}

/// The parcel with the most permits, as `block/lot`.
fn busiest_parcel(files: &Path) -> Result<String> {
    let text = fs::read_to_string(files.join("permits.jsonl")).context("the city has no permits")?;
    let mut counts = std::collections::HashMap::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        if let (Some(block), Some(lot)) = (row["block"].as_str(), row["lot"].as_str()) {
            *counts.entry(format!("{block}/{lot}")).or_insert(0_u32) += 1;
        }
    }
    let busiest = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    Ok(busiest.context("no permit stands on a parcel")?.0)
}

/// What the process holds in memory now.
fn resident_kib(site: &Listening) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{}/status", site.service.id())).context("memory is read on Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")
}

fn report(cases: &[Case], [fresh_kib, loaded_kib]: [u64; 2], json: Option<&Path>) -> Result<()> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    screen::line("");
    screen::line(&format!("{CONNECTIONS} connections, {DURATION:?} each"));
    screen::line("target                          req/s    p50 ms    p95 ms    p99 ms   failed");
    let mut figures = Vec::new();
    for case in cases {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| milliseconds(case.percentile(percent)));
        let rate = case.times.len() as f64 / case.took.as_secs_f64();
        screen::line(&format!(
            "{:<28} {rate:>8.0}  {p50:>8.2}  {p95:>8.2}  {p99:>8.2}  {:>7}",
            case.target, case.failed
        ));
        figures.push(json!({
            "target": case.target, "requests": case.times.len(), "failed": case.failed, "requests_per_second": rate,
            "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
        }));
    }
    screen::line(&format!("memory: {} MiB fresh, {} MiB after all of it", fresh_kib / 1024, loaded_kib / 1024));
    if let Some(path) = json {
        let all = json!({ "cases": figures, "resident_kib": { "fresh": fresh_kib, "loaded": loaded_kib } });
        fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
