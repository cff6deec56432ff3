//! `cargo xtask bench data`: a generated city of a million permits, loaded and then asked for everything that a visitor can
//! ask, one request at a time.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seawall_xtask::http::Connection;
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::stack::Origin;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::{build, interrupt, screen, tools, usage};
use serde_json::{Value, json};

const DATABASE: &str = "bench_data";
const REAL: &str = "bench_real";

/// How the origin runs: nobody is refused, and nothing that was asked for twice comes from memory.
const COMPUTING: &[(&str, &str)] = &[("RATE_LIMITS", "off"), ("PAGE_MEMORY_MIB", "0")];

/// Times that a single address is asked for; of other kinds each request has its own.
const REPEATS: usize = 100;

/// How often the memory of a load is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Datasets of which real rows exist beside a checkout.
const REAL_DATASETS: [&str; 5] = ["permits", "contacts", "addenda", "complaints", "violations"];

/// Tables whose rows grow with the city.
const LARGE: &str =
    "'permits', 'contacts', 'inspections', 'addenda', 'complaints', 'violations', 'tax_rolls', 'businesses',
    'entities', 'entity_permits', 'search_terms', 'sitemap_parcels'";

/// What a kind of request is called, and a statement that gives what it asks for: the address up to a text, and the text.
const KINDS: [(&str, &str); 17] = [
    (
        "search by permit number",
        "SELECT '/api/v1/search?q=', permit_number FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (1)",
    ),
    (
        "search by block and lot",
        "SELECT '/api/v1/search?q=', block || '/' || lot FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (2)
          WHERE block || lot IS NOT NULL",
    ),
    (
        "search by address",
        "SELECT '/api/v1/search?q=', concat_ws(' ', street_number, street_name, street_suffix)
           FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (3) WHERE street_number || street_name IS NOT NULL",
    ),
    (
        "search by street",
        "SELECT '/api/v1/search?q=', term FROM search_terms WHERE kind = 'street' ORDER BY weight DESC",
    ),
    (
        "a later page of it",
        "SELECT '/api/v1/search?after=2004-05-06T00:00:00_2004&q=', term FROM search_terms WHERE kind = 'street'
          ORDER BY weight DESC",
    ),
    (
        "narrowed to a rare status",
        "SELECT '/api/v1/search?status=revoked&q=', term FROM search_terms WHERE kind = 'street' ORDER BY weight DESC",
    ),
    (
        "search by neighborhood",
        "SELECT '/api/v1/search?q=', term FROM search_terms WHERE kind = 'neighborhood' ORDER BY weight DESC",
    ),
    (
        "narrowed to a rare type and a year",
        "SELECT '/api/v1/search?type=demolitions&year=2012&q=', term FROM search_terms WHERE kind = 'neighborhood'
          ORDER BY weight DESC",
    ),
    (
        "search by name",
        "SELECT '/api/v1/search?q=', canonical_name FROM entities TABLESAMPLE SYSTEM (5) REPEATABLE (4)",
    ),
    (
        "search by words",
        "SELECT '/api/v1/search?q=', array_to_string((string_to_array(description, ' '))[1:2], ' ')
           FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (5) WHERE description LIKE '% % %'",
    ),
    (
        "misspelt, similar terms",
        "SELECT '/api/v1/search?q=', left(term, 3) || 'x' || substr(term, 5) FROM search_terms
          WHERE kind = 'street' AND length(term) > 8 ORDER BY term",
    ),
    (
        "suggestions",
        "SELECT '/api/v1/suggest?q=', left(canonical_name, 2 + length(canonical_name) % 4)
           FROM entities TABLESAMPLE SYSTEM (5) REPEATABLE (6)",
    ),
    (
        "report",
        "SELECT '/api/v1/report/', block || '/' || lot FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (7)
          WHERE block ~ '^[0-9]{4}$' AND lot ~ '^[0-9]{3}$'",
    ),
    ("report of 44 permits", "SELECT '/api/v1/report/', '3507/004'"),
    ("permit", "SELECT '/api/v1/permit/', permit_number FROM permits TABLESAMPLE SYSTEM (2) REPEATABLE (8)"),
    ("person or firm", "SELECT '/api/v1/firm/', entity_id FROM entities TABLESAMPLE SYSTEM (5) REPEATABLE (9)"),
    (
        "sitemap, one list of it",
        "SELECT '/sitemaps/reports-', list || '.xml' FROM sitemap_parcels ORDER BY list LIMIT 1",
    ),
];

/// One kind of request and how long each took.
struct Case {
    name: String,
    /// Sorted.
    times: Vec<Duration>,
    failed: usize,
}

/// How long a load took, and the most memory that its process had.
struct Loaded {
    took: Duration,
    memory_kib: u64,
}

pub(super) fn run(project: &Project, permits: u32, requests: u32, json: Option<&Path>) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_packages(project, &steps)?;
    let program = build::origin(project, build::Profile::Release, &steps)?;
    let cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program: program.clone(), database_url: cluster.create_database(DATABASE)? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let name = format!("generate {permits} permits and all that goes with them, and load them");
    let loaded = steps.run(&name, |step| load(&origin, permits, step))?;
    steps.run("tidy up, as autovacuum does in time", |_| {
        cluster.execute_within(DATABASE, "VACUUM (ANALYZE)", VACUUM_MAX)
    })?;
    let rows = cluster
        .rows(DATABASE, &format!("SELECT sum(n_live_tup)::text FROM pg_stat_user_tables WHERE relname IN ({LARGE})"))?;
    let mut cases = Vec::new();
    let whole = {
        let before = whole_reads(&cluster)?;
        let targets = targets(&cluster, requests as usize)?;
        let asked = whole_reads(&cluster)?;
        let site = steps.run("start the origin", |_| origin.serve(0, COMPUTING, Logs::Keep))?;
        for (name, targets) in targets {
            let case = steps.run(&name, |_| measure(site.port, name.clone(), &targets))?;
            cases.push(case);
        }
        // What its sessions counted is written when they end.
        drop(site);
        thread::sleep(LOOK_EVERY * 4);
        let after = whole_reads(&cluster)?;
        ensure!(asked.len() == after.len() && before.len() == after.len(), "the tables have changed");
        let read = |(before, after): (&(String, i64), &(String, i64))| (after.1 > before.1).then(|| after.0.clone());
        asked.iter().zip(&after).filter_map(read).collect::<Vec<_>>()
    };
    if let Some(folder) = real_data(project) {
        cases.extend(
            steps.run("the largest parcel of the city's own rows", |step| real(&cluster, &program, &folder, step))?,
        );
    }
    report(&loaded, &rows, &cases, &whole, json)
}

/// Longest time for that: it reads all tables and their indexes.
const VACUUM_MAX: Duration = Duration::from_secs(1_800);

fn load(origin: &Origin, permits: u32, step: &Step) -> Result<Loaded> {
    let mut command = origin.command(&["load"]);
    command.args(["--generated", &permits.to_string()]);
    let started = Instant::now();
    let mut service = Service::start("origin load", command, Logs::Keep)?;
    let mut memory_kib = 0;
    let status = loop {
        interrupt::check()?;
        if let Some(status) = service.ended()? {
            break status;
        }
        if let Ok(usage) = usage::of_tree(service.id()) {
            memory_kib = memory_kib.max(usage.memory_kib);
        }
        step.detail(service.last_lines().lines().last().unwrap_or_default());
        thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        bail!("the load failed ({status}):\n{}", service.last_lines());
    }
    Ok(Loaded { took: started.elapsed(), memory_kib })
}

/// What is asked for, kind by kind.
fn targets(cluster: &Cluster, requests: usize) -> Result<Vec<(String, Vec<String>)>> {
    KINDS
        .iter()
        .map(|(name, sql)| {
            let limited = format!("SELECT * FROM ({sql}) AS asked (address, text) LIMIT {requests}");
            let rows = cluster.rows(DATABASE, &limited)?;
            let mut targets: Vec<_> = rows
                .iter()
                .filter_map(|row| match &row[..] {
                    [Some(address), Some(text)] => Some(format!("{address}{}", encode(text))),
                    _ => None,
                })
                .collect();
            ensure!(!targets.is_empty(), "the city has nothing for: {name}");
            if targets.len() == 1 {
                targets = vec![targets.swap_remove(0); REPEATS.min(requests)];
            }
            Ok(((*name).to_owned(), targets))
        })
        .collect()
}

/// A text as part of an address; slashes stay.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn measure(port: u16, name: String, targets: &[String]) -> Result<Case> {
    let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST)?;
    let mut case = Case { name, times: Vec::new(), failed: 0 };
    // The first one finds cold caches and is not counted.
    for (number, target) in targets.iter().take(1).chain(targets).enumerate() {
        interrupt::check()?;
        let asked = Instant::now();
        let response = connection.get(target)?;
        if number > 0 {
            case.times.push(asked.elapsed());
            case.failed += usize::from(response.status != 200);
        }
    }
    case.times.sort_unstable();
    Ok(case)
}

/// How often each large table was read whole.
fn whole_reads(cluster: &Cluster) -> Result<Vec<(String, i64)>> {
    let sql = format!(
        "SELECT relname::text, seq_scan::text FROM pg_stat_user_tables WHERE relname IN ({LARGE}) ORDER BY relname"
    );
    let number = |row: &Vec<Option<String>>| {
        let [Some(table), Some(reads)] = &row[..] else { bail!("no counts of the server") };
        Ok((table.clone(), reads.parse()?))
    };
    cluster.rows(DATABASE, &sql)?.iter().map(number).collect()
}

/// Real rows of the city's, where a checkout has them beside it. They are no part of the project.
fn real_data(project: &Project) -> Option<PathBuf> {
    let folder = project.path("../shared/data");
    folder.join("permits-slice.jsonl.gz").is_file().then_some(folder)
}

/// Reports of the real parcel with most rows, and of the one with most permits.
fn real(cluster: &Cluster, program: &Path, folder: &Path, step: &Step) -> Result<Vec<Case>> {
    let origin = Origin { program: program.to_owned(), database_url: cluster.create_database(REAL)? };
    origin.migrate(step)?;
    let stand_in = origin.stand_in(folder, Logs::Keep)?;
    let mut command = origin.command(&["ingest"]);
    command.args(REAL_DATASETS.iter().flat_map(|name| ["--dataset", name]));
    command.env("SODA_BASE_URL", format!("http://127.0.0.1:{}", stand_in.port));
    seawall_xtask::process::run("origin ingest", command, step)?;
    let site = origin.serve(0, COMPUTING, Logs::Keep)?;
    let parcels = "SELECT block || '/' || lot, count(*)::text, count(DISTINCT permit_number)::text FROM permits
        WHERE block || lot IS NOT NULL GROUP BY 1";
    let mut cases = Vec::new();
    for most in ["count(*)", "count(DISTINCT permit_number)"] {
        let rows = cluster.rows(REAL, &format!("{parcels} ORDER BY {most} DESC, 1 LIMIT 1"))?;
        let Some([Some(parcel), Some(records), Some(permits)]) = rows.first().map(|row| &row[..]) else {
            bail!("the real rows name no parcel");
        };
        let name = format!("real parcel {parcel}, {records} records of {permits} permits");
        cases.push(measure(site.port, name, &vec![format!("/api/v1/report/{parcel}"); REPEATS])?);
    }
    Ok(cases)
}

impl Case {
    fn percentile(&self, percent: usize) -> f64 {
        // Nearest rank; no case is empty.
        self.times[(self.times.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3
    }
}

fn report(
    loaded: &Loaded,
    rows: &[Vec<Option<String>>],
    cases: &[Case],
    whole: &[String],
    json: Option<&Path>,
) -> Result<()> {
    let rows = rows.first().and_then(|row| row.first()).cloned().flatten().unwrap_or_default();
    screen::line("");
    screen::line(&format!(
        "{rows} rows generated, loaded and resolved in {:.0} s; the process had {} MiB at most",
        loaded.took.as_secs_f64(),
        loaded.memory_kib / 1024
    ));
    screen::line(&format!(
        "{:<52} {:>8} {:>9} {:>9} {:>7}",
        "one request at a time", "requests", "p50 ms", "p99 ms", "failed"
    ));
    let mut figures = Vec::new();
    for case in cases {
        let [p50, p99] = [50, 99].map(|percent| case.percentile(percent));
        let (name, requests, failed) = (&case.name, case.times.len(), case.failed);
        screen::line(&format!("{name:<52} {requests:>8} {p50:>9.2} {p99:>9.2} {failed:>7}"));
        figures.push(json!({ "case": name, "requests": requests, "failed": failed, "p50_ms": p50, "p99_ms": p99 }));
    }
    let read = if whole.is_empty() { "none".to_owned() } else { whole.join(", ") };
    screen::line(&format!("large tables that a request read whole: {read}"));
    if let Some(path) = json {
        let load = json!({ "rows": rows, "seconds": loaded.took.as_secs_f64(), "memory_kib": loaded.memory_kib });
        let all: Value = json!({ "load": load, "cases": figures, "read_whole": whole });
        std::fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
