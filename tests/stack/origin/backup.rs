use std::process::{Command, Output};

use anyhow::{Context, Result};
use seawall_xtask::project::Project;
use seawall_xtask::scratch;
use seawall_xtask::step::Steps;
use seawall_xtask::tools::python;

use crate::support::{City, Database};

/// Runs a script of `deploy/` with the client programs of the server's version.
pub(super) fn run(script: &str, file: &std::path::Path, database: &Database) -> Result<Output> {
    let project = Project::here();
    let clients = python::postgres_clients(&project, &Steps::new())?;
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([clients].into_iter().chain(std::env::split_paths(&others)))?;
    Command::new(project.path("deploy").join(script))
        .arg(file)
        .env("PATH", path)
        .env("DATABASE_URL", &database.origin.database_url)
        .output()
        .with_context(|| format!("cannot run {script}"))
}

/// The drill of docs/operating/drills.md: what is backed up is what comes back, to the byte, and is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_backup_comes_back_whole() -> Result<()> {
    let city = City::shared()?;
    let folder = scratch::dir("backup")?;
    let file = folder.path().join("city.dump");
    let output = run("backup.sh", &file, city.database())?;
    assert!(output.status.success(), "{output:?}");
    let again = run("backup.sh", &file, city.database())?;
    assert!(!again.status.success(), "a backup is never written over another");

    let restored = Database::create_empty("restored")?;
    let output = run("restore.sh", &file, &restored)?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(restored.contents().await?, city.database().contents().await?);
    let migrated = restored.origin.command(&["migrate"]).output()?;
    assert!(String::from_utf8_lossy(&migrated.stdout).contains("nothing to apply"), "{migrated:?}");
    let permit = restored.some_permit().await?;
    let site = restored.serve()?;
    let report = site.visitor().get(&format!("/report/{}/{}", permit.block, permit.lot)).await?;
    assert_eq!(report.status, 200, "{}", report.text());

    let into_another = run("restore.sh", &file, &restored)?;
    assert!(!into_another.status.success(), "a database with tables in it is left as it is");
    Ok(())
}

/// Half a backup restores nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn half_a_backup_changes_nothing() -> Result<()> {
    let city = City::shared()?;
    let folder = scratch::dir("backup-half")?;
    let file = folder.path().join("city.dump");
    assert!(run("backup.sh", &file, city.database())?.status.success());
    let whole = std::fs::read(&file)?;
    std::fs::write(&file, &whole[..whole.len() / 2])?;
    let restored = Database::create_empty("restored_half")?;
    assert!(!run("restore.sh", &file, &restored)?.status.success());
    assert_eq!(restored.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await?, 0);
    Ok(())
}
