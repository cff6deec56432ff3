//! `cargo xtask bench`: what core's decisions cost, what the edge and the origin can carry, and what a visitor waits
//! for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use seawall_xtask::project::Project;
use serde_json::Value;

use super::{bench_core, bench_data, bench_edge, bench_origin, bench_spin, bench_visit};

/// Measure on this machine, all cases in one run. Figures compare cases, not machines.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to measure.
    what: What,
    /// Rounds of `edge`; the cases take turns in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=21))]
    rounds: u32,
    /// Put the table of `edge` into docs/benchmarks.md too, or that of `spin` into docs/operating/spin.md.
    #[arg(long)]
    write: bool,
    /// Requests for each case of `visit`, `spin` and `data`.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=5000))]
    requests: u32,
    /// Permits of the city that `origin` (20,000) or `data` (1,000,000) is asked about.
    #[arg(long)]
    permits: Option<u32>,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Core's decisions beside other crates, and as WASM.
    Core,
    /// Fifty connections at once: the origin without the edge.
    Origin,
    /// A million permits loaded, and every kind of search, suggestion, report and page of people over them.
    Data,
    /// The edge under a crowd, beside other Workers, nginx and Varnish.
    Edge,
    /// The component in the test host: its size, its start, and one visitor after another.
    Spin,
    /// One visitor after another: origin alone, and through the edge a miss, a hit and a refusal.
    Visit,
}

/// A city for `origin`, which is loaded in seconds.
const ORIGIN_PERMITS: u32 = 20_000;
/// The city for `data`: as many as the real one has.
const DATA_PERMITS: u32 = 1_000_000;

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let figures = match arguments.what {
        What::Core => return bench_core::run(project, arguments.json.as_deref()),
        What::Origin => {
            let permits = arguments.permits.unwrap_or(ORIGIN_PERMITS);
            return bench_origin::run(project, permits, arguments.json.as_deref());
        }
        What::Data => {
            let permits = arguments.permits.unwrap_or(DATA_PERMITS);
            return bench_data::run(project, permits, arguments.requests, arguments.json.as_deref());
        }
        What::Edge => bench_edge::run(project, arguments.rounds, arguments.write)?,
        What::Spin => bench_spin::run(project, arguments.requests, arguments.write)?,
        What::Visit => bench_visit::run(project, arguments.requests)?,
    };
    if let Some(path) = &arguments.json {
        write(path, &figures)?;
    }
    Ok(())
}

fn write(path: &std::path::Path, figures: &Value) -> Result<()> {
    std::fs::write(path, format!("{figures:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
