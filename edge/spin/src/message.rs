//! Requests and responses, from Spin's world and back.

use core::net::{IpAddr, SocketAddr};

use seawall_core::headers::Fields;
use seawall_edge::{
    message::{Request, Response},
    pipeline::{HEAD_FIELDS, Head},
};
use spin_sdk::wasip3::{
    http::types::{ErrorCode, Method, Request as WasiRequest, Response as WasiResponse, Scheme},
    wit_future,
};

use crate::{
    body::{Body, Flow, Parts},
    headers::SpinHeaders,
    host::Host,
};

/// A request whose head has been read.
pub(crate) struct Came {
    method: String,
    scheme: String,
    host: String,
    /// Path and query.
    target: String,
    headers: SpinHeaders,
    client: Option<IpAddr>,
    request: WasiRequest,
}

impl Came {
    /// Reads it.
    pub(crate) fn read(request: WasiRequest) -> Result<Self, &'static str> {
        let fields = request.get_headers();
        // Spin adds its own behind what a client sends under this name.
        let client = fields.get(CLIENT).last().and_then(|value| address(value));
        let headers = SpinHeaders::copy(&fields, |name| !name.starts_with(SPIN_FIELDS));
        let host = request.get_authority().or_else(|| headers.field("host").map(|host| host.into_owned()));
        Ok(Self {
            method: method(request.get_method()),
            scheme: scheme(request.get_scheme()),
            host: host.ok_or("the runtime gave a request without a host")?,
            target: request.get_path_with_query().unwrap_or_else(|| String::from("/")),
            headers,
            client,
            request,
        })
    }

    /// Shows its head to `look`.
    pub(crate) fn with_head<R>(&self, look: impl FnOnce(&Head<'_>) -> R) -> R {
        let url = [&*self.scheme, "://", &self.host, &self.target].concat();
        let fields = HEAD_FIELDS.map(|name| self.headers.field(name));
        let fields = fields.each_ref().map(Option::as_deref);
        look(&Head { method: &self.method, url: &url, client: self.client, fields })
    }

    /// The request as the pipeline takes it.
    pub(crate) fn into_request(self) -> Request<Host> {
        let Self { method, scheme, host, target, headers, client, request } = self;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let has_body = headers.field("transfer-encoding").is_some()
            || headers.field("content-length").is_some_and(|length| length != "0")
            || !matches!(method.as_str(), "GET" | "HEAD");
        let (taken, reader) = wit_future::new(|| Ok(()));
        let (stream, end) = WasiRequest::consume_body(request, reader);
        let body = has_body.then_some(Body::Stream(Flow { stream, end, taken }));
        Request { method, scheme, host, path, query, headers, body, client }
    }
}

/// The response as Spin takes it.
pub(crate) fn response(response: Response<Host>) -> Result<WasiResponse, ErrorCode> {
    let Parts { stream, end } = response.body.map_or_else(Parts::empty, Body::into_parts);
    let (made, _sent) = WasiResponse::new(response.headers.to_wasi()?, stream, end);
    // The pipeline's statuses are HTTP's.
    made.set_status_code(response.status).map_err(|()| ErrorCode::InternalError(None))?;
    Ok(made)
}

/// The origin's response as the pipeline takes it.
pub(crate) fn fetched(response: WasiResponse) -> Response<Host> {
    let (status, headers) = (response.get_status_code(), SpinHeaders::copy(&response.get_headers(), |_| true));
    let (taken, reader) = wit_future::new(|| Ok(()));
    let (stream, end) = WasiResponse::consume_body(response, reader);
    Response::new(status, headers, Some(Body::Stream(Flow { stream, end, taken })))
}

/// The method's name as the pipeline has it, as Spin's.
pub(crate) fn wasi_method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn method(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => return other,
    };
    name.to_owned()
}

fn scheme(scheme: Option<Scheme>) -> String {
    match scheme {
        Some(Scheme::Https) => String::from("https"),
        Some(Scheme::Other(other)) => other,
        Some(Scheme::Http) | None => String::from("http"),
    }
}

/// An address with or without a port.
fn address(value: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(value).ok()?;
    text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip())).ok()
}

/// Where Spin names the client, with its port.
const CLIENT: &str = "spin-client-addr";
/// How the names of fields begin that Spin adds for components.
const SPIN_FIELDS: &str = "spin-";
