//! A platform for tests: a virtual clock, an origin that a test scripts, and dependencies that are slow or fail by
//! a seed. Two runs with one seed are the same run.

mod authorities;
mod host;
mod origin;
mod shelf;
mod time;
mod world;

pub use self::{
    host::{FakeHeaders, Host, Ready},
    origin::Reply,
    shelf::Shelf,
    world::{Faults, World},
};
