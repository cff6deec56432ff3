//! The traffic decisions of Seawall: may this request pass, may this response be reused, may this
//! dependency be called.
//!
//! Nothing here reads a clock, draws a random number, or does I/O. A function takes state, input and
//! `now`, and returns a decision with the state to keep. The same line therefore runs in a Worker
//! isolate, in a Durable Object, in a native server and in a simulation.
//!
#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;
#[cfg(any(test, feature = "http"))]
extern crate std;

pub mod breaker;
pub mod cache;
pub mod explain;
pub mod headers;
pub mod json;
pub mod limit;
pub mod overload;
pub mod policy;
pub mod priority;
pub mod problem;
pub mod retry;
mod ring;
mod senders;
mod settings;
pub mod sorted;
pub mod throttle;
pub mod time;
