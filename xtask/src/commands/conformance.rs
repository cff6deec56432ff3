//! `cargo xtask conformance`: the public tests for HTTP caches, through the edge as a shared cache.
//!
//! The result is kept in `tests/conformance/result.json` by test id, with a reason for each required or optimal test that
//! is missed; docs/conformance.md explains them. What was passed there must be passed again. A checkout of the suite, which
//! is newer than its package, has a result of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use seawall_xtask::process::{self, Logs, Service};
use seawall_xtask::project::Project;
use seawall_xtask::stack::{Listening, SpinEdge};
use seawall_xtask::step::Steps;
use seawall_xtask::workerd::{self, Front, Script};
use seawall_xtask::{build, scratch, screen, tools};
use serde_json::{Map, Value, json};

use super::edge::PASS_THROUGH;

/// The package whose tests run; package.json pins its version.
const PACKAGE: &str = "http-cache-tests";
/// A file that a checkout of the suite has, and no other folder.
const ENGINE: &str = "test-engine/client/test.mjs";
/// Required tests that the component for Spin may miss and the Worker passes.
const BEHIND_MAX: usize = 5;

/// How long the tests' origin may take to listen.
const ORIGIN_WITHIN: Duration = Duration::from_secs(60);

/// Run the public tests for HTTP caches through the edge.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Which edge.
    #[arg(long, value_enum, default_value_t = Edge::Worker)]
    edge: Edge,
    /// Run the tests of this checkout of <https://github.com/http-tests/cache-tests>, and not those of its npm package.
    #[arg(long, value_name = "DIR")]
    suite: Option<PathBuf>,
    /// Keep what came of it as the result to compare with.
    #[arg(long)]
    record: bool,
}

/// What runs the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edge {
    /// The Worker, in workerd.
    Worker,
    /// The component, in the test host for Spin.
    Spin,
}

/// Which tests run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// Those of the npm package.
    Package,
    /// Those of a checkout of the suite's repository, in this folder.
    Checkout(PathBuf),
}

impl Edition {
    /// # Errors
    /// When the folder is no checkout of the suite.
    fn of(suite: Option<&Path>) -> Result<Self> {
        let Some(folder) = suite else { return Ok(Self::Package) };
        ensure!(
            folder.join(ENGINE).is_file(),
            "--suite {}: no {ENGINE} is there; it takes a checkout of https://github.com/http-tests/cache-tests, after \
             `npm install` in it",
            folder.display()
        );
        let folder = folder.canonicalize().with_context(|| format!("--suite {}", folder.display()))?;
        Ok(Self::Checkout(folder))
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Package => None,
            Self::Checkout(folder) => Some(folder),
        }
    }

    /// What came of each test when it was last recorded.
    const fn result(&self, edge: Edge) -> &'static str {
        match (self, edge) {
            (Self::Package, Edge::Worker) => "tests/conformance/result.json",
            (Self::Package, Edge::Spin) => "tests/conformance/result-spin.json",
            (Self::Checkout(_), Edge::Worker) => "tests/conformance/result-checkout.json",
            (Self::Checkout(_), Edge::Spin) => "tests/conformance/result-checkout-spin.json",
        }
    }

    /// Why tests are missed, by id.
    const fn reasons(&self, edge: Edge) -> &'static str {
        match (self, edge) {
            (Self::Package, Edge::Worker) => "tests/conformance/reasons.json",
            (Self::Package, Edge::Spin) => "tests/conformance/reasons-spin.json",
            (Self::Checkout(_), Edge::Worker) => "tests/conformance/reasons-checkout.json",
            (Self::Checkout(_), Edge::Spin) => "tests/conformance/reasons-checkout-spin.json",
        }
    }

    /// What a recorded result calls it.
    fn name(&self, project: &Project) -> Result<String> {
        if self.folder().is_some() {
            return Ok("http-tests/cache-tests".to_owned());
        }
        let package = read_json(&project.npm(PACKAGE).join("package.json"))?;
        let version = package.get("version").and_then(Value::as_str).context("the package has no version")?;
        Ok(format!("{PACKAGE} {version}"))
    }
}

impl Edge {
    /// Builds it, starts it before the origin, and answers with what runs and its address.
    fn serve(self, project: &Project, origin_url: &str, files: &Path, steps: &Steps) -> Result<Listening> {
        let policy = project.path(PASS_THROUGH);
        match self {
            Self::Worker => {
                let worker = build::worker_with(project, &policy, steps)?;
                workerd::serve(project, &Script::edge(&worker), origin_url, 0, Front::None, Logs::Keep)
            }
            Self::Spin => {
                let component = build::spin_component_with(project, &policy, steps)?;
                let host = build::spin_host(project, steps)?;
                let state = files.join("key-value");
                let edge = SpinEdge { component: &component.file, origin_url, redis_url: "", state: &state };
                edge.serve_on_host(&host, 0, &[], Logs::Keep)
            }
        }
    }
}

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    suite: String,
    /// `required`, `optimal`, or `check`, which nobody passes or fails.
    kind: String,
    /// `pass`, `fail`, `dependency` and so on; `yes` or `no` for a check.
    result: String,
    /// Why it was not passed, in the words of the test.
    said: Option<String>,
}

type Outcomes = BTreeMap<String, Outcome>;

impl Outcome {
    fn is_miss(&self) -> bool {
        self.kind != "check" && self.result != "pass"
    }
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    tools::require_prerequisites(project)?;
    let edition = Edition::of(arguments.suite.as_deref())?;
    prove(project, arguments.edge, &edition, arguments.record, &Steps::new())
}

/// Runs the tests and compares with what is recorded, or records it.
///
/// # Errors
/// When a test that was passed is not any more, or one is missed without a reason.
pub(crate) fn prove(project: &Project, edge: Edge, edition: &Edition, record: bool, steps: &Steps) -> Result<()> {
    tools::ensure_all(project, steps)?;
    let files = scratch::dir("conformance")?;
    let out = files.path().join("result.json");
    let (result, reasons) = (edition.result(edge), edition.reasons(edge));
    let on_worker = edition.result(Edge::Worker);
    let mut origin = script(project, "origin.mjs")?;
    origin.args(edition.folder());
    let mut origin = Service::start("the tests' origin", origin, Logs::Keep)?;
    let port = origin.wait_for_line("origin listening on ", ORIGIN_WITHIN)?;
    let served = edge.serve(project, &format!("http://127.0.0.1:{port}"), files.path(), steps)?;
    steps.run("the public tests for HTTP caches", |step| {
        let mut suite = script(project, "suite.mjs")?;
        // What the Worker passes is tried again here too, until there is a result to compare with.
        let known = [result, on_worker].map(|known| project.path(known)).into_iter().find(|known| known.exists());
        suite.arg(served.url()).arg(&out);
        for (option, path) in [("--known", known.as_deref()), ("--suite", edition.folder())] {
            suite.args(path.map(|path| [option.as_ref(), path.as_os_str()]).into_iter().flatten());
        }
        process::run("the public tests for HTTP caches", suite, step)
    })?;
    let outcomes = read(&read_json(&out)?)?;
    let explained = read_reasons(&read_json(&project.path(reasons))?)?;
    summary(&outcomes).into_iter().for_each(|line| screen::line(&line));
    if edge == Edge::Spin && !record {
        let worker = read_json(&project.path(on_worker))?;
        let worker = read(worker.get("tests").context("the recorded result has no tests")?)?;
        let behind = behind(&worker, &outcomes);
        ensure!(behind.len() <= BEHIND_MAX, "more than {BEHIND_MAX} required tests behind the Worker: {behind:?}");
    }
    let unexplained = unexplained(&outcomes, &explained);
    if record {
        let text = format!("{:#}\n", to_json(&edition.name(project)?, &outcomes, &explained));
        fs::write(project.path(result), text).with_context(|| format!("cannot write {result}"))?;
    } else {
        let recorded = read_json(&project.path(result))?;
        let recorded = read(recorded.get("tests").context("the recorded result has no tests")?)?;
        let regressions = regressions(&recorded, &outcomes);
        ensure!(
            regressions.is_empty(),
            "{} test(s) that {result} has as passed:\n  {}",
            regressions.len(),
            regressions.join("\n  ")
        );
    }
    ensure!(unexplained.is_empty(), "{reasons} and the result do not fit:\n  {}", unexplained.join("\n  "));
    Ok(())
}

fn script(project: &Project, name: &str) -> Result<Command> {
    let mut node = Command::new(tools::node(project)?);
    node.current_dir(project.root()).arg("--no-warnings").arg(project.path("tests/conformance").join(name));
    Ok(node)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

fn read(tests: &Value) -> Result<Outcomes> {
    let tests = tests.as_object().context("the tests are no table")?;
    let read = |(id, test): (&String, &Value)| {
        let text = |key: &str| test.get(key).and_then(Value::as_str).map(str::to_owned);
        let need = |key: &str| text(key).with_context(|| format!("test {id} has no {key}"));
        let outcome =
            Outcome { suite: need("suite")?, kind: need("kind")?, result: need("result")?, said: text("said") };
        Ok((id.clone(), outcome))
    };
    tests.iter().map(read).collect()
}

fn read_reasons(reasons: &Value) -> Result<BTreeMap<String, String>> {
    let reasons = reasons.as_object().context("the reasons are no table")?;
    let read = |(id, reason): (&String, &Value)| {
        let reason = reason.as_str().with_context(|| format!("the reason for {id} is no text"))?;
        let classed = CLASSES.iter().any(|class| reason.starts_with(&format!("{class}: ")));
        ensure!(classed, "the reason for {id} starts with none of {}", CLASSES.join(", "));
        Ok((id.clone(), reason.to_owned()))
    };
    reasons.iter().map(read).collect()
}

/// What a reason for a miss may be: something the platform does or lacks, a test that asks for what the RFC does not, or a
/// choice of ours for safety.
const CLASSES: [&str; 3] = ["platform", "test", "safety"];

fn to_json(edition: &str, outcomes: &Outcomes, reasons: &BTreeMap<String, String>) -> Value {
    let tests: Map<String, Value> = outcomes
        .iter()
        .map(|(id, outcome)| {
            let Outcome { suite, kind, result, said } = outcome;
            let mut test = json!({ "suite": suite, "kind": kind, "result": result });
            if outcome.is_miss() {
                test["said"] = json!(said);
                test["reason"] = json!(reasons.get(id));
            }
            (id.clone(), test)
        })
        .collect();
    let count = |kind| {
        let (passed, of) = score(outcomes, kind);
        json!({ "passed": passed, "of": of })
    };
    json!({
        "package": edition,
        "required": count("required"),
        "optimal": count("optimal"),
        "tests": tests,
    })
}

/// How many tests of a kind were passed, and how many there are.
fn score(outcomes: &Outcomes, kind: &str) -> (usize, usize) {
    let of_kind = outcomes.values().filter(|outcome| outcome.kind == kind);
    let passed = of_kind.clone().filter(|outcome| outcome.result == "pass").count();
    (passed, of_kind.count())
}

fn summary(outcomes: &Outcomes) -> Vec<String> {
    let kinds = ["required", "optimal"].map(|kind| {
        let (passed, of) = score(outcomes, kind);
        format!("{kind}: {passed} of {of} passed")
    });
    let misses = outcomes.iter().filter(|(_, outcome)| outcome.is_miss()).map(|(id, outcome)| {
        let Outcome { kind, result, said, .. } = outcome;
        format!("  {kind} {id}: {result}{}", said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default())
    });
    kinds.into_iter().chain(misses).collect()
}

/// Tests that were passed once and are not any more, or that did not run.
fn regressions(recorded: &Outcomes, outcomes: &Outcomes) -> Vec<String> {
    let passed = recorded.iter().filter(|(_, outcome)| outcome.kind != "check" && outcome.result == "pass");
    passed
        .filter_map(|(id, _)| match outcomes.get(id) {
            Some(now) if now.result == "pass" => None,
            Some(now) => Some(format!("{id}: {} ({})", now.result, now.said.as_deref().unwrap_or("no word"))),
            None => Some(format!("{id}: did not run")),
        })
        .collect()
}

/// Required tests that the one passes and the other does not.
fn behind<'a>(ahead: &'a Outcomes, other: &Outcomes) -> Vec<&'a str> {
    let passed = |outcome: &Outcome| outcome.kind == "required" && outcome.result == "pass";
    let missed = |id: &String| other.get(id).is_none_or(|outcome| outcome.result != "pass");
    ahead.iter().filter(|(id, outcome)| passed(outcome) && missed(id)).map(|(id, _)| id.as_str()).collect()
}

/// Misses without a reason, and reasons without a miss.
fn unexplained(outcomes: &Outcomes, reasons: &BTreeMap<String, String>) -> Vec<String> {
    let silent = outcomes.iter().filter(|(id, outcome)| outcome.is_miss() && !reasons.contains_key(*id));
    let idle = reasons.keys().filter(|id| outcomes.get(*id).is_none_or(|outcome| !outcome.is_miss()));
    silent
        .map(|(id, _)| format!("{id} is missed without a reason"))
        .chain(idle.map(|id| format!("{id} has a reason and is not missed")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(tests: &[(&str, &str, &str)]) -> Outcomes {
        let outcome = |(id, kind, result): &(&str, &str, &str)| {
            let [suite, kind, result] = ["s", *kind, *result].map(str::to_owned);
            ((*id).to_owned(), Outcome { suite, kind, result, said: None })
        };
        tests.iter().map(outcome).collect()
    }

    #[test]
    fn what_was_passed_must_be_passed_again() {
        let recorded = outcomes(&[
            ("a", "required", "pass"),
            ("b", "optimal", "pass"),
            ("c", "optimal", "fail"),
            ("d", "check", "yes"),
            ("e", "required", "pass"),
        ]);
        let now = outcomes(&[
            ("a", "required", "pass"),
            ("b", "optimal", "dependency"),
            ("c", "optimal", "pass"),
            ("d", "check", "no"),
        ]);
        assert_eq!(regressions(&recorded, &now), ["b: dependency (no word)", "e: did not run"]);
        assert_eq!(regressions(&recorded, &recorded), [""; 0]);
    }

    #[test]
    fn every_miss_has_a_reason_and_every_reason_a_miss() {
        let now = outcomes(&[("a", "required", "fail"), ("b", "optimal", "pass"), ("c", "check", "no")]);
        let reasons = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), "platform: x".to_owned())).collect();
        assert_eq!(unexplained(&now, &reasons(&["a"])), [""; 0]);
        assert_eq!(unexplained(&now, &reasons(&[])), ["a is missed without a reason"]);
        assert_eq!(unexplained(&now, &reasons(&["a", "b"])), ["b has a reason and is not missed"]);
    }

    #[test]
    fn a_reason_says_of_which_kind_it_is() {
        assert!(read_reasons(&json!({ "a": "safety: a cookie belongs to one visitor" })).is_ok());
        assert!(read_reasons(&json!({ "a": "it is late" })).is_err());
    }

    #[test]
    fn a_folder_that_is_no_checkout_is_refused() {
        let here = Project::here();
        assert!(Edition::of(Some(&here.path("docs"))).is_err_and(|error| error.to_string().contains("npm install")));
    }

    #[test]
    fn the_recorded_results_are_whole_and_explained() -> Result<()> {
        let project = Project::here();
        let docs = fs::read_to_string(project.path("docs/conformance.md"))?;
        for edition in [Edition::Package, Edition::Checkout(PathBuf::new())] {
            let recorded = |edge: Edge| {
                let result = read_json(&project.path(edition.result(edge)))?;
                let outcomes = read(result.get("tests").context("no tests")?)?;
                let reasons = read_reasons(&read_json(&project.path(edition.reasons(edge)))?)?;
                anyhow::Ok((outcomes, reasons))
            };
            let (on_spin, reasons) = recorded(Edge::Spin)?;
            assert_eq!(unexplained(&on_spin, &reasons), [""; 0]);
            let (outcomes, reasons) = recorded(Edge::Worker)?;
            let behind = behind(&outcomes, &on_spin);
            assert!(behind.len() <= BEHIND_MAX, "behind the Worker: {behind:?}");
            assert_eq!(unexplained(&outcomes, &reasons), [""; 0]);
            for (kind, floor_permille) in [("required", 970), ("optimal", 900)] {
                let (passed, of) = score(&outcomes, kind);
                assert!(
                    docs.contains(&format!("| {kind} | {passed} | {of} |")),
                    "docs/conformance.md has another score"
                );
                let of_kind = |id: &String| outcomes.get(id).is_some_and(|outcome| outcome.kind == kind);
                let at_odds = reasons.iter().filter(|(id, why)| of_kind(id) && why.starts_with("test: ")).count();
                assert!(
                    passed * 1000 >= (of - at_odds) * floor_permille,
                    "{kind}: {passed} of {of}, {at_odds} at odds"
                );
            }
        }
        Ok(())
    }
}
