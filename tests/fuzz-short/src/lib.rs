//! What must hold for every input of core's parsers.
