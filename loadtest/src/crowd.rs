//! The users: who asks when, in the closed and in the open model.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, sleep_until};

use crate::client::Dialler;
use crate::options::Options;
use crate::outcome::{Failure, Outcome};
use crate::overhead::Watch;
use crate::progress;
use crate::recorder::Recorder;
use crate::report::{self, Report};
use crate::scenario::{SEARCHES, Scenario, encoded};
use crate::target::Target;

/// Files that the process needs beside one socket for each user.
const FILES_BESIDE: u64 = 64;
/// Parcels that a search is asked for.
const PARCELS_MAX: usize = 50;

/// What all users share.
struct Crowd {
    options: Options,
    dialler: Dialler,
    scenarios: &'static [Scenario],
    parcels: Vec<String>,
    recorder: Rc<RefCell<Recorder>>,
    /// The number of the next request in the open model.
    next: Cell<u64>,
}

/// Runs the whole load, and says how it went.
///
/// # Errors
/// When the crowd cannot be set up, or a signal came.
pub(crate) async fn run(options: &Options, target: &Target) -> Result<Report> {
    allow_files(u64::from(options.users) + FILES_BESIDE)?;
    let dialler = Dialler::new(target, options)?;
    let here = LocalSet::new();
    here.run_until(async {
        let scenarios = options.scenario.scenarios();
        let parcels = parcels(options, &dialler, scenarios).await?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let recorder = Recorder::new(scenarios, Instant::now() + options.ramp(), options.duration());
        let crowd = Rc::new(Crowd {
            options: options.clone(),
            dialler,
            scenarios,
            parcels,
            recorder: Rc::new(RefCell::new(recorder)),
            next: Cell::new(0),
        });
        let watch = Watch::start();
        let bar = tokio::task::spawn_local(progress::show(Rc::clone(&crowd.recorder)));
        let mut users = JoinSet::new();
        for user in 0..options.users {
            users.spawn_local(crowd.arrive(user));
        }
        tokio::select! {
            biased;
            signal = tokio::signal::ctrl_c() => {
                signal.context("cannot wait for Ctrl-C")?;
                anyhow::bail!("interrupted: no result");
            }
            () = async { while users.join_next().await.is_some() {} } => {}
        }
        let tool = watch.stop();
        bar.abort();
        // The task that draws is the other holder, and has let go once it has ended.
        let _ = bar.await;
        drop(users);
        let crowd = Rc::into_inner(crowd).context("a user still runs")?;
        let recorder = Rc::into_inner(crowd.recorder).context("a user still counts")?.into_inner();
        Ok(report::build(options, target, began, recorder, tool))
    })
    .await
}

impl Crowd {
    /// The life of one user.
    fn arrive(self: &Rc<Self>, user: u32) -> impl Future<Output = ()> + 'static {
        let crowd = Rc::clone(self);
        async move {
            let (start, end) = crowd.span();
            let ramp = crowd.options.ramp();
            sleep_until((start - ramp + ramp * user / crowd.options.users).into()).await;
            match crowd.options.rate {
                None => crowd.ask_again(user, end).await,
                Some(rate) => crowd.ask_when_due(user, start, end, rate).await,
            }
        }
    }

    fn span(&self) -> (Instant, Instant) {
        let recorder = self.recorder.borrow();
        (recorder.start, recorder.end)
    }

    /// Closed: the next request goes out when the last answer is there and was looked at.
    async fn ask_again(&self, user: u32, end: Instant) {
        let mut connection = None;
        let mut number = u64::from(user);
        loop {
            let asked = Instant::now();
            if asked >= end {
                return;
            }
            let (scenario, path) = self.pick(number);
            let outcome = self.dialler.ask(&mut connection, user, &path, scenario.end()).await;
            let now = Instant::now();
            // A server that hangs fails requests after the end that it was sent before.
            if now >= end && matches!(outcome, Outcome::Failed(_)) {
                self.recorder.borrow_mut().record_late(scenario, outcome, now - asked);
            } else {
                self.recorder.borrow_mut().record(scenario, outcome, now - asked, now);
            }
            number += 1;
            let pause = self.pause(user, number, outcome);
            // Nobody looks at an answer beyond the end.
            if !pause.is_zero() {
                sleep(pause.min(end.saturating_duration_since(now))).await;
            }
        }
    }

    /// Open: whoever is free takes the next request, at the time at which it is due. When nobody was, it goes out late,
    /// and its time counts from when it was due.
    async fn ask_when_due(&self, user: u32, start: Instant, end: Instant, rate: u32) {
        let mut connection = None;
        loop {
            let number = self.next.get();
            let due = start + Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(rate));
            if due >= end {
                return;
            }
            self.next.set(number + 1);
            let (scenario, path) = self.pick(number);
            if Instant::now() > end + self.options.timeout() {
                self.recorder.borrow_mut().record_late(scenario, Outcome::Failed(Failure::NotSent), due.elapsed());
                continue;
            }
            sleep_until(due.into()).await;
            let outcome = self.dialler.ask(&mut connection, user, &path, scenario.end()).await;
            let now = Instant::now();
            let mut recorder = self.recorder.borrow_mut();
            if now < end {
                recorder.record(scenario, outcome, now - due, now);
            } else {
                recorder.record_late(scenario, outcome, now - due);
            }
        }
    }

    /// The scenario and path of a request. Scenarios take turns, and so do the paths of each.
    fn pick(&self, number: u64) -> (Scenario, String) {
        let kinds = self.scenarios.len() as u64;
        // Less than the length of a short list.
        let scenario = self.scenarios[usize::try_from(number % kinds).unwrap_or_default()];
        (scenario, scenario.path(number / kinds, &self.parcels, &self.options.search))
    }

    /// Between half of `--think` and one and a half of it, spread evenly over users and requests, so that they do not
    /// march in step. A connection that was refused is not tried again at once either.
    fn pause(&self, user: u32, number: u64, outcome: Outcome) -> Duration {
        let think = u64::from(self.options.think);
        let spread = (u64::from(user).wrapping_mul(2_654_435_761) ^ number.wrapping_mul(40_503)) % 1_000;
        let pause = Duration::from_micros(think * (500 + spread));
        if matches!(outcome, Outcome::Failed(Failure::Connect)) { pause.max(CONNECT_AGAIN) } else { pause }
    }
}

/// How long a user waits after it got no connection.
const CONNECT_AGAIN: Duration = Duration::from_millis(200);

/// The parcels whose reports are asked for: those given, or those that searches find.
async fn parcels(options: &Options, dialler: &Dialler, scenarios: &[Scenario]) -> Result<Vec<String>> {
    if !options.parcel.is_empty() || !scenarios.contains(&Scenario::Report) {
        return Ok(options.parcel.clone());
    }
    let mut found = Vec::new();
    for search in SEARCHES {
        let path = format!("/api/v1/search?q={}", encoded(search));
        let answer = dialler.read(&path).await.context("cannot look for parcels; --parcel names some")?;
        let answer: Value = serde_json::from_slice(&answer).with_context(|| format!("{path} is no JSON"))?;
        collect(&answer, &mut found);
        if found.len() >= PARCELS_MAX {
            break;
        }
    }
    anyhow::ensure!(!found.is_empty(), "no search finds a parcel; --parcel names some");
    Ok(found)
}

/// Adds each object that has a block and a lot, once.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            if let (Some(Value::String(block)), Some(Value::String(lot))) = (fields.get("block"), fields.get("lot")) {
                let parcel = format!("{block}/{lot}");
                if found.len() < PARCELS_MAX && !found.contains(&parcel) {
                    found.push(parcel);
                }
            }
            fields.values().for_each(|field| collect(field, found));
        }
        _ => {}
    }
}

/// Raises the soft limit of open files, where it is too low.
fn allow_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let most = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    anyhow::ensure!(most >= needed, "{needed} open files are needed and {most} are allowed: `ulimit -Hn` is too low");
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })
        .with_context(|| format!("cannot raise the limit of open files to {needed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_are_found_wherever_they_stand_and_once() {
        let answer = serde_json::json!({
            "hits": [{ "block": "3507", "lot": "004" }, { "row": { "block": "1", "lot": "2" } }],
            "again": { "block": "3507", "lot": "004" },
            "none": { "block": "5" },
        });
        let mut found = Vec::new();
        collect(&answer, &mut found);
        found.sort();
        assert_eq!(found, ["1/2", "3507/004"]);
    }
}
