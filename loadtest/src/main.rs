//! `seawall-loadtest`: a crowd of clients for the permits site.
//!
//! Every user is one connection that is kept. In the closed model, each asks again when the last answer has come; in
//! the open one (`--rate`), requests are due at fixed times and count from when they were due, so that a server that
//! stalls is not spared the requests that would have come meanwhile (coordinated omission).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

mod client;
mod compare;
mod crowd;
mod options;
mod outcome;
mod overhead;
mod progress;
mod recorder;
mod report;
mod scenario;
mod target;

use options::Options;
use report::Report;

/// A crowd of clients for the permits site.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Compare two results: the difference of each percentile.
    Compare(CompareArguments),
    /// Measure the tool itself, before a server that does nothing: no figure can be below these.
    Overhead(OverheadArguments),
}

#[derive(Args)]
struct CompareArguments {
    /// The older result, as `--output` wrote it.
    before: PathBuf,
    /// The newer one.
    after: PathBuf,
    /// Exit 1 when the p95 of a scenario grew by more than so many per cent.
    #[arg(long, value_name = "PERCENT")]
    fail_above: Option<f64>,
}

#[derive(Args)]
struct OverheadArguments {
    /// Connections.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=options::USERS_MAX))]
    users: u32,
    /// Seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    duration: u32,
}

/// What a shell sees when the crowd met too many errors; the same as for any failure.
fn main() -> ExitCode {
    let Arguments { command, options } = Arguments::parse();
    let result = match command {
        None => load(&options),
        Some(Command::Compare(arguments)) => {
            compare::run(&arguments.before, &arguments.after, arguments.fail_above).map(|worse| !worse)
        }
        Some(Command::Overhead(arguments)) => overhead::run(arguments.users, arguments.duration).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the errors stayed within what is allowed.
fn load(options: &Options) -> Result<bool> {
    let target = target::parse(&options.url, options.remote.then_some(options.i_may_load.as_deref()).flatten())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let report = runtime.block_on(crowd::run(options, &target))?;
    println!("{}", report.json()?);
    eprint!("{}", report.table());
    if let Some(path) = &options.output {
        write(path, &report.json()?)?;
    }
    if let Some(path) = &options.html {
        write(path, &report.html())?;
    }
    Ok(acceptable(&report, options.max_error_rate))
}

/// Whether every scenario was answered, and failed in at most `max_percent` of its requests; says which were not. One
/// whose every answer was 429 was not measured.
fn acceptable(report: &Report, max_percent: f64) -> bool {
    let mut all = true;
    for result in report.results.values() {
        let errors = result.error_rate * 100.0;
        if errors > max_percent {
            all = false;
            eprintln!("{}: {errors:.2} % errors, more than {max_percent} % (--max-error-rate)", result.scenario);
        } else if result.success_count == 0 {
            all = false;
            eprintln!("{}: not one answer with status 200", result.scenario);
        }
    }
    all
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
