//! The city's open-data API (SODA): the datasets we take, a client, the loader, and a stand-in server.

pub mod client;
pub mod datasets;
pub mod generated;
pub mod ingest;
pub mod row;
pub mod stand_in;
