//! What core's decisions cost, beside other crates: the exchanges that are decided on, and how each side decides.
//!
//! `cargo run --release -p seawall-benches --bin time` measures time, `--bin allocations` counts allocations. Both take
//! `--json FILE`.

pub mod caches;
pub mod corpus;
