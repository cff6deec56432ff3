//! `cargo xtask bench spin`: what the component weighs, what its start costs, and what a visitor waits for, in the test
//! host.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use seawall_xtask::http::Connection;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::stack::{self, Listening, SpinEdge};
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::{build, interrupt, scratch, screen, tools};
use serde_json::{Value, json};

use super::bench_edge::{build_load, write_table};
use super::bench_visit::Case;

/// Starts of the host. Each compiles the component.
const STARTS: usize = 7;
/// Requests that one client makes: below the burst of the limit on the way.
const REQUESTS_PER_CLIENT: u32 = 100;
/// Requests before the measured ones.
const WARM_UP: u32 = 20;

/// Measures, shows a table, and puts it into the document where `write` is true.
pub(crate) fn run(project: &Project, requests: u32, write: bool) -> Result<Value> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    let component = build::spin_component(project, &steps)?;
    let host = build::spin_host(project, &steps)?;
    let mut origin = Command::new(build_load(project, &steps)?);
    origin.arg("origin");
    let origin = stack::listening("origin", origin, "origin listening on ", Logs::Keep)?;
    let origin_url = origin.url();
    // Each host begins with an empty store of its own, so that nothing of another is a hit.
    let serve = |further: &[&str]| {
        let state = scratch::dir("bench-spin")?;
        let edge = SpinEdge { component: &component.file, origin_url: &origin_url, redis_url: "", state: state.path() };
        anyhow::Ok((edge.serve_on_host(&host, 0, further, Logs::Keep)?, state))
    };

    let (mut starts, mut firsts) = (Vec::new(), Vec::new());
    steps.run("start the host again and again", |step| {
        for start in 1..=STARTS {
            step.detail(&format!("{start} of {STARTS}"));
            interrupt::check()?;
            let began = Instant::now();
            let (edge, _state) = serve(&[])?;
            starts.push(began.elapsed());
            firsts.push(ask(&mut connection(&edge, 1)?, PAGE, "fwd=uri-miss")?);
        }
        Ok(())
    })?;
    let mut cases = vec![
        Case::new("the host's start, which compiles the component", starts),
        Case::new("the first answer after it, a miss", firsts),
    ];
    for (name, further, path, status) in [
        ("a miss", &[][..], "/static/{n}.css", "fwd=uri-miss"),
        ("a hit", &[][..], PAGE, "; hit"),
        ("a hit, each in a new instance", &["--concurrency", "1", "--reuse", "1"][..], PAGE, "; hit"),
    ] {
        let (edge, _state) = serve(further)?;
        cases.push(steps.run(name, |step| measure(&edge, name, path, status, requests, step))?);
    }
    let (table, figures) = report(&component, &cases);
    screen::line("");
    table.lines().for_each(screen::line);
    if write {
        write_table(project, DOCUMENT, BEGIN, &table)?;
    }
    Ok(figures)
}

/// One visitor after another, each on one connection.
fn measure(edge: &Listening, name: &'static str, path: &str, status: &str, requests: u32, step: &Step) -> Result<Case> {
    step.detail("warming up");
    let mut times = Vec::new();
    let mut visitor = connection(edge, 0)?;
    if !path.contains("{n}") {
        ask(&mut visitor, path, "")?;
    }
    for number in 0..WARM_UP + requests {
        interrupt::check()?;
        if number % REQUESTS_PER_CLIENT == 0 {
            visitor = connection(edge, number / REQUESTS_PER_CLIENT + 1)?;
        }
        let measured = number >= WARM_UP;
        let path = path.replace("{n}", &number.to_string());
        let time = ask(&mut visitor, &path, if measured { status } else { "" });
        let time = time.with_context(|| format!("{name}, request {number}"))?;
        if measured {
            times.push(time);
        }
    }
    Ok(Case::new(name, times))
}

/// A connection of the client with this number.
fn connection(edge: &Listening, number: u32) -> Result<Connection> {
    // At most 51 clients make the most requests that can be asked for.
    Connection::open(edge.port, Ipv4Addr::new(127, 0, 1, number as u8 + 1))
}

/// Asks once; what it took.
fn ask(visitor: &mut Connection, path: &str, status: &str) -> Result<Duration> {
    let began = Instant::now();
    let response = visitor.get(path)?;
    let took = began.elapsed();
    let said = response.field("cache-status").unwrap_or_default();
    ensure!(response.status == 200 && said.contains(status), "{} with Cache-Status {said:?}", response.status);
    Ok(took)
}

/// The table for the document, and the figures.
fn report(component: &build::Component, cases: &[Case]) -> (String, Value) {
    let mut table = String::from("| | median ms | 99th percentile ms | of |\n|---|---|---|---|\n");
    let mut rows = Vec::new();
    for case in cases {
        let [p50, p99] = [50, 99].map(|percent| case.percentile(percent).as_secs_f64() * 1e3);
        table.push_str(&format!("| {} | {p50:.2} | {p99:.2} | {} |\n", case.name, case.times.len()));
        rows.push(json!({ "case": case.name, "times": case.times.len(), "p50_ms": p50, "p99_ms": p99 }));
    }
    table.push_str(&format!("\nThe {}.\n", component.sizes()));
    let figures =
        json!({ "component_bytes": component.bytes, "component_gzip_bytes": component.gzip_bytes, "cases": rows });
    (table, figures)
}

/// What is asked for again and again: cached for an hour.
const PAGE: &str = "/methodology";
/// Where the table stands.
const DOCUMENT: &str = "docs/operating/spin.md";
const BEGIN: &str = "<!-- cargo xtask bench spin --write -->";

#[cfg(test)]
mod tests {
    use super::super::bench_edge::between_marks;
    use super::*;

    #[test]
    fn the_document_has_a_place_for_the_table() {
        let text = std::fs::read_to_string(Project::here().path(DOCUMENT)).unwrap();
        assert!(between_marks(&text, BEGIN, "").is_some());
    }
}
