//! Many isolates of one Worker, in one workerd.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{build, tools};
use serde_json::json;

use super::visitor::{Session, Visitor};

/// Isolates that share the Durable Objects of the first. Each has a clock of its own, which stands still until it is
/// moved. To all of them every visitor is the same client.
pub(crate) struct Fleet {
    addresses: Vec<SocketAddr>,
    _service: Service,
}

impl Fleet {
    /// Starts `isolates` of them before the origin at `origin_url`, under the policy of these tests.
    pub(crate) fn before(origin_url: &str, isolates: usize, bindings: &[(&str, &str)]) -> Result<Self> {
        let project = Project::here();
        let options = json!({
            "origin": origin_url,
            "build": worker()?,
            "isolates": isolates,
            "bindings": bindings.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "ratelimits": { "LIMIT_HERE": { "namespace_id": "1001", "simple": { "limit": 5, "period": 10 } } },
        });
        let mut node = Command::new(tools::node(&project)?);
        node.current_dir(project.root()).arg(project.path("tests/miniflare/fleet.mjs")).arg(options.to_string());
        let mut service = Service::start("workerd", node, Logs::Keep)?;
        let ports = service.wait_for_line("fleet listening on ", READY_WITHIN)?;
        let address = |port: &str| Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().context("a port")?)));
        let addresses = ports.split_whitespace().map(address).collect::<Result<Vec<_>>>()?;
        ensure!(addresses.len() == isolates, "{} of {isolates} isolates listen", addresses.len());
        Ok(Self { addresses, _service: service })
    }

    /// A connection to each isolate.
    pub(crate) async fn sessions(&self) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        for address in &self.addresses {
            sessions.push(Visitor::new(Ipv4Addr::LOCALHOST, *address).session().await?);
        }
        Ok(sessions)
    }

    /// Someone who comes to one isolate and takes it for the first, so that all isolates serve the same site.
    pub(crate) fn visitor(&self, isolate: usize) -> Visitor {
        Visitor::new(Ipv4Addr::LOCALHOST, self.addresses[isolate]).naming(self.addresses[0])
    }

    /// How many questions isolates have asked about who calls the origin.
    pub(crate) async fn collapse_questions(&self) -> Result<usize> {
        Ok(self.command(0, "collapse").await?.parse()?)
    }

    /// Decides whether those questions are answered from now on.
    pub(crate) async fn set_collapse(&self, answers: bool) -> Result<()> {
        self.command(0, if answers { "collapse/answers" } else { "collapse/fails" }).await.map(drop)
    }

    /// Moves the clock of one isolate, back when `by_ms` is below zero. The first one's is that of the authorities.
    pub(crate) async fn move_clock(&self, isolate: usize, by_ms: i64) -> Result<()> {
        self.command(isolate, &format!("advance/{by_ms}")).await.map(drop)
    }

    /// Decides what the authorities do from now on: `answers`, `fails`, `hangs`, or `dies` once.
    pub(crate) async fn set_authority(&self, word: &str) -> Result<()> {
        self.command(0, &format!("authority/{word}")).await.map(drop)
    }

    async fn command(&self, isolate: usize, command: &str) -> Result<String> {
        let visitor = Visitor::new(Ipv4Addr::LOCALHOST, self.addresses[isolate]);
        let answer = visitor.get(&format!("/__test/{command}")).await?;
        ensure!(answer.status == 200, "the entry module refused {command}: {}", answer.text());
        Ok(answer.text())
    }
}

/// The Worker with the policy of these tests in it, built once for all of them.
fn worker() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let (project, steps) = (Project::here(), Steps::new());
        tools::ensure_all(&project, &steps)?;
        Ok(build::worker_with(&project, &project.path("tests/stack/policies/fleet.toml"), &steps)?.dir)
    };
    let built = BUILT.get_or_init(|| build().map_err(|error: anyhow::Error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// How long workerd may take to load so many Workers; seconds on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
