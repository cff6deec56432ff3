//! Errors of the request path: status, public text and internal text are chosen once, here.
