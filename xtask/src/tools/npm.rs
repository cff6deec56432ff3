//! Packages from npm: wrangler, Miniflare, binaryen, esbuild, Node itself and Postgres.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::project::{Project, fingerprint};
use crate::step::Steps;

/// The oldest Node whose npm reads our lock file. The Node that Seawall itself runs on comes from npm.
pub(super) const NODE_FOR_NPM_MIN: u32 = 18;

const STAMP: &str = "npm";

/// Installs what `package-lock.json` says, unless that is done.
///
/// # Errors
/// When npm is missing or fails, as it does without a network.
pub fn ensure_packages(project: &Project, steps: &Steps) -> Result<()> {
    if packages_are_current(project) {
        return Ok(());
    }
    let _lock = project.wait_for_lock("setup-npm")?;
    if packages_are_current(project) {
        return Ok(());
    }
    steps.run("install the packages of package-lock.json", |step| {
        let mut npm = Command::new("npm");
        // The versions of engines are checked by us, for the Node that is used and not for the one that installs.
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(project.root());
        process::run("npm ci", npm, step)
            .context("cannot install the npm packages; is there a network? (the registry is registry.npmjs.org)")?;
        project.stamp(STAMP, &inputs(project))
    })
}

/// Whether `node_modules/` holds what `package-lock.json` says.
#[must_use]
pub fn packages_are_current(project: &Project) -> bool {
    // npm writes this file last.
    project.npm(".package-lock.json").is_file() && project.is_stamped(STAMP, &inputs(project))
}

fn inputs(project: &Project) -> String {
    fingerprint(&[&project.path("package-lock.json"), &project.path(".npmrc")])
}

/// Major and minor version of the Node on `PATH`.
#[must_use]
pub fn system_node_version() -> Option<(u32, u32)> {
    parsed(&process::answer(Command::new("node").arg("--version"))?)
}

/// The version of the npm on `PATH`.
#[must_use]
pub fn npm_version() -> Option<String> {
    process::answer(Command::new("npm").args(["--version", "--loglevel=error"]))
}

/// `v24.21.0` to `(24, 21)`.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_are_read() {
        let cases = [("v24.21.0", Some((24, 21))), ("v8.0.0-nightly", Some((8, 0))), ("24.1.0", None), ("", None)];
        for (text, expect) in cases {
            assert_eq!(parsed(text), expect, "{text}");
        }
    }
}
