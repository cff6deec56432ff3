//! Takes connections, bounds what each may cost, and ends them when the process is told to stop.
//!
//! # Design
//! HTTP/1.1 only: the edge speaks no other version to a plain-text origin. Telling versions apart by a connection's
//! first bytes would also come before the deadline for the header, so that who sends nothing would never be closed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::http::limits::{CONNECTIONS_MAX, DRAIN_TIME_MAX, HEADER_BYTES_MAX, HEADER_FIELDS_MAX, HEADER_TIME_MAX};

/// Pause after the system refused to hand over a connection, mostly because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of [`run`] that a test could not reach in time at the site's size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// As [`CONNECTIONS_MAX`].
    connections: usize,
    /// As [`HEADER_TIME_MAX`].
    header_time: Duration,
    /// As [`DRAIN_TIME_MAX`].
    drain_time: Duration,
}

impl Bounds {
    /// The site's.
    pub(super) const SITE: Self =
        Self { connections: CONNECTIONS_MAX, header_time: HEADER_TIME_MAX, drain_time: DRAIN_TIME_MAX };
}

/// Serves `router` until `stopped` ends, then waits for running requests, as long as `bounds` allow.
pub(super) async fn run(listener: TcpListener, router: Router, bounds: Bounds, stopped: impl Future<Output = ()>) {
    let server = Arc::new(builder(bounds.header_time));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the client's affair.
            if let Err(error) = connection.await {
                tracing::debug!(event = "server.connection_failed", %error, "connection failed: {error}");
            }
            drop(place);
        });
    }
    drop(listener);
    tracing::info!(event = "server.stopping", "stopping: no new connections, running requests may finish");
    match tokio::time::timeout(bounds.drain_time, graceful.shutdown()).await {
        Ok(()) => tracing::info!(event = "server.stopped", "stopped: every running request was answered"),
        Err(_) => {
            tracing::warn!(event = "server.drain_timed_out", "some requests did not finish in time and are cut off")
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // Never closed, so this only waits.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small answers are written at once; waiting for more would only delay them.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(event = "server.accept_failed", %error, "no connection taken: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn builder(header_time: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADER_FIELDS_MAX);
    builder
}

/// Ends at the first SIGINT or SIGTERM.
pub(super) async fn stopped() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(event = "server.no_signals", %error, "signals cannot be watched, so only a kill stops this process: {error}");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests;
