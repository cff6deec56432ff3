//! What Seawall's developer commands are made of: tools, builds, a private Postgres, and child processes that never
//! outlive their owner.
//!
//! `cargo xtask up` and the tests that cross a process stand on the same code, so what a newcomer sees is what the
//! tests test.

pub mod build;
pub mod http;
pub mod interrupt;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod project;
pub mod redis;
pub mod scratch;
pub mod screen;
pub mod stack;
pub mod step;
pub mod tools;
pub mod usage;
pub mod workerd;
