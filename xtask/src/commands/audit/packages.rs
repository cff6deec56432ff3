//! Packages from npm. None of them is deployed: they build, serve and test on developers' machines and in CI.

use anyhow::Result;
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use serde_json::Value;

use super::{Finding, Outcome, Severity};

pub(super) fn audit(project: &Project, _: &Steps, _: &Step) -> Result<Outcome> {
    let output = std::process::Command::new("npm")
        .args(["audit", "--json", "--audit=true", "--loglevel=silent"])
        .current_dir(project.root())
        .output()?;
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads npm's answer: the holes by package, or an error of the registry.
fn read(answer: &str) -> Outcome {
    let answer: Value = match serde_json::from_str(answer) {
        Ok(answer) => answer,
        Err(error) => return Outcome::Missing(format!("npm's answer is no JSON: {error}")),
    };
    let Some(packages) = answer["vulnerabilities"].as_object() else {
        let why = answer["message"].as_str().or_else(|| answer["error"]["summary"].as_str());
        return Outcome::Missing(why.unwrap_or("npm did not say why").to_owned());
    };
    let findings = packages.iter().map(|(name, hole)| {
        let severity = Severity::read(hole["severity"].as_str().unwrap_or_default());
        let titles: Vec<&str> =
            hole["via"].as_array().into_iter().flatten().filter_map(|via| via["title"].as_str()).collect();
        Finding::new(severity, format!("{name} {}: {}", hole["range"].as_str().unwrap_or_default(), titles.join("; ")))
    });
    Outcome::Found(findings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_refusals_are_told_apart() {
        let hole = r#"{"vulnerabilities":{"a":{"severity":"moderate","range":"<2","via":[{"title":"leaks"}]}}}"#;
        assert_eq!(read(hole), Outcome::Found(vec![Finding::new(Severity::Medium, "a <2: leaks")]));
        assert_eq!(read(r#"{"vulnerabilities":{}}"#), Outcome::Found(Vec::new()));
        assert_eq!(read(r#"{"message":"405"}"#), Outcome::Missing("405".to_owned()));
        assert!(matches!(read(""), Outcome::Missing(_)));
    }
}
