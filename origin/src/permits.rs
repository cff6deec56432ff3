//! Search and the property report.
//!
//! [`search`] answers one box: it parses the text into the kinds of thing it may name and asks the database for
//! each in turn. [`report`] reads everything about one [`parcel`] in one round trip. `api` is both as JSON;
//! the pages are in [`crate::pages`].

pub(crate) mod api;
pub(crate) mod firm;
pub(crate) mod likeness;
pub mod limits;
pub mod parcel;
pub mod permit;
pub(crate) mod record;
pub mod report;
pub mod search;
pub(crate) mod severity;
pub(crate) mod signals;
pub mod standing;
pub(crate) mod stuck;
pub(crate) mod velocity;
