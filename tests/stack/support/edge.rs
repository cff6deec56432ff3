//! The built Worker in workerd, and the built component in the host for Spin.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
#[cfg(feature = "spin")]
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::redis::Redis;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, tools};

use super::visitor::{Answer, Visitor};
use super::{LOOK_EVERY, soon};

/// An edge of its own for one test: an isolate, a cache and limits that nobody else has touched. Dropping it stops it.
///
/// Its clock stands still until [`Edge::advance`] moves it.
pub(crate) struct Edge {
    address: SocketAddr,
    direct: SocketAddr,
    elsewhere: Option<SocketAddr>,
    service: Service,
    /// What counts for all instances of a component.
    _redis: Option<Redis>,
}

/// What the Durable Objects that hold the shared limits do when they are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Authority {
    Answers,
    Fails,
    Hangs,
}

impl Edge {
    /// Where programs reach it that say nothing about their address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it before the origin at `origin_url`.
    pub(crate) fn before(origin_url: &str) -> Result<Self> {
        Self::start(origin_url, &[], None)
    }

    /// The same with these variables and secrets.
    pub(crate) fn before_with(origin_url: &str, variables: &[(&str, &str)]) -> Result<Self> {
        Self::start(origin_url, variables, None)
    }

    /// The same with what it stores in a folder, where the next one finds it.
    pub(crate) fn before_keeping(origin_url: &str, storage: &Path) -> Result<Self> {
        Self::start(origin_url, &[], Some(storage))
    }

    fn start(origin_url: &str, variables: &[(&str, &str)], storage: Option<&Path>) -> Result<Self> {
        require_worker()?;
        let project = Project::here();
        let mut node = Command::new(tools::node(&project)?);
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let variables = serde_json::to_string(&variables)?;
        node.current_dir(project.root()).arg(project.path("tests/miniflare/host.mjs"));
        node.arg(origin_url).arg(variables).args(storage);
        Self::listening(Service::start("workerd", node, Logs::Keep)?, None)
    }

    /// The component in the host for Spin, before the origin at `origin_url`, with a Redis of its own; one instance, as a
    /// Worker is one isolate.
    #[cfg(feature = "spin")]
    pub(crate) fn on_spin(origin_url: &str) -> Result<Self> {
        Self::on_spin_with(origin_url, &ONE_INSTANCE)
    }

    /// The same with these arguments of the host, and as many instances as they let it have.
    #[cfg(feature = "spin")]
    pub(crate) fn on_spin_with(origin_url: &str, arguments: &[&str]) -> Result<Self> {
        Self::component(&require_spin()?.component, origin_url, arguments)
    }

    /// The same with another component.
    #[cfg(feature = "spin")]
    pub(crate) fn component(file: &Path, origin_url: &str, arguments: &[&str]) -> Result<Self> {
        let redis = Redis::start()?;
        let mut command = Command::new(require_spin()?.host);
        command.arg(file).arg("--for-tests").arg("--variable").arg(format!("origin={origin_url}"));
        command.arg("--variable").arg(format!("redis_url={}", redis.url())).args(arguments);
        Self::listening(Service::start("spin-host", command, Logs::Keep)?, Some(redis))
    }

    fn listening(mut service: Service, redis: Option<Redis>) -> Result<Self> {
        let ports = service.wait_for_line("edge listening on ", READY_WITHIN)?;
        let address = |port: &str| Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)));
        let mut addresses = ports.split(" and ").map(address);
        let address = addresses.next().context("no port was announced")??;
        let direct = addresses.next().context("two ports are announced")??;
        Ok(Self { address, direct, elsewhere: addresses.next().transpose()?, service, _redis: redis })
    }

    /// What its visitors name it in `Host`.
    #[cfg(feature = "spin")]
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Someone with the address 127.0.0.`host`. Visitors with different addresses are different clients.
    pub(crate) fn visitor(&self, host: u8) -> Visitor {
        Visitor::new(Ipv4Addr::new(127, 0, 0, host), self.address)
    }

    /// Someone whose requests reach the Worker as they are. In front of the others stands Miniflare's own Worker, which
    /// names the client as Cloudflare does, and rewrites paths as a URL parser does.
    pub(crate) fn direct_visitor(&self) -> Visitor {
        Visitor::new(Ipv4Addr::LOCALHOST, self.direct)
    }

    /// Someone who comes to another isolate, which shares the objects of this one and has a clock of its own; for a Worker
    /// started with the variable `TEST_ELSEWHERE`.
    pub(crate) fn visitor_elsewhere(&self) -> Result<Visitor> {
        let address = self.elsewhere.context("the Worker was started without TEST_ELSEWHERE")?;
        Ok(Visitor::new(Ipv4Addr::LOCALHOST, address).naming(self.address))
    }

    /// Moves the clocks of both isolates.
    pub(crate) async fn advance_both(&self, by: Duration) -> Result<()> {
        self.advance(by).await?;
        let moved = self.visitor_elsewhere()?.get(&format!("/__test/advance/{}", by.as_millis())).await?;
        ensure!(moved.status == 200, "the other isolate did not move its clock: {}", moved.text());
        Ok(())
    }

    /// Decides whether the log of purges answers from now on.
    pub(crate) async fn set_purge_log(&self, answers: bool) -> Result<()> {
        self.command(if answers { "log/answers" } else { "log/fails" }).await.map(drop)
    }

    /// Moves the Worker's clock.
    pub(crate) async fn advance(&self, by: Duration) -> Result<()> {
        self.command(&format!("advance/{}", by.as_millis())).await.map(drop)
    }

    /// Moves the Worker's clock to where another one's stands.
    pub(crate) async fn set_clock(&self, unix_ms: i64) -> Result<()> {
        self.command(&format!("advance/{}", unix_ms - self.clock().await?)).await.map(drop)
    }

    /// Where the Worker's clock stands, in milliseconds since 1970.
    pub(crate) async fn clock(&self) -> Result<i64> {
        Ok(self.command("clock").await?.parse()?)
    }

    /// Decides what the authority of the shared limits does from now on.
    pub(crate) async fn set_authority(&self, authority: Authority) -> Result<()> {
        let word = match authority {
            Authority::Answers => "answers",
            Authority::Fails => "fails",
            Authority::Hangs => "hangs",
        };
        self.command(&format!("authority/{word}")).await.map(drop)
    }

    /// Lets the timer of a cron expression go off; what came of the run, as Cloudflare records it.
    pub(crate) async fn tick(&self, schedule: &str) -> Result<String> {
        let schedule = schedule.replace(' ', "+");
        let target = format!("/cdn-cgi/local/scheduled?cron={schedule}&format=json");
        Ok(self.visitor(1).get(&target).await?.text())
    }

    /// The data points that were written so far, as JSON.
    pub(crate) async fn points(&self) -> Result<Vec<serde_json::Value>> {
        Ok(serde_json::from_str(&self.command("points").await?)?)
    }

    /// Asks for a page until it is as it should be, and returns it.
    pub(crate) async fn until(&self, target: &str, wanted: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let look = async {
            loop {
                let answer = self.visitor(WATCHER).get(target).await?;
                if wanted(&answer) {
                    return Ok(answer);
                }
                ensure!(answer.status != 429, "the watcher has used up its limit; {target} is {}", answer.text());
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        soon(target, look).await?
    }

    /// Waits until a page is served fresh from the cache: a Worker stores it while it sends it, and may end a moment
    /// later.
    pub(crate) async fn until_stored(&self, target: &str) -> Result<Answer> {
        let is_fresh = |line: String| line.starts_with("Seawall; hit; ") && !line.contains("detail=");
        self.until(target, |answer| is_fresh(answer.field("cache-status"))).await
    }

    /// From now on the key-value store and Redis answer only when both are asked at the same time.
    #[cfg(feature = "spin")]
    pub(crate) async fn let_stores_meet(&self) -> Result<()> {
        self.command("meet").await.map(drop)
    }

    /// What the Worker wrote, but for what was hundreds of lines ago.
    pub(crate) fn log(&self) -> String {
        self.service.output()
    }

    async fn command(&self, command: &str) -> Result<String> {
        let answer = self.visitor(1).get(&format!("/__test/{command}")).await?;
        ensure!(answer.status == 200, "the test's own entry module refused {command}: {}", answer.text());
        Ok(answer.text())
    }
}

/// Builds the Worker unless what is built is current, once for all tests.
pub(crate) fn require_worker() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let build = || {
        let (project, steps) = (Project::here(), Steps::new());
        tools::ensure_all(&project, &steps)?;
        build::worker(&project, &steps)
    };
    let built = BUILT.get_or_init(|| build().map(drop).map_err(|error: anyhow::Error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// What runs on Spin.
#[cfg(feature = "spin")]
#[derive(Clone)]
pub(crate) struct Spin {
    pub(crate) component: PathBuf,
    pub(crate) host: PathBuf,
}

/// Builds the component and its host unless what is built is current, once for all tests.
#[cfg(feature = "spin")]
pub(crate) fn require_spin() -> Result<Spin> {
    static BUILT: OnceLock<Result<Spin, String>> = OnceLock::new();
    let build = || {
        let (project, steps) = (Project::here(), Steps::new());
        tools::ensure_targets(&project, &steps)?;
        tools::ensure_packages(&project, &steps)?;
        let component = build::spin_component(&project, &steps)?.file;
        Ok(Spin { component, host: build::spin_host(&project, &steps)? })
    };
    let built = BUILT.get_or_init(|| build().map_err(|error: anyhow::Error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// The host's arguments that keep one instance for all requests of a test.
#[cfg(feature = "spin")]
pub(crate) const ONE_INSTANCE: [&str; 6] = ["--concurrency", "4096", "--reuse", "1000000", "--idle-ms", "600000"];

/// The last part of the address of [`Edge::until`]'s requests.
const WATCHER: u8 = 250;

/// How long workerd may take to load the Worker, or the host the component; half a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
