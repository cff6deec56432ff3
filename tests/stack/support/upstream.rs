//! An origin whose every answer a test decides.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use seawall_xtask::ports;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::soon;
use super::visitor::{Sent, joined, whole};

/// A server on 127.0.0.1. Dropping it breaks its connections and refuses new ones.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: HeaderMap,
    /// What has come of the body so far.
    body: watch::Receiver<Vec<u8>>,
}

/// What is answered.
pub(crate) struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Sent,
    delivery: Delivery,
}

enum Delivery {
    AtOnce,
    After(Gate),
    Broken,
}

/// Closed until it is opened, then open for ever.
#[derive(Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

type Answering = Box<dyn FnMut(&Call) -> Reply + Send>;

struct Shared {
    calls: watch::Sender<Vec<Call>>,
    connections: watch::Sender<usize>,
    answer: Mutex<Answering>,
}

impl Upstream {
    /// Starts it on a free port, which another one may take over after it.
    pub(crate) async fn start(answer: impl FnMut(&Call) -> Reply + Send + 'static) -> Result<Self> {
        Self::start_on(ports::free()?, answer).await
    }

    /// Starts it on a port that another one had.
    pub(crate) async fn start_on(port: u16, answer: impl FnMut(&Call) -> Reply + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("cannot listen for the Worker")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            calls: watch::Sender::default(),
            connections: watch::Sender::default(),
            answer: Mutex::new(Box::new(answer)),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers differently from now on.
    pub(crate) fn answer(&self, answer: impl FnMut(&Call) -> Reply + Send + 'static) {
        *self.shared.answer() = Box::new(answer);
    }

    /// Every request so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Waits until this many requests have come, and returns the last of them.
    pub(crate) async fn call(&self, count: usize) -> Result<Call> {
        let mut calls = self.shared.calls.subscribe();
        let calls = soon(&format!("request {count}"), calls.wait_for(|calls| calls.len() >= count)).await??;
        calls.get(count - 1).cloned().context("requests are counted from 1")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Call {
    /// The values of a field, joined; empty when there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        joined(&self.headers, name)
    }

    /// The names of all fields.
    pub(crate) fn field_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    }

    /// Waits until the body holds this, no less and no more.
    pub(crate) async fn until_body_is(&mut self, expected: &str) -> Result<()> {
        let what = format!("the body {expected:?}");
        soon(&what, self.body.wait_for(|body| body == expected.as_bytes())).await?.map(drop)?;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.body.borrow().clone()
    }

    pub(crate) fn body(&self) -> String {
        String::from_utf8_lossy(&self.body.borrow()).into_owned()
    }
}

impl Reply {
    /// 200 with a text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::of(whole(text.into()))
    }

    /// 200 with a body that comes as it comes.
    pub(crate) fn of(body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Self {
        Self { status: 200, fields: Vec::new(), body: body.boxed_unsync(), delivery: Delivery::AtOnce }
    }

    /// Another status.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Not before the gate opens; never, if it does not.
    pub(crate) fn after(self, gate: &Gate) -> Self {
        Self { delivery: Delivery::After(gate.clone()), ..self }
    }

    /// No answer: the connection is closed.
    pub(crate) fn broken() -> Self {
        Self { delivery: Delivery::Broken, ..Self::text("") }
    }
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        // Ends only with this sender, which lives as long as we borrow it.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Shared {
    fn answer(&self) -> MutexGuard<'_, Answering> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Sent>> {
        let (parts, mut body) = request.into_parts();
        let received = watch::Sender::default();
        let call = Call {
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: received.subscribe(),
        };
        self.calls.send_modify(|calls| calls.push(call.clone()));
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                received.send_modify(|body: &mut Vec<u8>| body.extend_from_slice(&data));
            }
        }
        let reply = (self.answer())(&call);
        match &reply.delivery {
            Delivery::AtOnce => {}
            Delivery::After(gate) => gate.passed().await,
            Delivery::Broken => anyhow::bail!("as the test wants it"),
        }
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.fields {
            response = response.header(name, value);
        }
        Ok(response.body(reply.body)?)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        connections.spawn(converse(stream, Arc::clone(&shared)));
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { shared.serve(request).await }
    });
    // What goes wrong on a connection shows on its other end.
    let _ = Pin::new(&mut http1::Builder::new().serve_connection(TokioIo::new(stream), service)).await;
}
