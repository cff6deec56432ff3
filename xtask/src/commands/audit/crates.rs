//! Crates: cargo-deny, with `deny.toml`.

use anyhow::Result;
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::tools;
use serde_json::Value;

use super::{Finding, Outcome, Severity};

/// Holes that RustSec's database knows. It lies in a Git repository on GitHub.
pub(super) fn advisories(project: &Project, steps: &Steps, _: &Step) -> Result<Outcome> {
    check(project, steps, &["advisories"])
}

/// What needs no network.
pub(super) fn rules(project: &Project, steps: &Steps, _: &Step) -> Result<Outcome> {
    check(project, steps, &["bans", "licenses", "sources"])
}

fn check(project: &Project, steps: &Steps, what: &[&str]) -> Result<Outcome> {
    let program = tools::CrateTool::CARGO_DENY.ensure(project, steps)?;
    let mut command = std::process::Command::new(program);
    command.current_dir(project.root()).args(["--format", "json", "--all-features", "check"]).args(what);
    let output = command.output()?;
    Ok(read(&String::from_utf8_lossy(&output.stderr), output.status.success()))
}

/// Reads cargo-deny's lines, of which each is a JSON object. One that failed without a finding was not made.
fn read(lines: &str, passed: bool) -> Outcome {
    let mut findings = Vec::new();
    let mut problems = Vec::new();
    for line in lines.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let fields = &line["fields"];
        let message = fields["message"].as_str().unwrap_or_default();
        match line["type"].as_str() {
            Some("diagnostic") => {
                let severity = Severity::read(fields["severity"].as_str().unwrap_or_default());
                let crates: Vec<String> = fields["graphs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|graph| {
                        Some(format!("{} {}", graph["Krate"]["name"].as_str()?, graph["Krate"]["version"].as_str()?))
                    })
                    .collect();
                let advisory = fields["advisory"]["id"].as_str().unwrap_or_default();
                let text = format!("{advisory} {message} {}", crates.join(", "));
                findings.push(Finding::new(severity, text.trim()));
            }
            Some("log") if fields["level"] == "ERROR" => problems.push(message.to_owned()),
            _ => {}
        }
    }
    if !passed && findings.is_empty() {
        let why =
            if problems.is_empty() { "cargo-deny failed and did not say why".to_owned() } else { problems.join("; ") };
        return Outcome::Missing(why);
    }
    Outcome::Found(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_and_failures_are_told_apart() {
        let finding = r#"{"type":"diagnostic","fields":{"severity":"error","message":"a hole","advisory":{"id":"RUSTSEC-1"},"graphs":[{"Krate":{"name":"a","version":"1.0.0"}}]}}"#;
        let broken = r#"{"type":"log","fields":{"level":"ERROR","message":"failed to fetch"}}"#;
        let note = r#"{"type":"summary","fields":{}}"#;
        assert_eq!(
            read(finding, false),
            Outcome::Found(vec![Finding::new(Severity::High, "RUSTSEC-1 a hole a 1.0.0")])
        );
        assert_eq!(read(broken, false), Outcome::Missing("failed to fetch".to_owned()));
        assert_eq!(read(note, true), Outcome::Found(Vec::new()));
        assert!(matches!(read("no JSON", false), Outcome::Missing(_)));
    }
}
