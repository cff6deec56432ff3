//! `cargo xtask bench origin`: fifty users of the load test ask the origin for one thing at a time, as the figures of the
//! replaced site were taken, and what it needs meanwhile. Then they ask for one thing after another of an origin that keeps
//! nothing, so that each answer is computed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::stack::{self, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::usage::{self, Usage};
use seawall_xtask::{build, interrupt, scratch, screen, tools};
use serde_json::{Value, json};

use super::load;

/// As the figures of the replaced site were measured.
const USERS: u32 = 50;
/// Each case counts for so many seconds, after a ramp in which nothing does.
const SECONDS: u32 = 10;
const RAMP_SECONDS: u32 = 1;
const SEED: u64 = 1;

/// What is asked for, again and again: a scenario of the load test, and what it is asked about.
struct Case {
    name: String,
    arguments: Vec<String>,
    /// Whether the origin that keeps nothing is asked.
    is_computed: bool,
}

/// What came of it.
struct Figures {
    /// As the load test writes them.
    result: Value,
    /// CPU seconds of the origin, and of Postgres.
    cpu_seconds: [f64; 2],
}

pub(super) fn run(project: &Project, permits: u32, json: Option<&Path>) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_packages(project, &steps)?;
    let crowd = load::build(project, &steps)?;
    let program = build::origin(project, build::Profile::Release, &steps)?;
    let mut cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program, database_url: cluster.create_database("bench")? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let files = scratch::dir("bench")?;
    stack::load_sample(&origin, SEED, permits, files.path(), &steps)?;
    cluster.execute("bench", "ANALYZE")?;
    let City { busiest, parcels, addresses } = City::read(&files.path().join("permits.jsonl"))?;
    let site = steps.run("start the origin", |_| origin.serve(0, &[("RATE_LIMITS", "off")], Logs::Keep))?;
    let fresh = usage::of_tree(site.service.id())?;
    let computing = &[("RATE_LIMITS", "off"), ("PAGE_MEMORY_MIB", "0")];
    let computing = steps.run("start one that keeps nothing", |_| origin.serve(0, computing, Logs::Keep))?;
    let case = |name: &str, arguments: &[&str]| Case {
        name: name.to_owned(),
        arguments: ["--scenario"].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect(),
        is_computed: false,
    };
    let computed = |name: &str, scenario: &str, option: &str, values: Vec<String>| Case {
        name: format!("{name}, computed"),
        is_computed: true,
        arguments: ["--scenario".to_owned(), scenario.to_owned()]
            .into_iter()
            .chain(values.into_iter().flat_map(|value| [option.to_owned(), value]))
            .collect(),
    };
    let cases = [
        case("/health", &["health"]),
        case("/", &["landing"]),
        case("/methodology", &["methodology"]),
        case("/search?q=market", &["search", "--search", "market"]),
        case("/search?q=1455+Market+St", &["search", "--search", "1455 Market St"]),
        case("/sitemap.xml", &["sitemap"]),
        case(&format!("/report/{busiest}"), &["report", "--parcel", &busiest]),
        computed("/search?q={address}", "search", "--search", addresses),
        computed("/report/{parcel}", "report", "--parcel", parcels),
    ];
    let mut figures = Vec::new();
    for case in &cases {
        let name = format!("{USERS} users ask for {}", case.name);
        let site = if case.is_computed { &computing } else { &site };
        let parts = [site.service.id(), cluster.server().id()];
        figures.push(steps.run(&name, |_| case.measure(&crowd, &site.url(), parts, files.path()))?);
    }
    let loaded = usage::of_tree(site.service.id())?;
    report(&cases, &figures, [fresh, loaded], json)
}

impl Case {
    fn measure(&self, crowd: &Path, url: &str, parts: [u32; 2], folder: &Path) -> Result<Figures> {
        interrupt::check()?;
        let output = folder.join("result.json");
        let mut command = Command::new(crowd);
        command.args(["--url", url, "--users", &USERS.to_string(), "--duration", &SECONDS.to_string()]);
        // What failed is in the table.
        command.args(["--ramp", &RAMP_SECONDS.to_string(), "--max-error-rate", "100", "--output"]);
        command.arg(&output).args(&self.arguments);
        let cpu = || -> Result<[f64; 2]> {
            let [origin, postgres] = parts.map(usage::of_tree);
            Ok([origin?, postgres?].map(|usage| usage.cpu.as_secs_f64()))
        };
        let before = cpu()?;
        let ran = command.output().context("cannot run the load test")?;
        let after = cpu()?;
        ensure!(output.is_file(), "{}: {}", self.name, String::from_utf8_lossy(&ran.stderr).trim());
        let written: Value = serde_json::from_slice(&fs::read(&output)?)?;
        fs::remove_file(&output)?;
        let results = written["results"].as_object().and_then(|results| results.values().next());
        let result = results.with_context(|| format!("{}: no result", self.name))?.clone();
        ensure!(result["success_count"] != 0, "{} was never answered", self.name);
        Ok(Figures { result, cpu_seconds: [after[0] - before[0], after[1] - before[1]] })
    }
}

/// What of the generated city can be asked for.
struct City {
    /// The parcel with the most permits, as `block/lot`.
    busiest: String,
    /// All other parcels with a permit.
    parcels: Vec<String>,
    addresses: Vec<String>,
}

impl City {
    fn read(permits: &Path) -> Result<Self> {
        let text = fs::read_to_string(permits).context("the city has no permits")?;
        let mut counts = BTreeMap::new();
        let mut addresses = BTreeSet::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line)?;
            let texts = |names: &[&str]| names.iter().map(|name| row[*name].as_str()).collect::<Option<Vec<_>>>();
            if let Some(parcel) = texts(&["block", "lot"]) {
                *counts.entry(parcel.join("/")).or_insert(0_u32) += 1;
            }
            addresses.extend(texts(&["street_number", "street_name", "street_suffix"]).map(|parts| parts.join(" ")));
        }
        let busiest = counts
            .iter()
            .max_by_key(|(parcel, permits)| (**permits, Reverse(*parcel)))
            .context("no permit stands on a parcel")?
            .0
            .clone();
        counts.remove(&busiest);
        Ok(Self { busiest, parcels: counts.into_keys().collect(), addresses: addresses.into_iter().collect() })
    }
}

fn report(cases: &[Case], figures: &[Figures], [fresh, loaded]: [Usage; 2], json: Option<&Path>) -> Result<()> {
    screen::line("");
    screen::line(&format!("{USERS} users, each asking again at once, {SECONDS} s each; CPU in seconds"));
    screen::line("| asked for | answers/s | p50 ms | p95 ms | p99 ms | max ms | failed | CPU origin | CPU Postgres |");
    screen::line("|---|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for (Case { name, .. }, Figures { result, cpu_seconds }) in cases.iter().zip(figures) {
        let number = |value: &Value| value.as_f64().unwrap_or_default();
        let rate = number(&result["requests_per_second"]);
        let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"].map(|key| number(&result["latency_ms"][key]));
        let (failed, [origin, postgres]) = (&result["error_count"], cpu_seconds);
        screen::line(&format!(
            "| `{name}` | {rate:.0} | {p50:.1} | {p95:.1} | {p99:.1} | {max:.0} | {failed} | {origin:.1} | {postgres:.1} |"
        ));
        all.push(json!({
            "target": name, "result": result, "cpu_seconds": { "origin": origin, "postgres": postgres },
        }));
    }
    let [fresh, loaded] = [fresh, loaded].map(|usage| usage.memory_kib);
    screen::line(&format!("memory of the origin: {} MiB fresh, {} MiB after all of it", fresh / 1024, loaded / 1024));
    if let Some(path) = json {
        let all = json!({ "cases": all, "memory_kib": { "fresh": fresh, "loaded": loaded } });
        fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
