//! The San Francisco permits service: it loads the city's open data into Postgres and serves search and
//! property reports from it. The binary `origin` is a thin command line over this library, which tests use too.

mod accounts;
pub mod assets;
mod brief;
pub mod config;
pub mod cron;
pub mod db;
pub mod digest;
mod documents;
pub mod error;
pub mod explain;
mod flights;
pub mod guard;
pub mod health;
pub mod http;
mod jobs;
mod limit;
pub mod logging;
mod mail;
mod metrics;
mod openapi;
mod page_cache;
pub mod pages;
pub mod permits;
pub mod policy;
pub mod purge;
pub mod sample;
pub mod server;
pub mod soda;
mod stats;
pub mod telemetry;
pub mod tls;
mod vouch;
