//! A platform for tests: a virtual clock, an origin that a test scripts, and dependencies that are slow or fail by
//! a seed. Two runs with one seed are the same run.

mod host;
mod shelf;
mod world;

pub use self::{
    host::{FakeHeaders, Host, Ready},
    shelf::Shelf,
    world::{Faults, Reply, World},
};
