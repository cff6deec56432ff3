//! What the edge does, as data that runs on every platform: `scenarios.toml`.
//!
//! A platform implements [`Subject`] and calls [`run`] for each of [`all`]. Where a platform must differ, the scenario has
//! other steps for it and says why; the table of both is `docs/scenarios.md`.

mod play;
mod scenario;
#[cfg(test)]
mod table;

pub use self::play::{Answer, Subject, run};
pub use self::scenario::{Ask, Authority, Crowd, Instead, Platform, Reply, SECRET, Scenario, Step, all};
