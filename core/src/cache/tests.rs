//! A whole cache of the parts, beside a slow and obvious one.

mod model;
mod world;
