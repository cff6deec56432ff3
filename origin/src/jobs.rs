//! Work that takes longer than a request: asked for, put down in the database, done by whoever has time, and fetched.
//!
//! # Design
//! The table `jobs` is the queue. A worker takes what is due (`FOR UPDATE SKIP LOCKED`) and gets a lease: a number that
//! counts up, and a time until which it holds. It renews its leases while it works. When a process is killed, its leases
//! end, and another worker does the work again. Whatever a worker writes names its lease, and nothing is written once
//! another was given, so a process that hung and wakes up changes nothing. What fails is tried again after a growing
//! pause; what failed too often stays as `failed`, with the reason, until it is pruned or an operator queues it again.
//!
//! A job may begin more than once; its effect comes about once: its result is made of the portions of the lease that
//! ended it, and effects on other tables commit together with [`Lease::hold`].

pub(crate) mod api;
mod export;
mod kind;
mod lease;
mod queue;
mod report;
mod result;
mod worker;

pub(crate) use self::kind::Kind;
pub(crate) use self::lease::{Hopeless, Lease, LeaseLost};
#[cfg(test)]
pub(crate) use self::queue::ResultInfo;
pub(crate) use self::queue::{Ask, Asked, Job, Queue, put};
pub(crate) use self::worker::{Slots, Worker};
use std::sync::Arc;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::db::Databases;
use crate::mail::Mailer;
use crate::page_cache::PageCache;
use crate::soda::client::Client;

/// What jobs work with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) soda: Client,
    pub(crate) databases: Databases,
    pub(crate) cache: PageCache,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) mailer: Mailer,
}
