//! What all instances of the component share.

use std::collections::BTreeMap;

use crate::clock::Clock;
use crate::control::Control;
use crate::key_value::KeyValue;

/// The component's surroundings.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) key_value: KeyValue,
    pub(crate) variables: BTreeMap<String, String>,
    /// What a test wants to happen.
    pub(crate) control: Control,
    /// Whether anybody may want something.
    pub(crate) obeys: bool,
}
