//! The origin's program over a real Postgres, PgBouncer and Redis: what it does when one of them is slow, full or gone.

/// Signing in, forms, and what is said to whom.
mod accounts;
/// Without its database.
mod away;
/// What is written down elsewhere, and comes back.
mod backup;
/// What is said every morning, and to whom.
mod brief;
/// Work at fixed times: who may start it, one at a time, and what a crash leaves behind.
mod cron;
/// What the dearest statements cost and why.
mod explain;
/// Every fault under load, with what became of the requests.
mod faults;
/// What `/health` says, and what asking costs.
mod health;
/// Work that takes longer than a request: asked for, done once to effect whatever becomes of processes, fetched.
mod jobs;
/// One limit for all processes, with Redis and without.
mod limits;
/// Counters and times, for Prometheus and in the database.
mod metrics;
/// Changes of the schema beside a site that serves.
mod migrate;
/// What is computed once for all processes.
mod page_cache;
/// Connections: how many, how long, and to which server.
mod pool;
/// Projects like one another, with pgvector and without.
mod similar;
/// What a collector of OpenTelemetry is told, and what it costs when it does not listen.
mod telemetry;
/// Servers over TLS, and who they say that they are.
mod tls;
