//! The city's open-data API: client, loader and stand-in server.
