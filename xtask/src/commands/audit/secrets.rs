//! Secrets: secretlint over what Git keeps.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::{process, tools};
use serde_json::Value;

use super::{Finding, Outcome, Severity};

/// Most of the history that is read: far more than there is, and little enough for memory.
const HISTORY_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(super) fn files(project: &Project, _: &Steps, _: &Step) -> Result<Outcome> {
    let tracked = process::answer(Command::new("git").args(["ls-files"]).current_dir(project.root()))
        .context("git does not list the files")?;
    let output = secretlint(project)?.args(tracked.lines()).output()?;
    read(&output.stdout)
}

/// What was added by any commit that this checkout has.
pub(super) fn history(project: &Project, _: &Steps, _: &Step) -> Result<Outcome> {
    let shallow =
        process::answer(Command::new("git").args(["rev-parse", "--is-shallow-repository"]).current_dir(project.root()));
    if shallow.as_deref() != Some("false") {
        return Ok(Outcome::Missing("this checkout does not have the whole history".to_owned()));
    }
    let log = Command::new("git")
        .args(["log", "--patch", "--unified=0", "--no-color", "--no-ext-diff", "--format=commit %H", "HEAD"])
        .current_dir(project.root())
        .output()?;
    ensure!(log.status.success(), "git log failed");
    ensure!(log.stdout.len() <= HISTORY_BYTES_MAX, "the history has more than {HISTORY_BYTES_MAX} bytes");
    let mut command = secretlint(project)?;
    command.args(["--stdinFileName", "history.diff"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    let output = std::thread::scope(|scope| {
        let written = scope.spawn(move || input.write_all(&log.stdout));
        let output = child.wait_with_output();
        (output, written.join())
    });
    // That it stopped reading shows in what it says.
    read(&output.0?.stdout)
}

fn secretlint(project: &Project) -> Result<Command> {
    let mut command = tools::node_script(project, "secretlint/bin/secretlint.js")?;
    command.current_dir(project.root()).args(["--format", "json", "--secretlintrc"]);
    command.arg(project.path("xtask/audit/secretlint.json"));
    Ok(command)
}

/// Reads one object for each file. Where a secret stands is told, and never what it is.
fn read(answer: &[u8]) -> Result<Outcome> {
    let files: Vec<Value> = serde_json::from_slice(answer).context("secretlint did not answer")?;
    let findings = files.iter().flat_map(|file| {
        let name = file["filePath"].as_str().unwrap_or_default();
        file["messages"].as_array().into_iter().flatten().map(move |message| {
            let rule = message["ruleId"].as_str().unwrap_or_default();
            let line = message["loc"]["start"]["line"].as_u64().unwrap_or_default();
            Finding::new(Severity::High, format!("{name}:{line}: {rule}"))
        })
    });
    Ok(Outcome::Found(findings.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_its_place() -> Result<()> {
        let answer =
            r#"[{"filePath":"a.rs","messages":[{"ruleId":"aws","loc":{"start":{"line":3}},"message":"AKIA..."}]}]"#;
        let found = read(answer.as_bytes())?;
        assert_eq!(found, Outcome::Found(vec![Finding::new(Severity::High, "a.rs:3: aws")]));
        assert!(read(b"").is_err());
        Ok(())
    }
}
