//! `cargo xtask audit`: known holes, licences, secrets, what WASM may reach, and the recipes of deployment.
//!
//! A check whose tool or source is not to be had is named as missing and passes nothing: `--require-all` makes that a
//! failure, which is how the weekly run in CI asks.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::{interrupt, screen, tools};

mod crates;
mod deployment;
mod packages;
mod secrets;
mod wasm;

/// Look for known holes, licences that do not fit, secrets, and recipes of deployment that are unsafe.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Write the report to this file too.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Fail when a check could not be made.
    #[arg(long)]
    require_all: bool,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Low,
    Medium,
    /// Fails the audit.
    High,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads the words of several tools; one that is not known is taken seriously.
    fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "info" | "informational" | "note" | "help" | "style" | "low" => Self::Low,
            "warning" | "warn" | "moderate" | "medium" => Self::Medium,
            _ => Self::High,
        }
    }
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    text: String,
}

impl Finding {
    fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, text: text.into() }
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was made.
    Found(Vec<Finding>),
    /// It could not be made, and why.
    Missing(String),
}

type Check = fn(&Project, &Steps, &Step) -> Result<Outcome>;

/// Name, what it answers, and how.
const CHECKS: [(&str, &str, Check); 9] = [
    ("cargo-deny advisories", "known holes in crates, and crates that nobody keeps", crates::advisories),
    ("cargo-deny licences", "licences, banned crates and where crates come from", crates::rules),
    ("npm audit", "known holes in the packages that the developer commands use", packages::audit),
    ("secretlint", "secrets in the files of this commit", secrets::files),
    ("secretlint, history", "secrets in any commit", secrets::history),
    ("imports of WASM", "what the Worker may reach", wasm::imports),
    ("hadolint", "the image's recipe", deployment::image),
    ("zizmor and actionlint", "the workflows", deployment::workflows),
    ("shellcheck", "the scripts of deployment", deployment::scripts),
];

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    tools::require_prerequisites(project)?;
    let steps = Steps::new();
    tools::ensure_all(project, &steps)?;
    let mut outcomes = Vec::new();
    for (name, question, check) in CHECKS {
        let outcome = steps.run(name, |step| {
            let outcome = check(project, &steps, step)?;
            step.note(&summary(&outcome));
            Ok(outcome)
        });
        interrupt::check()?;
        // A check that broke was not made.
        let outcome = outcome.unwrap_or_else(|error| Outcome::Missing(format!("{error:#}")));
        outcomes.push((name, question, outcome));
    }
    let report = report(&outcomes);
    screen::line("");
    screen::line(&report);
    if let Some(path) = &arguments.output {
        std::fs::write(path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    }
    judge(&outcomes, arguments.require_all)
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Missing(why) => format!("not made: {}", why.lines().next().unwrap_or_default()),
        Outcome::Found(findings) => {
            let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
            format!("{} high, {} medium, {} low", count(Severity::High), count(Severity::Medium), count(Severity::Low))
        }
    }
}

fn report(outcomes: &[(&str, &str, Outcome)]) -> String {
    let mut text = "# Security audit\n\n| check | about | result |\n|---|---|---|\n".to_owned();
    // Writing into a String does not fail.
    for (name, question, outcome) in outcomes {
        let _ = writeln!(text, "| {name} | {question} | {} |", summary(outcome).replace('|', "\\|"));
    }
    for (name, _, outcome) in outcomes {
        let Outcome::Found(findings) = outcome else { continue };
        if findings.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {name}\n");
        for finding in findings {
            let _ = writeln!(text, "- **{}** {}", finding.severity.as_str(), finding.text);
        }
    }
    let missing = outcomes.iter().filter(|(_, _, outcome)| matches!(outcome, Outcome::Missing(_))).count();
    if missing > 0 {
        let _ = writeln!(text, "\n{missing} check(s) were not made, so this report says nothing about them.");
    }
    text
}

/// High findings fail; so does a check that was not made, when all are required.
fn judge(outcomes: &[(&str, &str, Outcome)], require_all: bool) -> Result<()> {
    let mut high = 0;
    let mut missing = Vec::new();
    for (name, _, outcome) in outcomes {
        match outcome {
            Outcome::Found(findings) => {
                high += findings.iter().filter(|finding| finding.severity == Severity::High).count();
            }
            Outcome::Missing(_) => missing.push(*name),
        }
    }
    if high > 0 {
        bail!("{high} finding(s) of high severity");
    }
    if require_all && !missing.is_empty() {
        bail!("not made: {}", missing.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(severities: &[Severity]) -> (&'static str, &'static str, Outcome) {
        let findings = severities.iter().map(|severity| Finding::new(*severity, "a | b")).collect();
        ("tool", "about", Outcome::Found(findings))
    }

    fn missing() -> (&'static str, &'static str, Outcome) {
        ("absent", "about", Outcome::Missing("no network\nmore".to_owned()))
    }

    #[test]
    fn high_findings_fail_and_so_does_a_missing_check_that_is_required() {
        for (outcomes, require_all, passes) in [
            (vec![found(&[Severity::Low, Severity::Medium])], true, true),
            (vec![found(&[Severity::High])], false, false),
            (vec![found(&[]), missing()], false, true),
            (vec![found(&[]), missing()], true, false),
        ] {
            assert_eq!(judge(&outcomes, require_all).is_ok(), passes, "{outcomes:?}");
        }
    }

    #[test]
    fn a_report_names_what_was_not_made() {
        let report = report(&[found(&[Severity::Medium]), missing()]);
        assert!(report.contains("| absent | about | not made: no network |"), "{report}");
        assert!(report.contains("1 check(s) were not made"), "{report}");
        assert!(report.contains("- **medium** a | b"), "{report}");
    }

    #[test]
    fn words_that_are_not_known_are_taken_seriously() {
        for (word, severity) in [
            ("HIGH", Severity::High),
            ("critical", Severity::High),
            ("error", Severity::High),
            ("moderate", Severity::Medium),
            ("info", Severity::Low),
            ("catastrophic", Severity::High),
        ] {
            assert_eq!(Severity::read(word), severity, "{word}");
        }
    }
}
