//! Static files and their cache identities.
