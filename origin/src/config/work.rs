//! What is done beside the serving: jobs, and loads from the city's API.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Reader, Secret, http_url, secret, var};

/// Whether this process runs jobs when asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronWorker {
    /// No: there is nothing below `/cron`.
    Off,
    /// Yes, and it serves the site too.
    On,
    /// Yes, and it serves nothing else but health.
    Only,
}

/// The city's open-data API.
#[derive(Clone, Debug)]
pub struct Soda {
    /// `SODA_BASE_URL`, without a slash at the end.
    pub base_url: String,
    /// `SODA_APP_TOKEN`.
    pub app_token: Option<Secret>,
    /// `SODA_TIMEOUT`: longest wait for one whole answer.
    pub timeout: Duration,
    /// `SODA_PAGE_SIZE`: rows asked for at once while loading.
    pub page_size: usize,
    /// `SODA_IN_REPORTS`: whether reports ask it too.
    pub in_reports: bool,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// `CRON_WORKER` and `CRON_SECRET`.
    pub(super) fn cron(&mut self) -> (CronWorker, Option<Secret>) {
        let worker = self.parse(&var::CRON_WORKER, CronWorker::Off, |value| match value {
            "off" | "false" | "0" => Some(CronWorker::Off),
            "on" | "true" | "1" => Some(CronWorker::On),
            "only" => Some(CronWorker::Only),
            _ => None,
        });
        let secret = self.checked(&var::CRON_SECRET, secret);
        if worker != CronWorker::Off && secret.is_none() {
            self.refused.push("  CRON_SECRET is not set: CRON_WORKER needs it".to_owned());
        }
        (worker, secret)
    }

    pub(super) fn job_slots(&mut self) -> usize {
        self.number(&var::JOB_SLOTS, JOB_SLOTS)
    }

    pub(super) fn soda(&mut self) -> Soda {
        Soda {
            base_url: self.text(&var::SODA_BASE_URL, http_url),
            app_token: self.optional(&var::SODA_APP_TOKEN).map(Secret::new),
            timeout: self.duration(&var::SODA_TIMEOUT),
            page_size: self.number(&var::SODA_PAGE_SIZE, PAGE_SIZES),
            in_reports: self.parse(&var::SODA_IN_REPORTS, true, |value| match value {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            }),
        }
    }
}

/// Each takes a session of the database beside the pool.
const JOB_SLOTS: RangeInclusive<usize> = 0..=16;

/// Jobs at fixed times that a process runs at once: a long load keeps none of the short ones waiting.
pub(crate) const CRON_SLOTS: usize = 2;
/// SODA answers at most 50,000 rows at once; fewer than ten would never end.
const PAGE_SIZES: RangeInclusive<usize> = 10..=50_000;
