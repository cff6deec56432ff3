//! How long core's decisions take, beside other crates in the same run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde_json::json;

mod breaker;
mod cache;
mod limit;
mod measure;
mod route;

/// Measures core beside governor, http-cache-semantics and failsafe.
#[derive(Parser)]
struct Arguments {
    /// Measure one part only.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Cache,
    Limit,
    Breaker,
    Policy,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wanted = |part| arguments.only.is_none_or(|only| only == part);
    let mut figures = Vec::new();
    if wanted(Part::Cache) {
        figures.extend(cache::all()?);
    }
    if wanted(Part::Limit) {
        figures.extend(limit::all());
    }
    if wanted(Part::Breaker) {
        figures.push(breaker::all());
    }
    if wanted(Part::Policy) {
        figures.push(route::all()?);
    }
    let mut rows = Vec::new();
    println!("| operation | seawall, ns | beside it, ns | ratio | target |");
    println!("|---|--:|--:|--:|--:|");
    for figures in &figures {
        let own = figures.medians[0].1;
        let others: Vec<String> = figures.medians[1..].iter().map(|(name, time)| format!("{name} {time:.1}")).collect();
        let ratio = figures.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let target = figures.target.map_or_else(String::new, |target| format!("≤ {target}"));
        println!("| {} | {own:.1} | {} | {ratio} | {target} |", figures.operation, others.join(", "));
        rows.push(json!({
            "operation": figures.operation,
            "ns": figures.medians.iter().map(|(name, time)| json!({ "name": name, "median": time })).collect::<Vec<_>>(),
            "ratio": figures.ratio(),
            "target": figures.target,
        }));
    }
    if let Some(path) = arguments.json {
        let text = format!("{:#}\n", json!({ "time": rows }));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
