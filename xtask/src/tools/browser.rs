//! A browser that tests can drive: Chromium, or one of its kin.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, node_script};
use crate::process;
use crate::project::Project;
use crate::step::Steps;

/// Names on `PATH`.
const PROGRAMS: [&str; 6] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome"];
/// Places that are not on `PATH`.
const PLACES: [&str; 3] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
];
/// A program that is to be used and no other.
const CHROME_PATH: &str = "CHROME_PATH";

/// Playwright, which drives the browser; package.json pins its version.
const PLAYWRIGHT: &str = "playwright-core/cli.js";
/// Where Playwright finds the browser that it downloaded.
const DOWNLOADS: &str = "PLAYWRIGHT_BROWSERS_PATH";

/// Where the browser is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browser {
    /// A program of this machine.
    Program(PathBuf),
    /// Playwright's own, below this folder.
    Downloaded(PathBuf),
}

impl Browser {
    /// Tells a script of ours where the browser is.
    pub fn tell(&self, script: &mut Command) {
        match self {
            Self::Program(program) => script.env(CHROME_PATH, program),
            Self::Downloaded(folder) => script.env_remove(CHROME_PATH).env(DOWNLOADS, folder),
        };
    }
}

/// A browser: the one that `CHROME_PATH` names, one that is installed, Debian's where we may install packages, or the one
/// that Playwright downloads into `.seawall/`.
///
/// # Errors
/// When there is none, and none can be downloaded.
pub fn ensure_browser(project: &Project, steps: &Steps) -> Result<Browser> {
    if let Some(program) = std::env::var_os(CHROME_PATH) {
        let program = PathBuf::from(program);
        runs(&program).with_context(|| format!("{CHROME_PATH} is {}, which does not run", program.display()))?;
        return Ok(Browser::Program(program));
    }
    if let Some(program) = installed() {
        return Ok(Browser::Program(program));
    }
    // Ubuntu's package of that name only points to a snap, which may not run; then it is not found afterwards either.
    if apt::can_install()
        && apt::install(project, &["chromium", "fonts-liberation"], steps).is_ok()
        && let Some(program) = installed()
    {
        return Ok(Browser::Program(program));
    }
    download(project, steps).context(
        "there is no browser for the tests: install Chromium (Debian: apt install chromium) or Chrome, or set CHROME_PATH",
    )
}

/// A browser of this machine that runs.
#[must_use]
pub fn installed() -> Option<PathBuf> {
    let named = PROGRAMS.iter().filter_map(|program| process::on_path(program));
    named.chain(PLACES.iter().map(PathBuf::from)).find(|program| runs(program).is_some())
}

/// What it says of its version.
fn runs(program: &Path) -> Option<String> {
    process::answer(Command::new(program).arg("--version"))
}

fn download(project: &Project, steps: &Steps) -> Result<Browser> {
    let folder = project.state_dir("browsers")?;
    let _alone = project.wait_for_lock("setup-browser")?;
    // It returns at once when its browser is there.
    steps.run("download Playwright's Chromium", |step| {
        let mut install = node_script(project, PLAYWRIGHT)?;
        install.args(["install", "chromium", "--only-shell"]).env(DOWNLOADS, &folder);
        process::run("playwright install", install, step)
    })?;
    Ok(Browser::Downloaded(folder))
}
