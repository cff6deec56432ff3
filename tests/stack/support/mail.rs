//! A mail server, and what it has taken.

use std::ffi::OsStr;

use anyhow::{Context as _, Result};
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::scratch::{self, Scratch};
use seawall_xtask::stack::{self, Listening};
use seawall_xtask::step::Steps;
use seawall_xtask::tools;

use super::until;

/// A running mail server. Dropping it stops it.
pub(crate) struct MailServer {
    server: Listening,
    folder: Scratch,
}

impl MailServer {
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same for mail over TLS only: a certificate and its key, and `implicit` where TLS comes before all else.
    pub(crate) fn start_with(tls: &[&OsStr]) -> Result<Self> {
        let project = Project::here();
        tools::ensure_packages(&project, &Steps::new())?;
        let folder = scratch::dir("mail")?;
        let mut command = std::process::Command::new(tools::node(&project)?);
        command.arg("tests/smtp/server.mjs").arg(folder.path()).args(tls).current_dir(project.root());
        let server = stack::listening("mail server", command, "smtp listening on ", Logs::Keep)?;
        Ok(Self { server, folder })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Whether a client broke a session off.
    pub(crate) fn was_left(&self) -> bool {
        self.folder.path().join("broken").exists()
    }

    /// Its `SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.server.port)
    }

    /// Whether a mail waits to be let through.
    pub(crate) fn is_holding(&self) -> bool {
        self.folder.path().join("waiting").exists()
    }

    /// Lets through what is held.
    pub(crate) fn release(&self) -> Result<()> {
        std::fs::write(self.folder.path().join("go"), "").context("the mail server's folder")
    }

    /// The mails to `address`, oldest first.
    pub(crate) fn mails_to(&self, address: &str) -> Result<Vec<String>> {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .collect();
        names.sort();
        let mails = names.iter().map(|path| std::fs::read_to_string(path).context("a mail"));
        let mails: Vec<String> = mails.collect::<Result<_>>()?;
        let first = format!("Envelope-To: {address}\r\n");
        Ok(mails.into_iter().filter(|mail| mail.starts_with(&first)).collect())
    }

    /// Waits for the `count`th mail to `address`.
    pub(crate) async fn mail_to(&self, address: &str, count: usize) -> Result<String> {
        until(async || Ok(self.mails_to(address)?.len() >= count)).await?;
        self.mails_to(address)?.into_iter().nth(count - 1).context("it was there")
    }
}

/// The path of the address in a mail that begins with `prefix`.
pub(crate) fn link<'a>(mail: &'a str, prefix: &str) -> Result<&'a str> {
    let at = mail.find(prefix).with_context(|| format!("no {prefix} in:\n{mail}"))?;
    let rest = &mail[at..];
    Ok(rest.split(['\r', '\n', '>', ' ']).next().unwrap_or(rest))
}
