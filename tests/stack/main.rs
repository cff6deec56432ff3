//! What crosses a process: the built Worker in workerd, the origin's program, and Postgres, as they run in
//! production. What can be tested in one process is tested beside its code.
//!
//! Each test starts what it needs through the library of `cargo xtask` and stops it again.

/// Pages are kept at the edge, stay right, and cost the origin one request.
mod cache;
/// The city's data is loaded whole, or not at all, and is found again.
mod data;
/// What changes in the city's data is loaded as if all of it were.
mod deltas;
/// The origin is slow, failing or gone.
mod failure;
/// Twenty isolates count one client together, whatever becomes of those who keep the count.
mod fleet;
/// No client gets more than its share, and every client gets it.
mod limits;
/// What an operator does: deploys, looks, takes the site down, and what runs at its times.
mod operating;
/// The origin without its database.
mod origin;
/// The origin dies under load.
mod outage;
/// Reports of real parcels, beside the rows that they are made of.
mod parcels;
/// Who stands behind the names on permits, and what became of parcels.
mod people;
/// Pages of search results fit together.
mod permits;
/// What belongs to one visitor reaches no other.
mod privacy;
/// What was purged is served nowhere.
mod purge;
/// Reports and permits: what they cost, and what the city itself adds.
mod report;
/// The scenarios that every platform plays.
mod scenarios;
/// The built component in the host for Spin.
#[cfg(feature = "spin")]
mod spin;
/// Every store of the edge does what is asked of it.
mod stores;
/// Bodies flow, both ways, without being collected on the way.
mod streaming;
/// Processes and visitors.
mod support;
/// A limit's counter in a Redis behind Upstash's REST API.
mod upstash;
