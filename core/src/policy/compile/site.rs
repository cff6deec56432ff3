//! The tables `[site]`, `[security]`, `[maintenance]` and `[[cron]]`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use super::reader::{Entry, Section};
use super::{PolicyError, route};
use crate::policy::site::{Diagnostics, Hosts, Job, Maintenance, SECURITY_FIELDS, SecurityFields, Site};
use crate::policy::{Pattern, Upstream};

pub(super) fn read(root: &Section<'_>, upstreams: &[Upstream]) -> Result<Site, PolicyError> {
    let sub = |key| root.get(key).map(Entry::section).transpose();
    let default = Site::default();
    let (hosts, diagnostics) = match sub("site")? {
        None => (default.hosts, default.diagnostics),
        Some(section) => {
            section.only(&["hosts", "diagnostics"])?;
            let words = [("public", Diagnostics::Public), ("operator", Diagnostics::Operator)];
            (read_hosts(&section)?, section.choice("diagnostics", words)?)
        }
    };
    let mut fields = SecurityFields::default();
    if let Some(section) = sub("security")? {
        read_fields(&section, &mut fields)?;
    }
    Ok(Site {
        hosts,
        diagnostics,
        fields: alloc::vec![fields],
        maintenance: sub("maintenance")?
            .map_or_else(|| Ok(Maintenance::default()), |section| read_maintenance(&section))?,
        jobs: read_jobs(root, upstreams)?,
    })
}

fn read_hosts(section: &Section<'_>) -> Result<Hosts, PolicyError> {
    let Some(entry) = section.get("hosts") else { return Ok(Hosts::default()) };
    let expected = "hosts in lower case such as permits.example, permits.example:8443 or *.permits.example";
    let hosts = entry.words(expected, Site::HOSTS_MAX, is_host)?;
    Ok(Hosts(hosts))
}

fn is_host(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    (1..=HOST_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_name)
        && name.split('.').all(|label| !label.is_empty())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Reads `[security]`, or the same below a route, over what holds already.
pub(super) fn read_fields(section: &Section<'_>, fields: &mut SecurityFields) -> Result<(), PolicyError> {
    section.only(&SECURITY_FIELDS)?;
    for name in SECURITY_FIELDS {
        let Some(entry) = section.get(name) else { continue };
        let expected = format!("a text of at most {FIELD_BYTES_MAX} visible ASCII characters; empty for none");
        let value = entry.text(&expected)?;
        let is_sound = value.len() <= FIELD_BYTES_MAX
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && value.trim() == value;
        if !is_sound {
            return Err(entry.expected(&expected));
        }
        fields.set(name, value);
    }
    Ok(())
}

fn read_maintenance(section: &Section<'_>) -> Result<Maintenance, PolicyError> {
    section.only(&["on", "retry_after", "stored", "text"])?;
    let default = Maintenance::default();
    let second = Duration::from_secs(1);
    Ok(Maintenance {
        on: section.boolean_or("on", default.on)?,
        retry_after: section
            .get("retry_after")
            .map_or(Ok(default.retry_after), |entry| entry.time(Maintenance::RETRY_AFTER, second))?,
        stored: section.boolean_or("stored", default.stored)?,
        text: match section.get("text") {
            None => default.text,
            Some(entry) => {
                let expected = format!("a text of 1 to {} bytes", Maintenance::TEXT_BYTES_MAX);
                let text = entry.text(&expected)?;
                if !(1..=Maintenance::TEXT_BYTES_MAX).contains(&text.len()) {
                    return Err(entry.expected(&expected));
                }
                text.to_owned()
            }
        },
    })
}

fn read_jobs(root: &Section<'_>, upstreams: &[Upstream]) -> Result<Vec<Job>, PolicyError> {
    let Some(entry) = root.get("cron") else { return Ok(Vec::new()) };
    let sections = entry.sections()?;
    if sections.len() > Site::JOBS_MAX {
        return Err(entry.error(format!("expected at most {} jobs, found {}", Site::JOBS_MAX, sections.len())));
    }
    let mut jobs: Vec<Job> = Vec::new();
    for mut section in sections {
        let name_entry = section.require("name")?;
        let name = name_entry.name()?;
        if jobs.iter().any(|earlier| earlier.name == name) {
            return Err(name_entry.error(format!("an earlier job is called \"{name}\" too")));
        }
        section.field = format!("cron \"{name}\"");
        section.only(&["name", "schedule", "path", "upstream"])?;
        let schedule = section.require("schedule")?;
        let expected = "the five fields of a cron expression, such as \"30 9 * * *\"";
        let text = schedule.text(expected)?;
        if !is_schedule(text) {
            return Err(schedule.expected(expected));
        }
        let path = section.require("path")?;
        let expected = "a path without patterns, such as /cron/nightly";
        let place = path.text(expected)?;
        if place.contains(['{', '*']) || Pattern::parse(place).is_err() {
            return Err(path.expected(expected));
        }
        jobs.push(Job {
            name,
            schedule: text.to_owned(),
            path: place.to_owned(),
            upstream: route::read_upstream(&section, upstreams)?,
        });
    }
    Ok(jobs)
}

/// Cloudflare's dialect: numbers, names of days and months, `* , - / L W #`. Whether it ever comes is left to the host.
fn is_schedule(text: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b',' | b'-' | b'/' | b'#');
    text.len() <= SCHEDULE_BYTES_MAX
        && text.split(' ').count() == 5
        && text.split(' ').all(|field| !field.is_empty() && field.bytes().all(is_byte))
}

/// Longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
/// Longest value of a security field: it is sent with every answer.
const FIELD_BYTES_MAX: usize = 2048;
/// Longest cron expression.
const SCHEDULE_BYTES_MAX: usize = 64;
