//! Request and response conventions shared by all routes.
