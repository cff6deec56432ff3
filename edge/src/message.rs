//! Requests and responses as the pipeline sees them: a few plain parts, and headers and body left as the host
//! has them.

use alloc::{borrow::ToOwned, string::String};
use core::net::IpAddr;

use seawall_core::{cache::key::Target, headers::Fields};

use crate::Platform;

/// Header fields that can be changed. Names are given in lower case.
pub trait Headers: Fields + Clone + Default {
    /// Makes `value` the only value of `name`.
    fn set(&mut self, name: &str, value: &str);
    /// Adds a value to `name`.
    fn append(&mut self, name: &str, value: &str);
    /// Takes every value of `name` away.
    fn remove(&mut self, name: &str);
    /// Every field with its value, for the rare case that needs all of them: a 304 that updates a response.
    fn each(&self, visit: &mut dyn FnMut(&str, &str));
}

/// A request.
pub struct Request<P: Platform> {
    /// The method, as it came.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and, where it is not the scheme's own, port.
    pub host: String,
    /// The path as it came, percent-encoded, starting with `/`.
    pub path: String,
    /// The query without `?`, as it came; empty when there is none.
    pub query: String,
    /// The fields.
    pub headers: P::Headers,
    /// The body, when there is one.
    pub body: Option<P::Body>,
    /// The client's address as the platform saw it; never taken from a field that a client can set.
    pub client: Option<IpAddr>,
}

/// A response.
pub struct Response<P: Platform> {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub headers: P::Headers,
    /// The body, when there is one.
    pub body: Option<P::Body>,
}

impl<P: Platform> Request<P> {
    /// What it asks for, for its key.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            method: &self.method,
            tenant: "",
            scheme: &self.scheme,
            host: &self.host,
            path: &self.path,
            query: &self.query,
        }
    }

    /// A request for the same with this method, without a body.
    pub(crate) fn again(&self, method: &str) -> Self {
        Self {
            method: method.to_owned(),
            scheme: self.scheme.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: None,
            client: self.client,
        }
    }
}

impl<P: Platform> Response<P> {
    /// A response with these parts.
    pub const fn new(status: u16, headers: P::Headers, body: Option<P::Body>) -> Self {
        Self { status, headers, body }
    }
}

/// Scheme, host with port, path and query of an absolute URL, as they stand there.
#[must_use]
pub fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some((scheme, host, path, query))
}
