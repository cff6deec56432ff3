//! Generates a city: permits and everything that hangs on them, deterministically from a seed.
