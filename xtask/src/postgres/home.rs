//! Folders that the server's user can reach.
//!
//! Normally that is `.seawall/postgres`. Root's server runs as another user, who cannot enter a checkout below a closed
//! folder (root's home, or one from `mktemp -d`); then it is a folder under `/var/tmp` named after the checkout.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{drops_privileges, own_by_server};
use crate::process;
use crate::project::{Project, fingerprint};
use crate::scratch;

/// Survives a restart of the machine, unlike `/tmp`.
const REACHABLE: &str = "/var/tmp";

/// The folder of the checkout's cluster, which need not exist yet.
pub(super) fn folder(project: &Project) -> PathBuf {
    if drops_privileges() && !is_open(project.root()) {
        outside(project).join("data")
    } else {
        project.state("postgres")
    }
}

/// The same, created and owned by the server's user.
pub(super) fn persistent(project: &Project) -> Result<PathBuf> {
    project.state_dir("")?;
    let folder = folder(project);
    if !folder.starts_with(project.root()) {
        create_outside(project)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    own_by_server(&folder)?;
    Ok(folder)
}

/// A copy of the binaries outside the checkout, made once for each version.
pub(super) fn copy_of(project: &Project, native: &Path) -> Result<PathBuf> {
    create_outside(project)?;
    let version = fingerprint(&[&native.with_file_name("package.json")]);
    let copy = outside(project).join(format!("native-{version}"));
    if !copy.is_dir() {
        let partial = scratch::dir_in(&outside(project), "partial")?;
        let copied = partial.path().join("native");
        if process::answer(Command::new("cp").arg("-R").arg(native).arg(&copied)).is_none() {
            bail!("cannot copy {} to {}; is the disk full?", native.display(), copied.display());
        }
        // Two may race to this. The second finds a folder that holds the same, and its own copy goes with `partial`.
        if let Err(error) = fs::rename(&copied, &copy)
            && !copy.is_dir()
        {
            return Err(error).with_context(|| format!("cannot create {}", copy.display()));
        }
    }
    Ok(copy)
}

fn outside(project: &Project) -> PathBuf {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    project.root().hash(&mut hasher);
    Path::new(REACHABLE).join(format!("seawall-{:016x}", hasher.finish()))
}

/// Anyone may create names under `/var/tmp`, so a folder that is not ours is refused.
fn create_outside(project: &Project) -> Result<()> {
    let folder = outside(project);
    if !folder.exists() {
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let found = fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to someone else; remove it", folder.display());
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Whether every user may pass through the folder and all above it.
fn is_open(dir: &Path) -> bool {
    const OTHERS_MAY_PASS: u32 = 0o001;
    dir.ancestors().all(|dir| fs::metadata(dir).is_ok_and(|found| found.mode() & OTHERS_MAY_PASS != 0))
}

/// The parent of temporary clusters.
pub(super) fn temporary() -> PathBuf {
    let usual = std::env::temp_dir();
    if drops_privileges() && !is_open(&usual) { PathBuf::from(REACHABLE) } else { usual }
}

/// Removes the cluster and whatever else lies outside the checkout.
pub(super) fn remove(project: &Project) -> Result<()> {
    for folder in [folder(project), outside(project)] {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    Ok(())
}
