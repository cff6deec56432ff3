//! Request and response conventions shared by all routes.
//!
//! The layers, outermost first: [`observe`] names and times the request, [`security`] adds the fields every
//! answer carries, [`cache`] obeys the traffic policy, [`errors`] writes what failed, and [`deadline`] ends
//! what takes too long.

pub mod cache;
pub mod deadline;
pub mod errors;
pub mod limits;
pub mod observe;
pub mod security;
