//! An extension that the server's own package does not bring.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Copies an extension of the installation in `from` into `folder`, where the server's user can read it, and gives the
/// settings by which a server of the same major version, 18 or newer, finds it there.
pub(super) fn copy(from: &Path, name: &str, folder: &Path) -> Result<Vec<String>> {
    let share = folder.join("share");
    let (scripts, libraries) = (share.join("extension"), folder.join("lib"));
    for folder in [&share, &scripts, &libraries] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let all = from.join("share/postgresql/extension");
    let mut copied = 0;
    for entry in fs::read_dir(&all).with_context(|| format!("{} is gone", all.display()))? {
        let entry = entry?;
        let file = entry.file_name();
        let of_it = file.to_str().and_then(|file| file.strip_prefix(name));
        if of_it.is_some_and(|rest| rest.starts_with("--") || rest == ".control") {
            fs::copy(entry.path(), scripts.join(&file))?;
            copied += 1;
        }
    }
    ensure!(copied > 1, "{} has no extension {name}", all.display());
    let library = format!("{name}.so");
    fs::copy(from.join("lib/postgresql").join(&library), libraries.join(&library))
        .with_context(|| format!("{library} is gone"))?;
    Ok(vec![
        format!("extension_control_path={}:$system", share.display()),
        format!("dynamic_library_path={}:$libdir", libraries.display()),
    ])
}
