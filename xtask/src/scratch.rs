//! Temporary folders that go away with their owner.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A temporary folder, removed on drop.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

/// Creates an empty folder under the system's temporary folder, with `purpose` in its name.
///
/// # Errors
/// When the folder cannot be created.
pub fn dir(purpose: &str) -> Result<Scratch> {
    dir_in(&std::env::temp_dir(), purpose)
}

/// The same below another folder.
///
/// # Errors
/// When the folder cannot be created.
pub fn dir_in(parent: &Path, purpose: &str) -> Result<Scratch> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = parent.join(format!("seawall-{purpose}-{}-{number}", std::process::id()));
    // A folder of that name can only be left from a process with our id that is gone.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(Scratch { path })
}

impl Scratch {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the temporary folder do no harm.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
