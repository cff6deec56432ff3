//! How often core's cache decisions allocate, beside http-cache-semantics. A program of its own: counting takes time.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use seawall_benches::caches::{Line, Seawall, Semantics, hits};
use seawall_benches::corpus;
use serde_json::json;

/// Counts allocations for each cache decision.
#[derive(Parser)]
struct Arguments {
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let exchanges = corpus::read()?;
    let seawall = Seawall::default();
    let hits = hits(&seawall, &exchanges);
    let mut line = Line::default();
    let own_hit = each(hits.len(), || {
        for (exchange, kept, _) in &hits {
            seawall.again(kept, exchange, &mut line);
        }
    });
    let other_hit = each(hits.len(), || {
        for (exchange, _, policy) in &hits {
            drop(Semantics::again(policy, exchange));
        }
    });
    let own_store = each(exchanges.len(), || {
        exchanges.iter().for_each(|exchange| drop(seawall.store(Seawall::key(exchange), exchange)));
    });
    let other_store = each(exchanges.len(), || exchanges.iter().for_each(|exchange| drop(Semantics::store(exchange))));
    println!("allocations for each decision (bytes)");
    let mut rows = Vec::new();
    for (operation, own, other) in
        [("cache, fresh hit", &own_hit, &other_hit), ("cache, storing", &own_store, &other_store)]
    {
        println!(
            "{operation:<26} seawall {:>5.1} ({:.0})   http-cache-semantics {:>5.1} ({:.0})",
            own.count, own.bytes, other.count, other.bytes
        );
        let figures = |counted: &Counted| json!({ "count": counted.count, "bytes": counted.bytes });
        rows.push(json!({ "operation": operation, "seawall": figures(own), "http-cache-semantics": figures(other) }));
    }
    if let Some(path) = arguments.json {
        let text = format!("{:#}\n", json!({ "exchanges": exchanges.len(), "hits": hits.len(), "allocations": rows }));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    ensure!(own_hit.count == 0.0, "a fresh hit allocates in core");
    Ok(())
}

struct Counted {
    count: f64,
    bytes: f64,
}

fn each(decisions: usize, work: impl FnOnce()) -> Counted {
    let info = allocation_counter::measure(work);
    let each = |total: u64| total as f64 / decisions as f64;
    Counted { count: each(info.count_total), bytes: each(info.bytes_total) }
}
