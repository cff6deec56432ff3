//! `cargo xtask up`: from a fresh checkout to permits served through the edge.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use seawall_xtask::interrupt::{self, Interrupted};
use seawall_xtask::postgres::{self, Cluster};
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::redis::Redis;
use seawall_xtask::stack::{self, Listening, Origin, SpinEdge};
use seawall_xtask::step::{Steps, seconds};
use seawall_xtask::{build, ports, scratch, screen, tools};

mod operator;

use self::operator::{ADMIN_EMAIL, INVITE_CODE, Operator};

const DATABASE: &str = "seawall";
/// The lock that keeps a second `up`, and `clean`, away from the first one's database.
pub(crate) const LOCK: &str = "up";
/// Records which city was loaded.
const DATA_STAMP: &str = "data";

const SEED_DEFAULT: u64 = 1;
const PERMITS_DEFAULT: u32 = 20_000;

/// How often the running services are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const BOLD: u8 = 1;
const CYAN: u8 = 36;
const MAGENTA: u8 = 35;
const GREY: u8 = 90;

/// Start everything on this machine: database, sample data, origin, edge.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What the edge runs on.
    #[arg(long, value_enum, default_value_t = Edge::Workers)]
    edge: Edge,
    /// Port of the edge: the address to open.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Port of the origin behind it [default: a free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    origin_port: u16,
    /// Permits of the generated city [default: 20000]. Used when the database is empty.
    #[arg(long)]
    permits: Option<u32>,
    /// Seed of the generated city [default: 1]. Used when the database is empty.
    #[arg(long)]
    seed: Option<u64>,
}

/// What an edge runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edge {
    /// Cloudflare's runtime, under `wrangler dev`.
    Workers,
    /// `spin up` where Spin 4.1 or newer is installed, else a host of our own.
    Spin,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let Some(_lock) = project.try_lock(LOCK)? else {
        bail!("`cargo xtask up` already runs in this checkout; stop it there with Ctrl-C");
    };
    ports::require_free(arguments.port, "--port")?;
    if arguments.origin_port != 0 {
        ports::require_free(arguments.origin_port, "--origin-port")?;
    }
    require_same_data(project, arguments)?;
    tools::require_prerequisites(project)?;

    let steps = Steps::new();
    let (mut cluster, origin) = prepare(project, arguments, &steps)?;
    let prefix = |name: &str, colour: u8| Logs::Print(screen::paint(colour, &format!("{name:<6} | ")));
    let operator = Operator::of(&project.state_dir("")?)?;
    let mut origin = steps.run("start the origin", |step| {
        let origin = start_origin(&origin, arguments, &operator, prefix("origin", CYAN))?;
        step.note(&origin.url());
        Ok(origin)
    })?;
    let logs = prefix("edge", MAGENTA);
    let (mut edge, redis) = match arguments.edge {
        Edge::Workers => (start_on_workers(project, arguments.port, &origin, &operator, logs, &steps)?, None),
        Edge::Spin => {
            let (edge, redis) = start_on_spin(project, arguments.port, &origin, &operator, logs, &steps)?;
            (edge, Some(redis))
        }
    };
    greet(&edge, &origin, started);
    let result = watch(&mut [&mut edge.service, &mut origin.service, cluster.server()]);

    // From the outside in, so that nothing complains about a missing neighbour.
    screen::line("");
    edge.service.stop();
    drop(redis);
    origin.service.stop();
    drop(cluster);
    if result.is_ok() {
        screen::line("Stopped. The data is kept; `cargo xtask up` starts again within seconds.");
    }
    result
}

/// What the surroundings say about a variable counts more than what is set here.
fn start_origin(origin: &Origin, arguments: &Arguments, operator: &Operator, logs: Logs) -> Result<Listening> {
    // Links in mail lead to the edge, as a visitor would.
    let base_url = format!("http://127.0.0.1:{}", arguments.port);
    let variables = [
        ("TRUSTED_PROXY_HOPS", "1"),
        ("BASE_URL", &*base_url),
        ("PURGE_URL", &base_url),
        ("PURGE_SECRET", &operator.secret),
        ("ADMIN_EMAIL", ADMIN_EMAIL),
        ("INVITE_CODES", INVITE_CODE),
    ];
    let unsaid: Vec<_> = variables.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    origin.serve(arguments.origin_port, &unsaid, logs)
}

fn start_on_workers(
    project: &Project,
    port: u16,
    origin: &Listening,
    operator: &Operator,
    logs: Logs,
    steps: &Steps,
) -> Result<Listening> {
    steps.run("start the edge under wrangler dev", |step| {
        let state = project.state("wrangler/state");
        let edge = stack::edge(project, port, &origin.url(), &state, Some(&operator.file), logs)?;
        step.note(&edge.url());
        Ok(edge)
    })
}

/// The Redis is for the limits that all instances share.
fn start_on_spin(
    project: &Project,
    port: u16,
    origin: &Listening,
    operator: &Operator,
    logs: Logs,
    steps: &Steps,
) -> Result<(Listening, Redis)> {
    let component = build::spin_component(project, steps)?;
    let has_spin = match tools::spin_version() {
        Some(version) if version < tools::SPIN_MIN => {
            let ((major, minor), (least, of_least)) = (version, tools::SPIN_MIN);
            screen::line(&format!(
                "              Spin {major}.{minor} is too old for the edge, {least}.{of_least} is not"
            ));
            false
        }
        version => version.is_some(),
    };
    let host = if has_spin { None } else { Some(build::spin_host(project, steps)?) };
    let name = if has_spin { "start the edge under spin up" } else { "start the edge under our own host for Spin" };
    steps.run(name, |step| {
        let redis = Redis::start()?;
        let state = project.state_dir("spin")?;
        let (origin_url, redis_url) = (origin.url(), redis.url());
        let edge =
            SpinEdge { component: &component.file, origin_url: &origin_url, redis_url: &redis_url, state: &state };
        let secret = format!("control_secret={}", operator.secret);
        let further = ["--variable", &*secret];
        let edge = match &host {
            Some(host) => edge.serve_on_host(host, port, &further, logs)?,
            None => edge.serve_on_spin(project, port, &further, logs)?,
        };
        step.note(&edge.url());
        Ok((edge, redis))
    })
}

/// A database that holds another city than the one asked for is neither changed nor ignored.
fn require_same_data(project: &Project, arguments: &Arguments) -> Result<()> {
    let Some(stored) = stored_data(project) else { return Ok(()) };
    let asked = describe(arguments);
    if (arguments.seed.is_some() || arguments.permits.is_some()) && stored != asked {
        bail!("the database holds a city made with {stored}, not {asked}; `cargo xtask clean --data` removes it");
    }
    Ok(())
}

fn describe(arguments: &Arguments) -> String {
    let Arguments { seed, permits, .. } = arguments;
    format!("--seed {} --permits {}", seed.unwrap_or(SEED_DEFAULT), permits.unwrap_or(PERMITS_DEFAULT))
}

/// Which city the database holds, if it holds one.
fn stored_data(project: &Project) -> Option<String> {
    project.stamp_text(DATA_STAMP).filter(|_| postgres::data_folder(project).join("data/PG_VERSION").is_file())
}

/// Everything before the first server: tools, builds and data. What does not depend on each other runs side by side.
fn prepare(project: &Project, arguments: &Arguments, steps: &Steps) -> Result<(Cluster, Origin)> {
    thread::scope(|scope| {
        // The tools take longest to build, so they start first, and alone they would not fill the machine.
        let crates = scope.spawn(|| or_stop_all(|| install_crates(project, arguments.edge, steps)));
        let data = scope.spawn(|| or_stop_all(|| prepare_data(project, arguments, steps)));
        let crates = crates.join().map_err(|_| anyhow::anyhow!("the thread that builds tools panicked"))?;
        let data = data.join().map_err(|_| anyhow::anyhow!("the thread that prepares the data panicked"))?;
        let prepared = first_cause(crates, data)?;
        if arguments.edge == Edge::Workers {
            let worker = build::worker(project, steps)?;
            screen::line(&format!("              {}", screen::paint(GREY, &worker.sizes())));
        }
        Ok(prepared)
    })
}

fn install_crates(project: &Project, edge: Edge, steps: &Steps) -> Result<()> {
    tools::ensure_targets(project, steps)?;
    if edge == Edge::Spin {
        return Ok(());
    }
    tools::CrateTool::WASM_BINDGEN.ensure(project, steps)?;
    Ok(())
}

fn prepare_data(project: &Project, arguments: &Arguments, steps: &Steps) -> Result<(Cluster, Origin)> {
    // npm waits for the network and cargo for the processor.
    let (packages, program) = thread::scope(|scope| {
        let packages = scope.spawn(|| or_stop_all(|| tools::ensure_packages(project, steps)));
        let program = or_stop_all(|| build::origin(project, build::Profile::Dev, steps));
        (packages.join(), program)
    });
    let packages = packages.map_err(|_| anyhow::anyhow!("the thread that installs packages panicked"))?;
    let program = first_cause(packages, program)?;

    let stored = stored_data(project);
    let (cluster, database_url) = steps.run("start Postgres", |step| {
        let cluster = Cluster::open(project, Logs::Keep)?;
        let url = cluster.create_database(DATABASE)?;
        // For `origin explain`, where the server has it.
        let _ = cluster.execute(DATABASE, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
        step.note(&url);
        Ok((cluster, url))
    })?;
    let origin = Origin { program, database_url };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    if stored.is_none() {
        let files = scratch::dir("sample")?;
        let seed = arguments.seed.unwrap_or(SEED_DEFAULT);
        let permits = arguments.permits.unwrap_or(PERMITS_DEFAULT);
        stack::load_sample(&origin, seed, permits, files.path(), steps)?;
        project.stamp(DATA_STAMP, &describe(arguments))?;
    }
    Ok((cluster, origin))
}

/// A failure ends the work that runs beside it, so that its message comes at once.
fn or_stop_all<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    work().inspect_err(|_| interrupt::request())
}

/// Both results, or the failure that was there first: the other side was only stopped by it.
fn first_cause<T>(one: Result<()>, other: Result<T>) -> Result<T> {
    match (one, other) {
        (Ok(()), other) => other,
        (Err(error), Err(other)) if error.is::<Interrupted>() => Err(other),
        (Err(error), _) => Err(error),
    }
}

fn greet(edge: &Listening, origin: &Listening, started: Instant) {
    let (url, took) = (edge.url(), seconds(started.elapsed()));
    let say = |text: &str| screen::line(text);
    say("");
    say(&screen::paint(BOLD, &format!("Seawall is up at {url} after {took}. Ctrl-C stops it.")));
    say("");
    say("Three things to try:");
    say(&format!("  a search        {url}/search?q=mission"));
    say(&format!("  a report        {url}/report/3507/004"));
    say(&format!("  a cache hit     curl -so /dev/null -D - {url}/report/3507/004 | grep -i cache-status    (twice)"));
    say("and then one too many:");
    say(&format!(
        "  a 429           for n in $(seq 20); do curl -so /dev/null -w '%{{http_code}} ' '{url}/search?q='$n; done"
    ));
    say("");
    say("As someone with an account, and as the operator:");
    say(&format!("  sign in         {url}/demo, with any address; the mail with the link is printed here"));
    say(&format!("  {url}/admin/perf is for {ADMIN_EMAIL}"));
    say(&format!(
        "  a purge         . .seawall/operator.env; curl -X POST {url}/__seawall/purge \\\n{:18}\
         -H \"Authorization: Bearer $CONTROL_SECRET\" -d '{{\"all\": true}}'",
        ""
    ));
    say("");
    say(&screen::paint(GREY, &format!("The origin without the edge: {}", origin.url())));
    say("");
}

/// Waits for a signal, or for the end of a service that should not end.
fn watch(services: &mut [&mut Service]) -> Result<()> {
    loop {
        if interrupt::requested() {
            return Ok(());
        }
        for service in services.iter_mut() {
            if let Some(status) = service.ended().context("cannot watch a service")? {
                bail!("{} ended ({status}). It said:\n{}", service.name(), service.last_lines());
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_failure_that_stopped_the_other_side_is_the_one_reported() {
        let broken = || Err(anyhow!("no disk"));
        let stopped = || Err(Interrupted.into());
        let said = |result: Result<()>| result.err().map(|error| error.to_string());
        for (one, other, expect) in [
            (Ok(()), Ok(()), None),
            (broken(), stopped(), Some("no disk")),
            (stopped(), broken(), Some("no disk")),
            (Ok(()), broken(), Some("no disk")),
            (stopped(), Ok(()), Some("interrupted")),
        ] {
            assert_eq!(said(first_cause(one, other)).as_deref(), expect);
        }
    }
}
