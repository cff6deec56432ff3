//! Simulates limits that many isolates share, and prints what each mode costs and admits.
//!
//! `cargo xtask simulate` runs it. Without a policy it takes two reference limits.

mod measure;
mod random;
mod subject;
mod table;
mod traffic;
mod world;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use seawall_core::limit::distributed::Terms;

use subject::Subject;
use table::Row;
use traffic::Traffic;
use world::{Faults, Scenario};

/// Simulate limits that many isolates share: what each mode admits, and how often it asks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask simulate")]
struct Arguments {
    /// Take the limits of this policy.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Take only this limit.
    #[arg(long, value_name = "NAME")]
    limit: Option<String>,
    /// How many isolates serve the key; may be given several times.
    #[arg(long, value_name = "N", default_values = ["10", "500", "10000"])]
    isolates: Vec<NonZeroU32>,
    /// Requests in thousandths of what the quota allows; may be given several times.
    #[arg(long, value_name = "N", default_values = ["500", "950", "3000"], value_parser = clap::value_parser!(u64).range(1..=100_000))]
    load: Vec<u64>,
    /// Only this mode; may be given several times.
    #[arg(long)]
    mode: Vec<Kind>,
    /// Pattern of requests.
    #[arg(long, default_value = "steady")]
    traffic: Traffic,
    /// Units by which the quota may be exceeded, in thousandths of it, where the policy does not say.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u64).range(0..=1000))]
    epsilon: u64,
    /// How long a lease holds, in milliseconds, where the policy does not say.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(200..=60_000))]
    ttl: u64,
    /// Virtual seconds of each run; by default six windows, at least thirty seconds and at most ten minutes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Stop isolates, restart the authority and step clocks too, and lose more messages.
    #[arg(long)]
    faults: bool,
    /// What decides everything random.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Write the rows to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How isolates share the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Exact,
    Lease,
    Async,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let subjects = subjects(arguments)?;
    let kinds = if arguments.mode.is_empty() { Kind::value_variants() } else { &arguments.mode };
    let mut jobs = Vec::new();
    for subject in &subjects {
        for &load_permille in &arguments.load {
            for &isolates in &arguments.isolates {
                for &kind in kinds {
                    let terms = subject.terms(kind, arguments.epsilon, arguments.ttl, isolates)?;
                    jobs.push((subject, kind, scenario(arguments, terms, load_permille, isolates)));
                }
            }
        }
    }
    let reports = table::in_parallel(&jobs, |(.., scenario)| world::run(*scenario));
    let rows: Vec<Row> = jobs
        .iter()
        .zip(reports)
        .map(|((subject, kind, scenario), report)| Row::new(&subject.name, *kind, scenario, report))
        .collect();
    table::print(&rows, arguments.seed);
    if let Some(path) = &arguments.json {
        let json = serde_json::Value::from(rows.iter().map(Row::json).collect::<Vec<_>>());
        std::fs::write(path, format!("{json:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match rows.iter().find(|row| !row.report.keeps_its_bound()) {
        None => Ok(()),
        Some(row) => {
            bail!("the bound was exceeded; to see it again: cargo xtask simulate {}", row.replay(arguments.seed))
        }
    }
}

fn subjects(arguments: &Arguments) -> Result<Vec<Subject>> {
    let all = match &arguments.policy {
        None => Subject::references(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Subject::of_policy(&text)?
        }
    };
    let Some(name) = &arguments.limit else { return Ok(all) };
    let names: Vec<String> = all.iter().map(|subject| subject.name.clone()).collect();
    let chosen: Vec<Subject> = all.into_iter().filter(|subject| subject.name == *name).collect();
    if chosen.is_empty() {
        bail!("no limit \"{name}\" that counts as gcra; there are {}", names.join(", "));
    }
    Ok(chosen)
}

fn scenario(arguments: &Arguments, terms: Terms, load_permille: u64, isolates: NonZeroU32) -> Scenario {
    let window = terms.quota().window();
    let duration = arguments
        .seconds
        .map_or_else(|| (window * 6).clamp(Duration::from_secs(30), Duration::from_secs(600)), Duration::from_secs);
    let faults = if arguments.faults { Faults::ALL } else { Faults::USUAL };
    Scenario {
        terms,
        isolates: isolates.get(),
        load_permille,
        duration,
        traffic: arguments.traffic,
        faults,
        seed: arguments.seed,
    }
}

#[cfg(test)]
mod tests;
