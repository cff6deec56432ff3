//! Tests that cross processes share one machine with all the others, so a failure may be the machine's: the few that fail are
//! run once more by themselves (docs/decisions/0029-a-second-run-alone.md).

use anyhow::{Result, bail, ensure};
use seawall_xtask::project::Project;
use seawall_xtask::step::Steps;
use seawall_xtask::{process, screen};

/// More than these at a time are no accident of the machine. Their names fit into the last lines of output that are kept.
const ALONE_MAX: usize = 3;

/// Runs `cargo` with these arguments, which choose one program of tests, and what failed of it once more, one after the other.
///
/// # Errors
/// When more than [`ALONE_MAX`] tests fail, when one fails again, or when the program does not say which failed.
pub(super) fn prove(project: &Project, name: &str, arguments: &[&str], steps: &Steps) -> Result<()> {
    let failed = steps.run(name, |step| {
        let (status, said) = process::try_aloud(name, super::cargo(project, arguments))?;
        if status.success() {
            return Ok(Vec::new());
        }
        let failed = failed(&said);
        let are_all = count(&said, " failed;") == Some(failed.len());
        if !are_all || !(1..=ALONE_MAX).contains(&failed.len()) {
            bail!("{name} failed ({status})");
        }
        step.note(&format!("{} failed", failed.join(", ")));
        Ok(failed)
    })?;
    if failed.is_empty() {
        return Ok(());
    }
    let again = format!("once more, alone: {}", failed.join(", "));
    let chosen = ["--", "--exact", "--test-threads=1"];
    let arguments: Vec<&str> =
        arguments.iter().copied().chain(chosen).chain(failed.iter().map(String::as_str)).collect();
    steps.run(&again, |_| {
        let (status, said) = process::try_aloud(&again, super::cargo(project, &arguments))?;
        let passed = count(&said, " passed;");
        ensure!(status.success() && passed == Some(failed.len()), "failed again ({status})");
        Ok(())
    })?;
    screen::line(&format!("passed alone only, and worth a look: {}", failed.join(", ")));
    Ok(())
}

/// The names that a program of tests lists when it ends.
fn failed(said: &str) -> Vec<String> {
    let Some((_, list)) = said.rsplit_once("failures:\n") else { return Vec::new() };
    list.lines().map_while(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

/// The number before a word in the line of results.
fn count(said: &str, word: &str) -> Option<usize> {
    let line = said.lines().rev().find(|line| line.starts_with("test result: "))?;
    line.split_once(word)?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_stands_at_the_end() {
        let end = "\ntest result: FAILED. 2 passed; 2 failed; 0 ignored; finished in 1.0s\n\nerror: test failed";
        let two = format!("failures:\n\n---- a::b stdout ----\nError: no\n\n\nfailures:\n    a::b\n    c::d\n{end}");
        for (said, expect) in [
            (&*two, &["a::b", "c::d"][..]),
            ("test result: ok. 4 passed; 0 failed", &[]),
            // It does not compile.
            ("error: could not compile `seawall-tests`", &[]),
            // So many that the beginning of the list is not kept.
            ("    a::b\n    c::d\n\ntest result: FAILED", &[]),
        ] {
            assert_eq!(failed(said), expect, "{said}");
        }
        assert_eq!((count(&two, " passed;"), count(&two, " failed;")), (Some(2), Some(2)));
        // Another stream's line stands between the names, so that one of them is missed.
        let torn = two.replace("    c::d", "error: test failed\n    c::d");
        assert_ne!(Some(failed(&torn).len()), count(&torn, " failed;"));
    }
}
