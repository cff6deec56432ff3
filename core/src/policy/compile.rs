//! From `policy.toml` to a [`Policy`].

mod error;

pub use error::PolicyError;

use super::Policy;

impl Policy {
    /// Compiles the text of a `policy.toml`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] names line, column and field of the first fault, what is there and what was expected.
    pub fn compile(source: &str) -> Result<Self, PolicyError> {
        let _ = source;
        unimplemented!()
    }
}
