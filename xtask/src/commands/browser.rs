//! The site in a real browser: `cargo xtask test --only browser`, and `cargo xtask screenshots`, which keeps what it saw.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use seawall_xtask::postgres::Cluster;
use seawall_xtask::process::{self, Logs};
use seawall_xtask::project::Project;
use seawall_xtask::scratch;
use seawall_xtask::stack::{self, Origin};
use seawall_xtask::step::Steps;
use seawall_xtask::{build, screen, tools};

/// What drives the browser.
const SCRIPT: &str = "tests/browser/run.mjs";
/// What takes the mail with the link to sign in.
const MAIL_SERVER: &str = "tests/smtp/server.mjs";
/// Where pictures of the pages are kept.
const SCREENSHOTS: &str = "docs/screenshots";
/// All pictures together: a checkout should stay quick to fetch.
const SCREENSHOTS_BYTES_MAX: u64 = 2_000_000;

/// A city with several permits on a parcel and several pages of results.
const PERMITS: u32 = 4_000;
const SEED: u64 = 1;
const DATABASE: &str = "browser";
/// Who signs in, and sees what administrators do.
const ADMIN_EMAIL: &str = "admin@example.org";
/// What callers of `/cron` show; the site ends with the run.
const CRON_SECRET: &str = "the-browser-tests-own-secret-of-one-run";

/// The generated city ends on a fixed day; stations have a velocity when their reviews are of the last months.
const REVIEWS_OF_NOW: &str = "
    UPDATE addenda SET arrive = arrive + days, finish_date = finish_date + days
      FROM (SELECT (current_date - max(arrive)::date) * interval '1 day' AS days FROM addenda) late";

/// Keeps a picture of each page.
pub(crate) fn screenshots(project: &Project) -> Result<()> {
    tools::require_prerequisites(project)?;
    let folder = project.path(SCREENSHOTS);
    prove(project, Some(&folder), &Steps::new())?;
    let mut bytes = 0;
    for picture in fs::read_dir(&folder).with_context(|| format!("cannot read {SCREENSHOTS}"))? {
        bytes += picture?.metadata()?.len();
    }
    screen::line(&format!("{SCREENSHOTS} holds {} kB", bytes / 1_000));
    ensure!(bytes <= SCREENSHOTS_BYTES_MAX, "{SCREENSHOTS} holds more than {SCREENSHOTS_BYTES_MAX} bytes");
    Ok(())
}

/// Looks at every page as visitors and an administrator would: in light, dark, on a phone and on paper, by keyboard,
/// without scripts.
///
/// # Errors
/// When a page is not as it should be; the message says which, and what.
pub(crate) fn prove(project: &Project, pictures: Option<&Path>, steps: &Steps) -> Result<()> {
    tools::ensure_packages(project, steps)?;
    let browser = tools::ensure_browser(project, steps)?;
    let program = build::origin(project, build::Profile::Dev, steps)?;
    let cluster = steps.run("start a Postgres for this run", |_| Cluster::start_temp())?;
    let origin = Origin { program, database_url: cluster.create_database(DATABASE)? };
    steps.run("bring the schema up to date", |step| origin.migrate(step))?;
    let files = scratch::dir("browser")?;
    stack::load_sample(&origin, SEED, PERMITS, files.path(), steps)?;
    cluster.execute(DATABASE, REVIEWS_OF_NOW)?;
    let mails = scratch::dir("browser-mail")?;
    steps.run("the site in a browser", |step| {
        let mut command = Command::new(tools::node(project)?);
        command.current_dir(project.root()).arg(project.path(MAIL_SERVER)).arg(mails.path());
        let mail = stack::listening("mail server", command, "smtp listening on ", Logs::Keep)?;
        let smtp = format!("smtp://127.0.0.1:{}", mail.port);
        let environment = [
            ("RATE_LIMITS", "off"),
            ("CRON_WORKER", "on"),
            ("CRON_SECRET", CRON_SECRET),
            ("ADMIN_EMAIL", ADMIN_EMAIL),
            ("SMTP_URL", &smtp),
        ];
        let site = origin.serve(0, &environment, Logs::Keep)?;
        let mut script = Command::new(tools::node(project)?);
        script.current_dir(project.root()).arg(project.path(SCRIPT)).arg(site.url());
        script.args(pictures).env("CRON_SECRET", CRON_SECRET);
        script.env("ADMIN_EMAIL", ADMIN_EMAIL).env("MAIL_FOLDER", mails.path());
        browser.tell(&mut script);
        process::run("the browser's run", script, step)
    })
}
