//! The HTTP server: which route answers what, in which layers, and how it starts and ends.

mod listen;

use std::any::Any;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use seawall_core::policy::Policy;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::config::Config;
use crate::db::Pool;
use crate::error::Error;
use crate::health::{self, Health};
use crate::http::limits::BODY_BYTES_MAX;
use crate::http::{cache, deadline, errors, observe, security};
use crate::permits::api;
use crate::{assets, pages, policy};

/// What the routes share.
pub(crate) struct Site {
    pub(crate) pool: Pool,
    pub(crate) health: Health,
}

/// Serves until the process is told to stop (SIGINT or SIGTERM), then lets running requests finish.
///
/// Prints `origin listening on http://…` with the real port once connections are taken; with `PORT=0` the system
/// picks one. The pool is filled meanwhile: a database that is away keeps nothing from starting but the pages that
/// read it.
///
/// # Errors
/// When the policy does not hold together or the address cannot be bound.
pub async fn serve(config: Config, pool: Pool) -> anyhow::Result<()> {
    let policy = policy::load(&config)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with BIND and PORT", config.listen))?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    println!("origin listening on http://{address}");
    let warming = pool.clone();
    tokio::spawn(async move { warming.warm().await });
    tracing::info!(event = "server.listening", %address, "listening on http://{address}");
    listen::run(listener, router(pool, policy), listen::Bounds::SITE, listen::stopped()).await;
    Ok(())
}

/// Every route in its layers. A layer added later lies further out.
pub fn router(pool: Pool, policy: Policy) -> Router {
    let site = Arc::new(Site { pool, health: Health::new() });
    Router::new()
        .route("/", get(pages::landing))
        .route("/search", get(pages::search))
        .route("/report/{block}/{lot}", get(pages::report))
        .route("/methodology", get(pages::methodology))
        .route("/about-data", get(pages::about_data))
        .route("/static/{name}", get(assets::serve))
        .route("/api/v1/search", get(api::search))
        .route("/api/v1/report/{block}/{lot}", get(api::report))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .fallback(|| async { Error::not_found("There is nothing at this address.") })
        .with_state(site)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(from_fn(deadline::layer))
        .layer(from_fn(errors::layer))
        .layer(from_fn_with_state(Arc::new(policy), cache::layer))
        .layer(from_fn(security::layer))
        .layer(from_fn(observe::layer))
}

/// A panic is a bug of ours: the visitor reads a page and the log holds the text.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::bug(format!("panic: {}", text.unwrap_or("without text"))).into_response()
}

#[cfg(test)]
mod tests;
