//! The command line of the permits service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use jiff::civil::Date;

use seawall_origin::config::Config;
use seawall_origin::soda::client::Client;
use seawall_origin::soda::datasets::{DATASETS, Dataset};
use seawall_origin::soda::{generated, ingest, stand_in};
use seawall_origin::telemetry::Telemetry;
use seawall_origin::{cron, db, explain, logging, policy, purge, sample, server};

/// San Francisco permits: search and property reports from the city's open data.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the site. Configured by environment variables, see docs/configuration.md
    Serve,
    /// Ask the server that runs on this machine whether it is ready; exits 1 when it is not
    Check,
    /// Bring the database's schema up to date
    Migrate,
    /// Say which statements cost the database most, how it carries them out, and what may help
    Explain {
        /// Print JSON with whole statements and plans
        #[arg(long)]
        json: bool,
    },
    /// Load the city's data: whole datasets, replacing what changed
    Ingest {
        /// Load only this dataset, by name or identifier; may be repeated
        #[arg(long = "dataset", value_name = "NAME", value_parser = dataset)]
        datasets: Vec<&'static Dataset>,
        /// Load even what deletes more than a tenth of our rows, or empties a column that is in use
        #[arg(long)]
        allow_shrink: bool,
        /// Load only what has changed since the last load
        #[arg(long, conflicts_with = "allow_shrink")]
        changes: bool,
    },
    /// Generate a city and load it at once, in place of whatever the tables hold
    Load {
        /// Permit rows; everything else follows in proportion
        #[arg(long, value_name = "PERMITS")]
        generated: u32,
        /// Where every choice comes from
        #[arg(long, default_value_t = sample::Options::default().seed)]
        seed: u64,
    },
    /// Generate a city as JSON-lines files
    Sample {
        #[command(flatten)]
        city: City,
        /// Folder to write into; created when missing
        #[arg(long)]
        out: PathBuf,
    },
    /// Serve files or a generated city as the city's API would
    StandIn {
        /// Port to listen on; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// A JSON-lines file or a folder of them; may be repeated
        #[arg(long, value_name = "PATH")]
        data: Vec<PathBuf>,
        /// Generate the datasets that no file serves, from this seed
        #[arg(long, value_name = "SEED")]
        generate: Option<u64>,
        /// Permit rows to generate
        #[arg(long, default_value_t = sample::Options::default().permits)]
        permits: u32,
        /// The day on which the generated city is looked at
        #[arg(long, default_value_t = sample::Options::default().today)]
        today: Date,
        /// Refuse requests that do not carry this token
        #[arg(long, value_name = "TOKEN")]
        app_token: Option<String>,
    },
}

#[derive(clap::Args)]
struct City {
    /// Where every choice comes from; the same seed gives the same bytes
    #[arg(long, default_value_t = sample::Options::default().seed)]
    seed: u64,
    /// Permit rows; everything else follows in proportion
    #[arg(long, default_value_t = sample::Options::default().permits)]
    permits: u32,
    /// The day on which the city is looked at; nothing is dated after it
    #[arg(long, default_value_t = sample::Options::default().today)]
    today: Date,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("origin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => {
            let config = Config::from_env()?;
            let telemetry = Telemetry::start(&config.telemetry, config.limits.edge_secret.clone())?;
            logging::start(&config, telemetry.as_ref())?;
            let served = server::serve(config).await;
            if let Some(telemetry) = telemetry {
                telemetry.end().await;
            }
            served?;
        }
        Command::Check => server::check(Config::from_env()?.listen).await?,
        Command::Migrate => migrate(&configured()?).await?,
        Command::Explain { json } => {
            let explained = explain::run(&configured()?.database).await?;
            if json {
                println!("{:#}", explained.json());
            } else {
                print!("{}", explained.text());
            }
        }
        Command::Ingest { datasets, allow_shrink, changes } => {
            let shrink = if allow_shrink { ingest::Shrink::Allow } else { ingest::Shrink::Refuse };
            let extent = if changes { ingest::Extent::Changes } else { ingest::Extent::Whole };
            return load(&configured()?, &datasets, shrink, extent).await;
        }
        Command::Load { generated, seed } => {
            let options = sample::Options { seed, permits: generated, ..sample::Options::default() };
            let config = configured()?;
            migrated(&config).await?;
            let code = summarise(&generated::load(&config, options).await?);
            cron::resolve_entities(&config).await?;
            cron::refresh_likenesses(&config).await?;
            return Ok(code);
        }
        Command::Sample { city, out } => {
            let options = sample::Options { seed: city.seed, permits: city.permits, today: city.today };
            for (name, rows) in sample::write(&options, &out)? {
                println!("{name:<12} {rows:>9} rows  {}", out.join(format!("{name}.jsonl")).display());
            }
        }
        Command::StandIn { port, data, generate, permits, today, app_token } => {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let generate = generate.map(|seed| sample::Options { seed, permits, today });
            let server = stand_in::Server::start(stand_in::Options { address, data, generate, app_token }).await?;
            for (what, rows) in server.served() {
                println!("{rows:>9} rows of {what}");
            }
            println!("stand-in listening on {}", server.url());
            server.wait().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn configured() -> anyhow::Result<Config> {
    let config = Config::from_env()?;
    logging::start(&config, None)?;
    Ok(config)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let mut session = db::session(&config.database, "seawall-migrate").await?;
    let mut applied = 0;
    db::migrations::migrate(&mut session, |migration, took| {
        applied += 1;
        println!("applied {} in {} ms", migration.name, took.as_millis());
    })
    .await?;
    if applied == 0 {
        println!("nothing to apply: all {} migrations are in place", db::migrations::EXPECTED);
    }
    let broken = db::indexes::broken(&session).await.context("the indexes cannot be checked")?;
    let mend: Vec<_> = broken.iter().map(|broken| format!("\n  {};", broken.mend)).collect();
    anyhow::ensure!(
        broken.is_empty(),
        "all migrations are in place, and a broken-off CREATE INDEX CONCURRENTLY or REINDEX left indexes that no query uses; \
         run this with psql, outside of a transaction, and migrate again:{}",
        mend.concat()
    );
    Ok(())
}

/// Refuses a database that is not up to date.
async fn migrated(config: &Config) -> anyhow::Result<()> {
    let session = db::session(&config.database, "seawall-ingest").await?;
    let pending = db::migrations::pending(&session).await.context("the schema cannot be checked")?;
    anyhow::ensure!(pending.is_empty(), "the schema lacks {}; run `origin migrate` first", pending.join(", "));
    Ok(())
}

async fn load(
    config: &Config,
    chosen: &[&'static Dataset],
    shrink: ingest::Shrink,
    extent: ingest::Extent,
) -> anyhow::Result<ExitCode> {
    migrated(config).await?;
    let client = Client::new(&config.soda, policy::soda_breaker(&policy::load(config)?)?)?;
    let progress = ingest::Progress::new();
    let mut results = Vec::new();
    for dataset in DATASETS.iter().filter(|dataset| chosen.is_empty() || chosen.iter().any(|one| one.id == dataset.id))
    {
        let result = match extent {
            ingest::Extent::Whole => ingest::load(config, &client, dataset, shrink, &progress).await,
            ingest::Extent::Changes => ingest::load_changes(config, &client, dataset, &progress).await,
        };
        progress.end();
        results.push((dataset, result));
    }
    if chosen.is_empty() {
        cron::resolve_entities(config).await?;
        cron::refresh_likenesses(config).await?;
    }
    match purge::drain(config).await {
        Ok(0) => {}
        Ok(tags) => println!("told the edge of {tags} tags"),
        // Pages end by themselves, and the next job tries again.
        Err(error) => eprintln!("origin: {error:#}"),
    }
    Ok(summarise(&results))
}

fn summarise(results: &[(&'static Dataset, Result<ingest::Report, ingest::LoadError>)]) -> ExitCode {
    print!("{}", ingest::summary(results));
    if results.iter().any(|(_, result)| result.is_err()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn dataset(name: &str) -> Result<&'static Dataset, String> {
    let names: Vec<_> = DATASETS.iter().map(|dataset| dataset.name).collect();
    Dataset::find(name).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}
