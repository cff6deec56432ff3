//! `cargo xtask bench edge`: the edge under a crowd, beside Workers written by hand, nginx and Varnish.
//!
//! All on this machine and in one run. The cases take turns, and of each the median of the rounds counts, so that what
//! else the machine does falls on all of them alike. What compares is the ratio of two cases.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use seawall_xtask::process::{self, Logs};
use seawall_xtask::project::Project;
use seawall_xtask::stack::Listening;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::workerd::{self, Front, Script};
use seawall_xtask::{build, interrupt, scratch, screen, tools, usage};
use serde_json::{Value, json};

mod peers;

/// How long each case is asked as fast as it answers, in each round.
const SATURATED_MS: u32 = 1_000;
/// Below what every case can carry, so that waiting in a queue is not what is measured.
const RATE_PER_SECOND: u32 = 300;
/// Requests at that rate, for each case in each round: beyond 99 of 100 there are still nine.
const RATE_REQUESTS: u32 = 900;
/// Rounds at the fixed rate; a quantile of thousands moves less than a throughput.
const RATE_ROUNDS: u32 = 3;
/// Addresses of the cases whose answers lie in the Cache API: eight times what isolate memory holds.
const ADDRESSES: u32 = 4_096;

/// One thing to ask for, again and again.
struct Case<'a> {
    name: &'static str,
    server: &'a Listening,
    /// The program of the server whose CPU time counts.
    program: &'static str,
    path: &'static str,
    /// How many addresses `{n}` in the path stands for; `None`: a new one each time.
    addresses: Option<u32>,
    status: u16,
}

/// What was measured of one case.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    saturated_cpu_us: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Measures, shows a table, and puts it into the document of the figures where `write` is true.
pub(crate) fn run(project: &Project, rounds: u32, write: bool) -> Result<Value> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    let site = build::worker(project, &steps)?;
    let worker = build::worker_with(project, &project.path("benches/edge/policy.toml"), &steps)?;
    let load = build_load(project, &steps)?;
    let files = scratch::dir("bench-edge")?;
    let hono = bundle(project, &files.path().join("hono.mjs"), &steps)?;

    let mut origin = Command::new(&load);
    origin.arg("origin");
    let origin = seawall_xtask::stack::listening("origin", origin, "origin listening on ", Logs::Keep)?;
    let url = origin.url();
    let serve = |script: &Script| workerd::serve(project, script, &url, 0, Front::None, Logs::Keep);
    let constant = serve(&Script::file(&project.path("benches/edge/workers/constant.mjs")))?;
    let proxy = serve(&Script::file(&project.path("benches/edge/workers/proxy.mjs")))?;
    let duties = serve(&Script::file(&project.path("benches/edge/workers/duties.mjs")))?;
    let hono = serve(&hono)?;
    let edge = serve(&Script::edge(&worker))?;
    let nginx = peers::nginx(project, origin.port, files.path(), &steps)?;
    let varnish = peers::varnish(project, origin.port, files.path(), &steps)?;

    let case = |name, server, path| Case { name, server, program: "workerd", path, addresses: Some(1), status: 200 };
    let mut cases = vec![
        case("JavaScript: a constant", &constant, "/"),
        case("Seawall: hit in isolate memory", &edge, "/hot"),
        Case { status: 429, ..case("Seawall: refused by what the isolate remembers", &edge, "/denied") },
        Case { addresses: Some(ADDRESSES), ..case("Hono: hit by `cache.match`", &hono, "/stored/{n}") },
        Case { addresses: Some(ADDRESSES), ..case("Seawall: hit in the Cache API", &edge, "/stored/{n}") },
        case("JavaScript: a bare proxy", &proxy, "/private/a"),
        case("JavaScript: a proxy with the edge's duties", &duties, "/private/a"),
        case("Seawall: asked of the origin", &edge, "/private/a"),
        Case { addresses: None, ..case("Seawall: miss, and stored", &edge, "/new/{n}") },
    ];
    for (peer, program, [hit, pass]) in [
        (&nginx, "nginx", ["nginx: hit", "nginx: asked of the origin"]),
        // The process that serves; `varnishd` is the one that watches over it.
        (&varnish, "cache-main", ["Varnish: hit", "Varnish: asked of the origin"]),
    ] {
        let Some(server) = peer else { continue };
        cases.push(Case { program, ..case(hit, server, "/hot") });
        cases.push(Case { program, ..case(pass, server, "/private/a") });
    }

    let mut bench = Bench { load: &load, next: 0 };
    steps.run("warm up", |step| cases.iter().try_for_each(|case| bench.warm(case, step)))?;
    let mut figures: Vec<Figures> = cases.iter().map(|_| Figures::default()).collect();
    steps.run("64 connections, as fast as it goes", |step| {
        (0..rounds).try_for_each(|_| bench.saturated(&cases, &mut figures, step))
    })?;
    steps.run(&format!("{RATE_PER_SECOND} requests a second"), |step| {
        (0..RATE_ROUNDS).try_for_each(|_| bench.at_rate(&cases, &mut figures, step))
    })?;
    for (name, peer) in [("nginx", &nginx), ("Varnish", &varnish)] {
        if peer.is_none() {
            screen::line(&format!("{name} is left out: it is not installed, and only root can install it"));
        }
    }
    let (table, figures) = report(&cases, &figures, &site, rounds);
    screen::line("");
    table.lines().for_each(screen::line);
    if write {
        write_table(project, DOCUMENT, BEGIN, &table)?;
    }
    Ok(figures)
}

/// Puts `table` into a document, between the mark `begin` and the next end.
pub(super) fn write_table(project: &Project, document: &str, begin: &str, table: &str) -> Result<()> {
    let path = project.path(document);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {document}"))?;
    let text = between_marks(&text, begin, table)
        .with_context(|| format!("{document} has no {begin} with {END} behind it"))?;
    fs::write(&path, text).with_context(|| format!("cannot write {document}"))
}

/// The text with `table` between the marks.
pub(super) fn between_marks(text: &str, begin: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, begin, "\n", table, END, after].concat())
}

/// The clients' program, as quick as it gets: it must not be what is measured.
pub(super) fn build_load(project: &Project, steps: &Steps) -> Result<std::path::PathBuf> {
    steps.run("build the clients", |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--release", "--package", "seawall-benches-edge", "--bin", "load"]);
        process::run("cargo build", cargo, step)
    })?;
    Ok(project.target().join("release/load"))
}

/// The Worker that uses Hono, in one file.
fn bundle(project: &Project, out: &Path, steps: &Steps) -> Result<Script> {
    steps.run("bundle the Worker that uses Hono", |step| {
        let mut esbuild = Command::new(tools::esbuild(project)?);
        esbuild.current_dir(project.root()).args(["--bundle", "--format=esm", "--minify"]);
        esbuild.arg(project.path("benches/edge/workers/hono.mjs")).arg(format!("--outfile={}", out.display()));
        process::run("esbuild", esbuild, step)
    })?;
    Ok(Script::file(out))
}

struct Bench<'a> {
    load: &'a Path,
    /// The next number that no request has had.
    next: u64,
}

impl Bench<'_> {
    /// Asks for every address of a case, twice: it is stored the first time, and counted as asked for the second.
    fn warm(&mut self, case: &Case<'_>, step: &Step) -> Result<()> {
        step.detail(case.name);
        let requests = case.addresses.map_or(WARM_UP, |addresses| (2 * addresses).max(WARM_UP));
        // The first request under the limit is the one that passes; its status is not looked at.
        let first = self.load(case, &["saturate", "--requests", "1", "--connections", "1"]);
        if case.status == 200 {
            first?;
        }
        self.load(case, &["saturate", "--requests", &requests.to_string()]).map(drop)
    }

    fn saturated(&mut self, cases: &[Case<'_>], figures: &mut [Figures], step: &Step) -> Result<()> {
        for (case, figures) in cases.iter().zip(figures) {
            step.detail(case.name);
            let before = cpu_us(case)?;
            let said = self.load(case, &["saturate", "--milliseconds", &SATURATED_MS.to_string()])?;
            let spent = cpu_us(case)? - before;
            figures.per_second.push(number(&said, "per_second")?);
            figures.saturated_cpu_us.push(spent / number(&said, "requests")?);
        }
        Ok(())
    }

    fn at_rate(&mut self, cases: &[Case<'_>], figures: &mut [Figures], step: &Step) -> Result<()> {
        for (case, figures) in cases.iter().zip(figures) {
            step.detail(case.name);
            let (rate, requests) = (RATE_PER_SECOND.to_string(), RATE_REQUESTS.to_string());
            let before = cpu_us(case)?;
            let said = self.load(case, &["rate", "--per-second", &rate, "--requests", &requests])?;
            let spent = cpu_us(case)? - before;
            figures.p50_us.push(number(&said, "p50_us")?);
            figures.p99_us.push(number(&said, "p99_us")?);
            figures.cpu_us.push(spent / number(&said, "requests")?);
        }
        Ok(())
    }

    fn load(&mut self, case: &Case<'_>, arguments: &[&str]) -> Result<Value> {
        interrupt::check()?;
        let mut load = Command::new(self.load);
        load.args(arguments).args(["--port", &case.server.port.to_string(), "--path", case.path]);
        load.args(["--status", &case.status.to_string()]);
        match case.addresses {
            Some(addresses) => load.args(["--numbers", &addresses.to_string()]),
            None => load.args(["--first", &self.next.to_string()]),
        };
        // More than any run of a few seconds asks for.
        self.next += 1_000_000;
        let output = load.output().context("cannot run the clients")?;
        anyhow::ensure!(
            output.status.success(),
            "the clients failed on \"{}\": {}",
            case.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Microseconds that the server has spent so far.
fn cpu_us(case: &Case<'_>) -> Result<f64> {
    Ok(usage::cpu_of_program(case.server.service.id(), case.program)?.as_secs_f64() * 1e6)
}

fn number(said: &Value, key: &str) -> Result<f64> {
    said.get(key).and_then(Value::as_f64).with_context(|| format!("the clients did not say {key}"))
}

/// The middle one; of an even number, the lower of the two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The table for the document, and the figures of every round.
fn report(cases: &[Case<'_>], figures: &[Figures], site: &build::Worker, rounds: u32) -> (String, Value) {
    let mut table = format!(
        "Medians of {rounds} rounds, {RATE_ROUNDS} at the fixed rate. The site's Worker: {}.\n\n\
         | case | requests/s | CPU us each | p50 ms at {RATE_PER_SECOND}/s | p99 ms | CPU us each at {RATE_PER_SECOND}/s |\n\
         |---|---|---|---|---|---|\n",
        site.sizes()
    );
    let mut rows = Vec::new();
    for (case, of) in cases.iter().zip(figures) {
        let Figures { per_second, saturated_cpu_us, p50_us, p99_us, cpu_us } = of;
        let [per_second, saturated_cpu_us, p50_us, p99_us, cpu_us] =
            [per_second, saturated_cpu_us, p50_us, p99_us, cpu_us].map(|values| median(values));
        let (p50_ms, p99_ms) = (p50_us / 1e3, p99_us / 1e3);
        table.push_str(&format!(
            "| {} | {per_second:.0} | {saturated_cpu_us:.0} | {p50_ms:.2} | {p99_ms:.2} | {cpu_us:.0} |\n",
            case.name
        ));
        rows.push(json!({
            "case": case.name,
            "requests_per_second": of.per_second,
            "saturated_cpu_us_per_request": of.saturated_cpu_us,
            "p50_us": of.p50_us,
            "p99_us": of.p99_us,
            "cpu_us_per_request": of.cpu_us,
        }));
    }
    let figures = json!({
        "rounds": rounds,
        "rate_per_second": RATE_PER_SECOND,
        "worker_wasm_bytes": site.wasm_bytes,
        "worker_js_bytes": site.js_bytes,
        "worker_gzip_bytes": site.gzip_bytes,
        "cases": rows,
    });
    (table, figures)
}

/// Where the table stands, between two marks.
const DOCUMENT: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- cargo xtask bench edge --write -->";
const END: &str = "<!-- end of what it wrote -->";

/// Requests that every case gets before it is measured: compilers and caches are warm then.
const WARM_UP: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        for (values, expect) in [(&[][..], 0.0), (&[3.0], 3.0), (&[9.0, 1.0, 5.0], 5.0), (&[4.0, 1.0, 2.0, 3.0], 2.0)] {
            assert_eq!(median(values), expect);
        }
    }

    #[test]
    fn the_document_has_a_place_for_the_table() {
        let text = fs::read_to_string(Project::here().path(DOCUMENT)).unwrap();
        let written = between_marks(&text, BEGIN, "| a |\n").unwrap();
        assert!(written.contains(&format!("{BEGIN}\n| a |\n{END}")));
        assert_eq!(between_marks(&written, BEGIN, "| b |\n"), between_marks(&text, BEGIN, "| b |\n"));
    }
}
