//! One module for each command, and what they share.

pub(crate) mod audit;
pub(crate) mod bench;
mod bench_core;
mod bench_data;
mod bench_edge;
mod bench_origin;
mod bench_spin;
mod bench_visit;
pub(crate) mod browser;
pub(crate) mod build;
pub(crate) mod clean;
pub(crate) mod conformance;
pub(crate) mod doctor;
pub(crate) mod edge;
pub(crate) mod load;
pub(crate) mod simulate;
pub(crate) mod test;
pub(crate) mod up;
