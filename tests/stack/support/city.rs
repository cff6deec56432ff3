//! The real origin over a real Postgres, with a city's data loaded over HTTP as in production.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use anyhow::{Context, Result, ensure};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::{Logs, Signal};
use seawall_xtask::project::Project;
use seawall_xtask::scratch::{self, Scratch};
use seawall_xtask::stack::{Listening, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::{build, ports, tools};
use tokio_postgres::NoTls;

use super::visitor::Visitor;
use super::{LOOK_EVERY, soon};

/// Tables with the city's data.
const TABLES: [&str; 9] = [
    "addenda",
    "businesses",
    "complaints",
    "contacts",
    "inspections",
    "permits",
    "planning_records",
    "tax_rolls",
    "violations",
];

/// A server that tests which run at the same time share, and a database in it. When the last of them ends, the server
/// does.
pub(crate) struct Database {
    /// The origin's program, set to this database.
    pub(crate) origin: Origin,
    cluster: Arc<Cluster>,
}

/// A database with a generated city in it. Tests share it and change nothing.
pub(crate) struct City {
    database: Database,
    /// Where the city's files are.
    files: Scratch,
}

/// A permit and its parcel.
pub(crate) struct Permit {
    pub(crate) number: String,
    pub(crate) block: String,
    pub(crate) lot: String,
}

/// What one load said it did with a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) read: u64,
    pub(crate) stored: u64,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
    pub(crate) refused: u64,
}

/// How a load ended.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) succeeded: bool,
    /// What it printed.
    pub(crate) text: String,
}

impl Database {
    /// An empty database with the schema in it.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let database = Self::create_empty(name)?;
        Steps::new().run(&format!("migrate {name}"), |step| database.origin.migrate(step))?;
        Ok(database)
    }

    /// A database without anything.
    pub(crate) fn create_empty(name: &str) -> Result<Self> {
        let program = program()?;
        let cluster = cluster()?;
        let database_url = cluster.create_database(name)?;
        Ok(Self { origin: Origin { program, database_url }, cluster })
    }

    /// An empty database with the schema in it, on a server of its own that has pgvector and has not created it.
    pub(crate) fn create_with_vector(name: &str) -> Result<Self> {
        let program = program()?;
        let cluster = Arc::new(Cluster::start_temp_with_vector(&Steps::new())?);
        let origin = Origin { program, database_url: cluster.create_database(name)? };
        Steps::new().run(&format!("migrate {name}"), |step| origin.migrate(step))?;
        Ok(Self { origin, cluster })
    }

    /// The port of its server.
    pub(crate) fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Loads datasets from the city's API at `url`, all of them when none is named.
    pub(crate) fn ingest(&self, url: &str, datasets: &[&str]) -> Result<Load> {
        self.ingest_with(&[], url, datasets)
    }

    /// The same with further arguments.
    pub(crate) fn ingest_with(&self, arguments: &[&str], url: &str, datasets: &[&str]) -> Result<Load> {
        self.ingest_env(arguments, url, datasets, &[])
    }

    /// The same with further variables.
    pub(crate) fn ingest_env(
        &self,
        arguments: &[&str],
        url: &str,
        datasets: &[&str],
        further: &[(&str, &str)],
    ) -> Result<Load> {
        let mut command = self.origin.command(&["ingest"]);
        command.args(arguments);
        command.args(datasets.iter().flat_map(|name| ["--dataset", name]));
        // Small pages, so that a load of a small city has several.
        command.env("SODA_BASE_URL", url).env("SODA_PAGE_SIZE", "1000");
        command.envs(further.iter().copied());
        let output = command.output().context("cannot run the origin")?;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Ok(Load { succeeded: output.status.success(), text })
    }

    /// Starts the site.
    pub(crate) fn serve(&self) -> Result<Site> {
        Site::start(&self.origin, 0)
    }

    /// Rows and a checksum of all their content, for each table.
    pub(crate) async fn contents(&self) -> Result<BTreeMap<&'static str, (i64, String)>> {
        contents_of(&self.origin.database_url).await
    }

    /// The single number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.connect().await?.query_one(sql, &[]).await?.get(0))
    }

    /// A permit that stands on a parcel.
    pub(crate) async fn some_permit(&self) -> Result<Permit> {
        const ANY: &str = "SELECT permit_number, block, lot FROM permits
                           WHERE block IS NOT NULL AND lot IS NOT NULL ORDER BY record_id LIMIT 1";
        let row = self.connect().await?.query_one(ANY, &[]).await?;
        Ok(Permit { number: row.get(0), block: row.get(1), lot: row.get(2) })
    }

    /// A session of this test.
    pub(crate) async fn connect(&self) -> Result<tokio_postgres::Client> {
        connect(&self.origin.database_url).await
    }
}

/// Rows and a checksum of all their content, for each table of the city's data.
pub(crate) async fn contents_of(url: &str) -> Result<BTreeMap<&'static str, (i64, String)>> {
    let client = connect(url).await?;
    let mut contents = BTreeMap::new();
    for table in TABLES {
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') FROM {table} t"
        );
        let row = client.query_one(&sql, &[]).await?;
        contents.insert(table, (row.get(0), row.get(1)));
    }
    Ok(contents)
}

/// A session of this test.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Its errors show in the client's.
    tokio::spawn(connection);
    Ok(client)
}

impl City {
    /// The city of the tests that run now.
    pub(crate) fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<City>> = Mutex::new(Weak::new());
        shared(&SHARED, || {
            let database = Database::create("city")?;
            let files = scratch::dir("city")?;
            Steps::new().run("generate a city", |step| database.origin.sample(1, PERMITS, files.path(), step))?;
            let stand_in = database.origin.stand_in(files.path(), Logs::Keep)?;
            let load = database.ingest(&stand_in.url(), &[])?;
            ensure!(load.succeeded, "the city was not loaded:\n{}", load.text);
            Ok(Self { database, files })
        })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The folder with its files.
    pub(crate) fn files(&self) -> &Path {
        self.files.path()
    }
}

/// A running origin; dropping it stops it.
pub(crate) struct Site {
    pub(crate) server: Listening,
}

impl Site {
    /// Starts it on a port; 0 takes a free one, which another one may take over after it.
    pub(crate) fn start(origin: &Origin, port: u16) -> Result<Self> {
        Self::start_with(origin, port, &[])
    }

    /// The same with further variables.
    pub(crate) fn start_with(origin: &Origin, port: u16, further: &[(&str, &str)]) -> Result<Self> {
        // Few connections, so that many sites share one server.
        let pool_min = POOL_MIN.to_string();
        let environment = [
            ("DB_POOL_MIN", &*pool_min),
            ("DB_POOL_MAX", "8"),
            ("DB_CONNECT_TIMEOUT", "2s"),
            ("RATE_LIMITS", "off"),
            // Pages show what a test has just written into the database.
            ("PAGE_MEMORY_MIB", "0"),
        ];
        let port = if port == 0 { ports::free()? } else { port };
        Ok(Self { server: origin.serve(port, &[&environment, further].concat(), Logs::Keep)? })
    }

    /// Someone who asks the origin itself.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::local(self.server.port)
    }

    /// Where an edge reaches it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// Stops it as a deployment does, and lets it end however long it takes: what it has in hand it writes down.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.server.service.signal(Signal::TERM)?;
        let ends = async {
            while self.server.service.ended()?.is_none() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        soon("the end of the site", ends).await?
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) -> u16 {
        self.server.service.kill();
        self.server.port
    }
}

impl Load {
    /// What it did with a dataset.
    pub(crate) fn of(&self, dataset: &str) -> Result<Loaded> {
        let line = self.text.lines().find(|line| line.split_whitespace().next() == Some(dataset));
        let line = line.with_context(|| format!("no line on {dataset} in:\n{}", self.text))?;
        let numbers = line.split_whitespace().skip(1).take(7).map(|number| number.replace(',', "").parse());
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().with_context(|| format!("not loaded: {line}"))?;
        let [read, stored, inserted, updated, unchanged, deleted, refused] = numbers[..] else {
            anyhow::bail!("not seven numbers: {line}");
        };
        Ok(Loaded { read, stored, inserted, updated, unchanged, deleted, refused })
    }
}

/// The value that others hold already, or a new one.
pub(crate) fn shared<T>(place: &Mutex<Weak<T>>, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
    // Held while the value is made, so that who comes meanwhile gets the same. A panic leaves the old value, or none.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = place.upgrade() {
        return Ok(value);
    }
    let value = Arc::new(make()?);
    *place = Arc::downgrade(&value);
    Ok(value)
}

fn cluster() -> Result<Arc<Cluster>> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    shared(&SHARED, Cluster::start_temp)
}

/// Builds the origin unless what is built is current, once for all tests.
fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let (project, steps) = (Project::here(), Steps::new());
        tools::ensure_packages(&project, &steps)?;
        build::origin(&project, build::Profile::Dev, &steps)
    };
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

/// Connections that a site opens ahead: more than one visitor needs.
pub(crate) const POOL_MIN: u64 = 2;

/// Enough permits for every kind of search and report; a second's work to load.
const PERMITS: u32 = 400;
