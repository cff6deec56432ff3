//! Where the checkout and everything generated in it lie.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::interrupt;
use crate::screen;

/// How often a lock that is held is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One checkout of Seawall. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The checkout that cargo runs us in; without cargo, the one around the current folder.
    ///
    /// The path known at compile time comes last: with one target folder for several checkouts, cargo takes a program
    /// of one of them for that of another.
    #[must_use]
    pub fn here() -> Self {
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
        let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let current = std::env::current_dir().ok();
        let root = [running.as_deref(), current.as_deref(), Some(compiled)].into_iter().flatten().find_map(root_above);
        Self { root: root.unwrap_or(compiled).to_path_buf() }
    }

    /// The folder with the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the checkout.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// `.seawall/`: the database, installed tools, stamps and locks of this checkout. Git ignores it.
    #[must_use]
    pub fn state(&self, relative: &str) -> PathBuf {
        self.root.join(".seawall").join(relative)
    }

    /// A path among the npm packages.
    #[must_use]
    pub fn npm(&self, relative: &str) -> PathBuf {
        self.root.join("node_modules").join(relative)
    }

    /// Cargo's target folder: `CARGO_TARGET_DIR` when set, else `target/`.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }

    /// The built Worker: `index.js` and `index_bg.wasm`.
    #[must_use]
    pub fn worker_build(&self) -> PathBuf {
        self.path("edge/worker/build")
    }

    /// Creates a folder of `.seawall/` and returns its path.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn state_dir(&self, relative: &str) -> Result<PathBuf> {
        let dir = self.state(relative);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Takes the lock `.seawall/<name>.lock`, or says that another process holds it.
    ///
    /// # Errors
    /// When the lock file cannot be created or written.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        self.state_dir("")?;
        let path = self.state(&format!("{name}.lock"));
        loop {
            let file = File::options().create(true).append(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            // The last holder removes its file on the way out. A lock on a file that is gone guards nothing.
            if !same_file(&file, &path) {
                continue;
            }
            file.set_len(0)?;
            writeln!(&file, "{}", std::process::id())?;
            return Ok(Some(Lock { path, _file: file }));
        }
    }

    /// Takes the lock, waiting for another process to give it back.
    ///
    /// # Errors
    /// When the lock file cannot be written, or a signal came.
    pub fn wait_for_lock(&self, name: &str) -> Result<Lock> {
        let mut told = false;
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            if !told {
                told = true;
                screen::line(&format!("  waiting for another `cargo xtask` ({name})"));
            }
            interrupt::check()?;
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the stamp `.seawall/stamps/<name>` says that `inputs` are already satisfied.
    #[must_use]
    pub fn is_stamped(&self, name: &str, inputs: &str) -> bool {
        fs::read_to_string(self.state("stamps").join(name)).is_ok_and(|stored| stored == inputs)
    }

    /// What the stamp says, if there is one.
    #[must_use]
    pub fn stamp_text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.state("stamps").join(name)).ok()
    }

    /// Records that `inputs` are satisfied.
    ///
    /// # Errors
    /// When the stamp cannot be written.
    pub fn stamp(&self, name: &str, inputs: &str) -> Result<()> {
        let path = self.state_dir("stamps")?.join(name);
        fs::write(&path, inputs).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A lock held by this process. The kernel frees it when the process ends in whatever way; dropping it also removes
/// the file.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nothing to do about a failure: the next holder takes over the file as it is.
        let _ = fs::remove_file(&self.path);
    }
}

/// The closest folder upwards that has the traffic policy in it.
fn root_above(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join("policy.toml").is_file())
}

fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.ino() == named.ino() && held.dev() == named.dev(),
        _ => false,
    }
}

/// A number that changes when one of the files does; a missing file counts as empty.
///
/// For stamps only: it is not stable over Rust releases, where a change merely repeats a step.
#[must_use]
pub fn fingerprint(files: &[&Path]) -> String {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(Project::here().path("policy.toml").is_file());
    }

    #[test]
    fn a_lock_has_one_holder_and_leaves_no_file() -> Result<()> {
        let project = Project { root: crate::scratch::dir("lock")?.path().to_path_buf() };
        let first = project.try_lock("up")?;
        assert!(first.is_some());
        assert!(project.try_lock("up")?.is_none());
        drop(first);
        assert!(!project.state("up.lock").exists());
        assert!(project.try_lock("up")?.is_some());
        Ok(())
    }
}
