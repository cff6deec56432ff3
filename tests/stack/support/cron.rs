//! The scheduler, which starts the site's jobs with the secret that allows it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::visitor::Ask;
use super::{Site, until};

const SECRET: &str = "a secret that only the scheduler has";

/// The variables of a site that runs jobs.
pub(crate) const WORKER: [(&str, &str); 2] = [("CRON_WORKER", "on"), ("CRON_SECRET", SECRET)];

/// A request of the scheduler.
pub(crate) fn ask(site: &Site, method: &str, target: &str) -> Ask {
    site.visitor().ask(method, target).field("authorization", &format!("Bearer {SECRET}"))
}

/// Runs a job to its end, which on a busy machine comes after the answer; how it went.
pub(crate) async fn run(site: &Site, job: &str) -> Result<Value> {
    let started = ask(site, "POST", &format!("/cron/{job}")).send().await?;
    ensure!([200, 202].contains(&started.status), "{job}: {}", started.text());
    let place = started.field("location");
    ensure!(!place.is_empty(), "{job} was not started: {}", started.text());
    let look = async || ask(site, "GET", &place).send().await?.json();
    until(async || Ok(!["queued", "running"].contains(&look().await?["status"].as_str().context("a status")?))).await?;
    let run = look().await?;
    ensure!(run["status"] == "success", "{run}");
    Ok(run)
}
