//! The origin behind everything that is measured: one kilobyte, at once.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What every response holds.
const BODY: &[u8] = &[b'x'; 1024];

/// Serves on a port of its choice and says which, until it is stopped.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("origin listening on {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A connection that breaks is a client that went.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

/// Paths below `/private` may not be stored, all others for an hour.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_private = request.uri().path().starts_with("/private");
    let directives = if is_private { "private, no-store" } else { "public, max-age=3600" };
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    let fields = response.headers_mut();
    fields.insert("content-type", hyper::header::HeaderValue::from_static("text/html; charset=utf-8"));
    fields.insert("cache-control", hyper::header::HeaderValue::from_static(directives));
    Ok(response)
}
