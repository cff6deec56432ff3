//! Bounds on what a client may send and on how long an answer may take.

use std::time::Duration;

/// Longest time from the request's header to the answer's. Below the 10 s after which the edge gives up on the
/// origin (`upstream.origin.deadline` in policy.toml), so that the client reads our reason and not the edge's.
/// A request that reaches it gets 503.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(8);

/// Longest request body: a form of a few short fields. A longer one gets 413.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Most bytes of one request's header, which holds the longest search with room to spare. More gets 431 or a
/// closed connection.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Most header fields of one request.
pub const HEADER_FIELDS_MAX: usize = 64;

/// Longest wait for a whole request header; a connection that drips slower, or sends nothing, is closed.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// Requests at once on one HTTP/2 connection; as many as proxies expect to find.
pub const STREAMS_MAX: u32 = 100;

/// How often a quiet HTTP/2 connection is asked whether its client is there.
pub const PING_EVERY: Duration = Duration::from_secs(20);

/// Longest wait for the answer to that; then the connection is closed.
pub const PING_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest time in which a client takes nothing of an answer; then its connection is closed.
pub const STALLED_TIME_MAX: Duration = Duration::from_secs(30);

/// Open connections at once: twice the 5,000 users that one machine is for. More wait in the kernel's queue until one
/// closes. An idle one costs some 12 KiB, so all of them fit in 128 MiB.
pub const CONNECTIONS_MAX: usize = 10_240;

/// Files that the process opens beside connections of clients: the database's pools, Redis, SODA, and what the runtime
/// needs.
pub const FILES_BESIDE: usize = 512;

/// After a signal, how long running requests may take to finish before the process ends anyway. Longer than
/// [`REQUEST_TIME_MAX`], so that no request that would have been answered is lost.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(DRAIN_TIME_MAX.as_millis() > REQUEST_TIME_MAX.as_millis());

/// Longest answer that gets an `ETag`; it must fit in memory as a whole. A longer one goes out without.
pub const TAGGED_BYTES_MAX: usize = 8 * 1024 * 1024;
