//! Request and response conventions shared by all routes.
//!
//! The layers, outermost first: [`observe`] names and times the request, [`security`] adds the fields every
//! answer carries, [`encoding`] makes it smaller, [`cache`] obeys the traffic policy, [`errors`] writes what failed, limits
//! refuse who asks for too much, [`overload`] what is too much for everyone, and [`deadline`] ends what takes too long.

pub mod cache;
pub mod deadline;
pub mod encoding;
pub mod errors;
pub mod limits;
pub mod observe;
pub mod overload;
pub mod security;
