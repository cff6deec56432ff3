//! The workflow files, as GitHub would read them.

use anyhow::{Result, ensure};
use seawall_xtask::project::Project;
use seawall_xtask::tools;

/// One line for each thing that is wrong in `.github/workflows`.
///
/// # Errors
/// When the linter cannot be run.
pub(crate) fn findings(project: &Project) -> Result<Vec<String>> {
    let mut lint = std::process::Command::new(tools::node(project)?);
    lint.arg(project.path("xtask/workflows/lint.mjs")).arg(".github/workflows").current_dir(project.root());
    let output = lint.output()?;
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() == lines.is_empty(), "the linter of workflows failed: {said}");
    Ok(lines)
}
