//! What deploys: the image's recipe, the workflows, the scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::tools;
use serde_json::Value;

use super::{Finding, Outcome, Severity};
use crate::commands::test::workflows as linted;

pub(super) fn image(project: &Project, _: &Steps, step: &Step) -> Result<Outcome> {
    let Some(hadolint) = tools::python::program(project, "hadolint", step)? else { return Ok(no_python()) };
    let output =
        Command::new(hadolint).args(["--format", "json", "Dockerfile"]).current_dir(project.root()).output()?;
    findings(&output.stdout, |entry| {
        let text = format!("{}:{} {} {}", entry["file"], entry["line"], entry["code"], entry["message"]);
        Some((entry["level"].as_str()?.to_owned(), text))
    })
}

pub(super) fn workflows(project: &Project, _: &Steps, step: &Step) -> Result<Outcome> {
    let Some(zizmor) = tools::python::program(project, "zizmor", step)? else { return Ok(no_python()) };
    let output = Command::new(zizmor)
        .args(["--offline", "--no-progress", "--format", "json", ".github/workflows"])
        .current_dir(project.root())
        .output()?;
    let found = findings(&output.stdout, |entry| {
        let place = &entry["locations"][0]["symbolic"]["key"]["Local"]["verbatim_path"];
        let text = format!("{place}: {} {}", entry["ident"], entry["desc"]);
        Some((entry["determinations"]["severity"].as_str()?.to_owned(), text))
    })?;
    let Outcome::Found(mut findings) = found else { return Ok(found) };
    findings.extend(linted::findings(project)?.into_iter().map(|line| Finding::new(Severity::High, line)));
    Ok(Outcome::Found(findings))
}

pub(super) fn scripts(project: &Project, _: &Steps, step: &Step) -> Result<Outcome> {
    let Some(shellcheck) = tools::python::program(project, "shellcheck", step)? else { return Ok(no_python()) };
    let output = Command::new(shellcheck)
        .args(["--format", "json"])
        .args(shell_scripts(project)?)
        .current_dir(project.root())
        .output()?;
    findings(&output.stdout, |entry| {
        let text = format!("{}:{} SC{} {}", entry["file"], entry["line"], entry["code"], entry["message"]);
        Some((entry["level"].as_str()?.to_owned(), text))
    })
}

fn no_python() -> Outcome {
    Outcome::Missing("python3 with venv and pip is not installed, or PyPI is not reachable".to_owned())
}

fn shell_scripts(project: &Project) -> Result<Vec<PathBuf>> {
    let mut scripts = vec![project.path(".ci/run")];
    for entry in std::fs::read_dir(project.path("deploy")).context("deploy/ is gone")? {
        let path = entry?.path();
        if path.extension() == Some(Path::new("sh").as_os_str()) {
            scripts.push(path);
        }
    }
    Ok(scripts)
}

/// Reads an array of a tool's findings. `read` gives the tool's word for the severity, and a text.
fn findings(answer: &[u8], read: impl Fn(&Value) -> Option<(String, String)>) -> Result<Outcome> {
    let entries: Vec<Value> = serde_json::from_slice(answer).context("the tool's answer is no list")?;
    let finding = |entry: &Value| {
        let (word, text) = read(entry).context("the tool's answer has another form than its version should have")?;
        Ok(Finding::new(Severity::read(&word), text.replace('"', "")))
    };
    Ok(Outcome::Found(entries.iter().map(finding).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_form_is_no_pass() {
        let read = |entry: &Value| Some((entry["level"].as_str()?.to_owned(), entry["message"].to_string()));
        let one = findings(br#"[{"level":"warning","message":"m"}]"#, read).expect("a list");
        assert_eq!(one, Outcome::Found(vec![Finding::new(Severity::Medium, "m")]));
        assert!(findings(br#"[{"severity":"high"}]"#, read).is_err());
        assert!(findings(b"", read).is_err());
    }
}
