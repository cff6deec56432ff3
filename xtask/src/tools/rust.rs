//! Compilation targets from rustup, and tools that cargo builds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::lockfile;
use crate::process;
use crate::project::Project;
use crate::step::Steps;

/// The targets of `rust-toolchain.toml` that the active toolchain lacks.
#[must_use]
pub fn missing_targets(project: &Project) -> Vec<String> {
    let Some(sysroot) = process::answer(Command::new("rustc").args(["--print", "sysroot"]).current_dir(project.root()))
    else {
        return wanted_targets(project);
    };
    let libraries = PathBuf::from(sysroot).join("lib/rustlib");
    wanted_targets(project).into_iter().filter(|target| !libraries.join(target).join("lib").is_dir()).collect()
}

fn wanted_targets(project: &Project) -> Vec<String> {
    let text = fs::read_to_string(project.path("rust-toolchain.toml")).unwrap_or_default();
    listed_targets(&text)
}

/// The strings of the line `targets = [..]`.
fn listed_targets(text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with("targets")).unwrap_or_default();
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Adds the targets that are missing.
///
/// # Errors
/// When rustup is missing or fails, as it does without a network.
pub fn ensure_targets(project: &Project, steps: &Steps) -> Result<()> {
    let missing = missing_targets(project);
    if missing.is_empty() {
        return Ok(());
    }
    steps.run(&format!("add the Rust targets {}", missing.join(", ")), |step| {
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add"]).args(&missing).current_dir(project.root());
        process::run("rustup target add", rustup, step)
            .context("cannot add Rust targets; install rustup from https://rustup.rs, or check the network")
    })
}

/// A program that cargo builds in the version that fits the workspace.
#[derive(Clone, Copy, Debug)]
pub struct CrateTool {
    /// The crate to install.
    package: &'static str,
    /// The program of it that is used.
    program: &'static str,
    /// Which version fits.
    version: Version,
    /// Whether its default features are of use to us.
    default_features: bool,
}

/// Which version of a tool fits the workspace.
#[derive(Clone, Copy, Debug)]
enum Version {
    /// That of this crate in `Cargo.lock`.
    Of(&'static str),
    /// This one; nothing in the workspace depends on it.
    Exact(&'static str),
}

impl CrateTool {
    /// Writes the JavaScript side of a WASM module. Its format changes with every version of the library. The default
    /// feature is TLS for downloading browsers' drivers.
    pub const WASM_BINDGEN: Self = Self {
        package: "wasm-bindgen-cli",
        program: "wasm-bindgen",
        version: Version::Of("wasm-bindgen"),
        default_features: false,
    };

    /// Looks for known holes and licences; `cargo xtask audit` installs it.
    pub const CARGO_DENY: Self = Self {
        package: "cargo-deny",
        program: "cargo-deny",
        version: Version::Exact("0.20.2"),
        default_features: true,
    };

    /// The crate's name.
    #[must_use]
    pub fn package(&self) -> &'static str {
        self.package
    }

    /// The version that fits the workspace.
    ///
    /// # Errors
    /// When the workspace does not use the library.
    pub fn version(&self, project: &Project) -> Result<String> {
        match self.version {
            Version::Of(name) => lockfile::version(project, name),
            Version::Exact(version) => Ok(version.to_owned()),
        }
    }

    /// Where it is in the fitting version: in this checkout, or on `PATH`.
    #[must_use]
    pub fn path(&self, project: &Project) -> Option<PathBuf> {
        let version = self.version(project).ok()?;
        let ours = self.folder(project, &version).join("bin").join(self.program);
        if ours.is_file() {
            return Some(ours);
        }
        let theirs = process::on_path(self.program)?;
        let said = process::answer(Command::new(&theirs).arg("--version"))?;
        (said.split_whitespace().last() == Some(&*version)).then_some(theirs)
    }

    /// The same, installed first if need be.
    ///
    /// # Errors
    /// When cargo fails, as it does without a network or a C compiler.
    pub fn ensure(&self, project: &Project, steps: &Steps) -> Result<PathBuf> {
        if let Some(path) = self.path(project) {
            return Ok(path);
        }
        let version = self.version(project)?;
        let _lock = project.wait_for_lock("setup-tools")?;
        if let Some(path) = self.path(project) {
            return Ok(path);
        }
        steps.run(&format!("build {} {version}", self.package), |step| {
            let mut cargo = super::cargo(project);
            cargo
                .args(["install", "--locked", "--no-track", "--force", "--bin", self.program])
                .arg("--root")
                .arg(self.folder(project, &version))
                .arg(format!("{}@{version}", self.package))
                // A tool that runs for a second is compiled for a quick build, and what two tools share is built once.
                .env("CARGO_TARGET_DIR", project.state("tools/target"))
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
            if !self.default_features {
                cargo.arg("--no-default-features");
            }
            process::run(&format!("cargo install {}", self.package), cargo, step)
                .with_context(|| format!("cannot build {}; is there a network and a C compiler?", self.package))
        })?;
        self.path(project).with_context(|| format!("cargo installed {} and it is not there", self.package))
    }

    fn folder(&self, project: &Project, version: &str) -> PathBuf {
        project.state(&format!("tools/{}-{version}", self.package))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_quoted_words_of_their_line() {
        let text = "channel = \"1.95.0\"\ntargets = [\"wasm32-unknown-unknown\", \"thumbv7m-none-eabi\"]\n";
        assert_eq!(listed_targets(text), ["wasm32-unknown-unknown", "thumbv7m-none-eabi"]);
        assert_eq!(listed_targets("channel = \"1.95.0\"\n"), [""; 0]);
    }

    #[test]
    fn the_workspace_wants_targets() {
        assert!(wanted_targets(&Project::here()).contains(&"wasm32-unknown-unknown".to_owned()));
    }
}
