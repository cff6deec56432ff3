//! Takes connections, bounds what each may cost, and ends them when the process is told to stop.
//!
//! # Design
//! HTTP/1.1, and HTTP/2 for who begins with its preface, as a proxy does that knows us. Which of them it is shows in the
//! first bytes, and [`protocol`] reads those itself: hyper's own look has no deadline, so who sends nothing would never
//! be closed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt as _;

use self::protocol::Version;
use crate::http::limits::{
    CONNECTIONS_MAX, DRAIN_TIME_MAX, HEADER_BYTES_MAX, HEADER_FIELDS_MAX, HEADER_TIME_MAX, PING_EVERY, PING_TIME_MAX,
    STALLED_TIME_MAX, STREAMS_MAX,
};
use crate::limit::Peer;

mod protocol;

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
    let servers = Arc::new(Servers::new(bounds.header_time));
    let graceful = GracefulShutdown::new();
    let (stopping, _) = watch::channel(false);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut stopped = std::pin::pin!(stopped);
    loop {
        // Who is told to stop accepts nobody more, however many wait.
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (servers, watcher, mut ending) = (Arc::clone(&servers), graceful.watcher(), stopping.subscribe());
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request
        });
        tokio::spawn(async move {
            let begun = tokio::select! {
                begun = protocol::read(stream, bounds.header_time) => begun,
                // Nothing was asked, so nothing is cut off.
                _ = ending.wait_for(|ending| *ending) => return,
            };
            // A connection that breaks is the client's affair.
            let failed = |error: &dyn std::fmt::Display| {
                tracing::debug!(event = "server.connection_failed", %error, "connection failed: {error}");
            };
            match begun {
                Ok((stream, version)) => {
                    let service = TowerToHyperService::new(service);
                    let connection = servers.of(version).serve_connection(TokioIo::new(stream), service).into_owned();
                    if let Err(error) = watcher.watch(connection).await {
                        failed(&error);
                    }
                }
                Err(error) => failed(&error),
            }
            drop(place);
        });
    }
    drop(listener);
    tracing::info!(event = "server.stopping", "stopping: no new connections, running requests may finish");
    stopping.send_replace(true);
    match tokio::time::timeout(bounds.drain_time, graceful.shutdown()).await {
        Ok(()) => tracing::info!(event = "server.stopped", "stopped: every running request was answered"),
        Err(_) => {
            tracing::warn!(event = "server.drain_timed_out", "some requests did not finish in time and are cut off")
        }
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // Never closed, so this only waits.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Small answers are written at once; waiting for more would only delay them.
            let _ = stream.set_nodelay(true);
            // Where the system cannot do this, who reads nothing holds its place until it goes away.
            #[cfg(target_os = "linux")]
            let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(STALLED_TIME_MAX));
            Some((stream, peer.ip(), place))
        }
        Err(error) => {
            tracing::warn!(event = "server.accept_failed", %error, "no connection taken: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// How each version is spoken.
struct Servers {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Servers {
    fn new(header_time: Duration) -> Self {
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_time)
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADER_FIELDS_MAX);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME_MAX);
        Self { http1, http2 }
    }

    fn of(&self, version: Version) -> &Builder<TokioExecutor> {
        match version {
            Version::Http1 => &self.http1,
            Version::Http2 => &self.http2,
        }
    }
}

/// [`HEADER_BYTES_MAX`] as HTTP/2 counts.
const HEADER_LIST_BYTES_MAX: u32 = HEADER_BYTES_MAX as u32;

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
