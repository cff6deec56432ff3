//! HTTP for the component, as Spin hands it over.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use http::header::{HOST, HeaderValue};
use http::uri::{Scheme, Uri};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::WasiBody;

use crate::component::Handler;
use crate::control;
use crate::world::World;

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, handler: Handler, world: Arc<World>) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        tokio::spawn(converse(stream, client, handler.clone(), Arc::clone(&world)));
    }
}

async fn converse(stream: TcpStream, client: SocketAddr, handler: Handler, world: Arc<World>) {
    // A connection that cannot be set up shows on its other end.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (handler, world) = (handler.clone(), Arc::clone(&world));
        async move { Ok::<_, std::convert::Infallible>(answer(request, client, handler, &world).await) }
    });
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, client: SocketAddr, handler: Handler, world: &World) -> Response<WasiBody> {
    if let Some((status, text)) = control::command(world, request.uri().path()) {
        return plain(status, text);
    }
    let request = match prepare(request, client) {
        Ok(request) => request,
        Err(why) => return plain(StatusCode::BAD_REQUEST, why.to_owned()),
    };
    match handler.handle((), request).await {
        Ok(response) => response,
        Err(error) => {
            eprintln!("a request had no answer: {error:?}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    }
}

/// The request with an absolute address, and the fields that Spin adds, behind what a client sends under their names.
fn prepare(request: Request<Incoming>, client: SocketAddr) -> Result<Request<WasiBody>, &'static str> {
    let (mut parts, body) = request.into_parts();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str()).or(host);
    let authority = authority.ok_or("a request names its host")?.to_owned();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    parts.uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.as_str())
        .path_and_query(&*target)
        .build()
        .map_err(|_| "the request's host or target is malformed")?;
    let full_url = format!("http://{authority}{target}");
    for (name, value) in [
        ("spin-client-addr", client.to_string()),
        ("spin-full-url", full_url),
        ("spin-path-info", parts.uri.path().to_owned()),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|_| "the request's target is no field value")?;
        parts.headers.append(name, value);
    }
    Ok(Request::from_parts(parts, body.map_err(wasmtime_wasi_http::Error::from).boxed_unsync()))
}

fn plain(status: StatusCode, text: String) -> Response<WasiBody> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
