//! A whole cache of the parts, beside a slow and obvious one.

mod map;
mod model;
mod parsers;
mod world;
