//! The request pipeline of Seawall's edge, over a [`Platform`]: it knows no vendor.
//!
//! [`pipeline::handle`] takes a request through the stages in order: sanitise, admit, look up, collapse, guard,
//! fetch, store, answer. Each stage is a module; the branching between them stands in `pipeline.rs`. What may be
//! decided without I/O is decided by `seawall-core`.
#![forbid(unsafe_code)]
// A platform may have no std, and then brings its own allocator and its own word for a panic.
#![cfg_attr(not(any(test, feature = "fake")), no_std)]

extern crate alloc;

pub mod authority;
pub mod body;
pub mod client;
pub mod cron;
pub mod limits;
pub mod message;
pub mod pipeline;
pub mod platform;
pub mod pop;
pub mod purge;
pub mod record;
pub mod settings;
pub mod store;
pub mod upstash;
pub mod waiting;

mod admit;
mod answer;
mod control;
mod edge;
mod failover;
mod failure;
mod guard;
mod landings;
mod lookup;
mod maintenance;
mod memory;
mod protect;
mod reach;
mod sanitise;
mod silence;
mod steady;
mod tally;

#[cfg(feature = "fake")]
pub mod fake;

pub use self::{
    body::Body,
    edge::{Edge, Isolate},
    platform::Platform,
    settings::Settings,
    store::Store,
};
