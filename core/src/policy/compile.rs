//! From `policy.toml` to a [`Policy`].
//!
//! The TOML tree is walked by hand instead of being deserialised, because every fault then knows its line,
//! its field and what would have been right.

mod authority;
mod cache;
mod error;
mod limit;
mod nearest;
mod overload;
mod reader;
mod route;
mod site;
mod time;
mod upstream;

#[cfg(test)]
mod tests;

use alloc::string::ToString;

use toml::de::DeTable;

pub use error::PolicyError;
use reader::{Section, Source};

use super::{Parts, Policy};

impl Policy {
    /// The version of the file format that this release reads.
    pub const VERSION: u64 = 1;

    /// Compiles the text of a `policy.toml`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] names line, column and field of the first fault it meets, what is there and what was
    /// expected.
    pub fn compile(source: &str) -> Result<Self, PolicyError> {
        let source = Source(source);
        let document = DeTable::parse(source.0).map_err(|error| source.syntax(&error))?;
        let root = Section::root(source, document.get_ref());
        root.only(&[
            "version",
            "site",
            "security",
            "maintenance",
            "upstream",
            "authority",
            "limit",
            "overload",
            "route",
            "cron",
        ])?;
        root.require("version")?.whole(Self::VERSION..=Self::VERSION)?;

        let upstreams = upstream::read_all(&root)?;
        let reaches = authority::read_all(&root)?;
        let limits = limit::read_all(&root)?;
        let mut site = site::read(&root, &upstreams)?;
        let routes = route::read_all(&root, &upstreams, &limits, &mut site)?;
        let overload = overload::read(&root)?;
        let parts = Parts { upstreams, reaches, limits, routes, overload, site };
        // Every name was looked up and every list counted above.
        Self::from_parts(parts).map_err(|error| root.error(error.to_string()))
    }
}
