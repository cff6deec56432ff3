//! `cargo xtask load`: a crowd of users against a site that runs already, or against one that is started for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::{self, Logs};
use seawall_xtask::project::Project;
use seawall_xtask::stack::{self, Listening, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::usage::{self, Usage};
use seawall_xtask::workerd::{self, Front, Script};
use seawall_xtask::{build, scratch, screen, tools};
use serde_json::json;

/// Send a crowd to the site, and say what it saw and what it cost.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Start this for the run, with a Postgres and a generated city of its own, and say what each process used; without
    /// it, `--url` names a site that runs.
    #[arg(long, value_enum)]
    against: Option<Against>,
    /// Permits of the generated city.
    #[arg(long, default_value_t = 20_000, requires = "against")]
    permits: u32,
    /// A variable of the origin that is started, such as DB_POOL_MAX=20; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", requires = "against", value_parser = variable)]
    origin_env: Vec<(String, String)>,
    /// Write what each process used to this file too, as JSON.
    #[arg(long, value_name = "FILE", requires = "against")]
    usage: Option<PathBuf>,
    /// Say afterwards which statements cost the database most, as `origin explain` does.
    #[arg(long, requires = "against")]
    explain: bool,
    /// Arguments of the crowd; `-- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<String>,
}

/// What is started for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    /// The origin alone.
    Origin,
    /// The edge in workerd before the origin.
    Edge,
}

const SEED: u64 = 1;

/// Client addresses of the crowd where no others are asked for: each user counts by itself, as visitors do.
const ADDRESSES: &str = "5000";

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    let program = build(project, &steps)?;
    let Some(against) = arguments.against else {
        return crowd(&program, &arguments.rest, &[], None);
    };
    ensure!(
        !arguments.rest.iter().any(|argument| argument == "--url" || argument.starts_with("--url=")),
        "--url names a site that runs, and --against starts one: give one of them"
    );
    if against == Against::Edge {
        tools::ensure_all(project, &steps)?;
    } else {
        tools::ensure_packages(project, &steps)?;
    }
    let origin = build::origin(project, build::Profile::Release, &steps)?;
    let mut cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program: origin, database_url: cluster.create_database("load")? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let files = scratch::dir("load")?;
    stack::load_sample(&origin, SEED, arguments.permits, files.path(), &steps)?;
    cluster.execute("load", "ANALYZE")?;
    if arguments.explain {
        // What the city's load cost is not the question.
        cluster.execute("load", "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")?;
    }
    let explain = origin.command(&["explain"]);
    let mut environment = vec![("TRUSTED_PROXY_HOPS", if against == Against::Edge { "1" } else { "0" })];
    environment.extend(arguments.origin_env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let origin = steps.run("start the origin", |_| origin.serve(0, &environment, Logs::Keep))?;
    let edge = match against {
        Against::Origin => None,
        Against::Edge => Some(edge(project, &origin, &steps)?),
    };
    let mut parts = vec![("origin", origin.service.id()), ("Postgres", cluster.server().id())];
    parts.extend(edge.iter().map(|edge| ("workerd", edge.service.id())));
    let url = edge.as_ref().unwrap_or(&origin).url();
    let mut crowd_arguments = vec!["--url".to_owned(), url];
    if !arguments.rest.iter().any(|argument| argument.starts_with("--addresses")) {
        crowd_arguments.extend(["--addresses".to_owned(), ADDRESSES.to_owned()]);
    }
    if edge.is_some() {
        // workerd stands where Cloudflare's front does: what names the client there is believed.
        crowd_arguments.extend(["--address-field".to_owned(), "cf-connecting-ip".to_owned()]);
    }
    crowd_arguments.extend(arguments.rest.iter().cloned());
    let result = crowd(&program, &crowd_arguments, &parts, arguments.usage.as_deref());
    if arguments.explain {
        process::run_aloud("origin explain", explain)?;
    }
    result
}

/// As fast as it gets: it must not be what is measured.
pub(super) fn build(project: &Project, steps: &Steps) -> Result<PathBuf> {
    steps.run("build the crowd", |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--release", "--package", "seawall-loadtest"]);
        process::run("cargo build", cargo, step)
    })?;
    Ok(project.target().join("release/seawall-loadtest"))
}

fn edge(project: &Project, origin: &Listening, steps: &Steps) -> Result<Listening> {
    let worker = build::worker(project, steps)?;
    steps.run("start the edge in workerd", |_| {
        workerd::serve(project, &Script::edge(&worker), &origin.url(), 0, Front::None, Logs::Keep)
    })
}

/// Runs the crowd, says what each of `parts` used meanwhile, and writes it to a file if one is named.
fn crowd(program: &Path, arguments: &[String], parts: &[(&str, u32)], file: Option<&Path>) -> Result<()> {
    let read = || parts.iter().map(|(_, id)| usage::of_tree(*id)).collect::<Result<Vec<Usage>>>();
    let before = read()?;
    let started = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments);
    let (done, stop) = mpsc::channel::<()>();
    let (result, peaks) = thread::scope(|scope| {
        let peaks = scope.spawn(move || peaks(parts, &stop));
        let result = process::run_aloud("seawall-loadtest", command);
        drop(done);
        (result, peaks.join())
    });
    let peaks = peaks.map_err(|_| anyhow!("the thread that reads memory panicked"))?;
    let took = started.elapsed();
    if !parts.is_empty() {
        screen::line("process     CPU s   cores  memory MiB at the start, at most");
    }
    let mut written = Vec::new();
    for (((name, _), before), (after, peak)) in parts.iter().zip(&before).zip(read()?.iter().zip(&peaks)) {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let cores = cpu / took.as_secs_f64();
        screen::line(&format!(
            "{name:<10} {cpu:>6.1}  {cores:>6.2}  {:>6} {:>6}",
            before.memory_kib / 1024,
            peak / 1024
        ));
        written.push(json!({
            "process": name, "cpu_seconds": cpu, "cores": cores, "processes": after.processes,
            "memory_kib_at_the_start": before.memory_kib, "memory_kib_at_most": peak,
        }));
    }
    if let Some(file) = file {
        let all = json!({ "seconds": took.as_secs_f64(), "processes": written });
        fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    result.context("the crowd met more errors than are allowed, or was not answered")
}

/// Looks at the memory of each part until `stop` has no sender, and keeps the most.
fn peaks(parts: &[(&str, u32)], stop: &mpsc::Receiver<()>) -> Vec<u64> {
    let mut peaks = vec![0; parts.len()];
    loop {
        for (peak, (_, id)) in peaks.iter_mut().zip(parts) {
            *peak = usage::of_tree(*id).map_or(*peak, |usage| usage.memory_kib.max(*peak));
        }
        if stop.recv_timeout(LOOK_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
            return peaks;
        }
    }
}

/// How often memory is looked at; reading it takes the kernel a millisecond or so for each process.
const LOOK_EVERY: Duration = Duration::from_secs(1);
