//! Versions from `Cargo.lock`.

use std::fs;

use anyhow::{Context, Result};

use crate::project::Project;

/// The version of a crate that the workspace is locked to.
///
/// # Errors
/// When the crate is not in `Cargo.lock`.
pub fn version(project: &Project, name: &str) -> Result<String> {
    let path = project.path("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    locked(&text, name).with_context(|| format!("{name} is not in Cargo.lock"))
}

/// Cargo writes each package as a table that begins with `name` and `version`, in this order.
fn locked(text: &str, name: &str) -> Option<String> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = text.lines();
    lines.find(|line| *line == wanted)?;
    Some(lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_whole_name() {
        let text = "[[package]]\nname = \"worker-sys\"\nversion = \"0.8.1\"\n\n[[package]]\nname = \"worker\"\nversion = \"0.8.7\"\n";
        for (name, expect) in [("worker", Some("0.8.7")), ("worker-sys", Some("0.8.1")), ("work", None)] {
            assert_eq!(locked(text, name).as_deref(), expect, "{name}");
        }
    }

    #[test]
    fn the_workspace_is_locked_to_a_version_of_anyhow() {
        assert!(version(&Project::here(), "anyhow").is_ok_and(|version| version.starts_with("1.")));
    }
}
