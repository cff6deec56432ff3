//! Someone who asks: requests from a chosen address, sent exactly as they are written.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A body that is sent: a text, or a channel's.
pub(crate) type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// One client of a server. Each of its requests has a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    from: Ipv4Addr,
    to: SocketAddr,
    /// Which server it names in `Host`.
    named: SocketAddr,
}

/// A request that is being written.
pub(crate) struct Ask {
    visitor: Visitor,
    request: http::request::Builder,
    body: Sent,
}

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response whose header has come, with its body still on the way.
pub(crate) struct Opened {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
}

/// A connection that is kept for the next request.
pub(crate) struct Session {
    sender: http1::SendRequest<Sent>,
    host: String,
}

impl Visitor {
    /// Someone at `from` who asks the server at `to`.
    pub(crate) fn new(from: Ipv4Addr, to: SocketAddr) -> Self {
        Self { from, to, named: to }
    }

    /// Someone on this machine who asks the server on `port`.
    pub(crate) fn local(port: u16) -> Self {
        Self::new(Ipv4Addr::LOCALHOST, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The same, who takes the server for the one at `named`.
    pub(crate) fn naming(self, named: SocketAddr) -> Self {
        Self { named, ..self }
    }

    pub(crate) async fn get(self, target: &str) -> Result<Answer> {
        self.ask("GET", target).send().await
    }

    /// Begins a request. `target` is path and query, not touched by anyone on the way to the socket.
    pub(crate) fn ask(self, method: &str, target: &str) -> Ask {
        let request = Request::builder().method(method).uri(target).header("host", self.named.to_string());
        Ask { visitor: self, request, body: nothing() }
    }

    /// Opens a connection for many requests.
    pub(crate) async fn session(self) -> Result<Session> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        // Its errors show in the responses.
        tokio::spawn(connection);
        Ok(Session { sender, host: self.named.to_string() })
    }

    /// Sends bytes that no client library would, and returns everything that comes back.
    pub(crate) async fn raw(self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect().await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn connect(self) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.from, 0))).with_context(|| format!("cannot bind {}", self.from))?;
        let stream = socket.connect(self.to).await.with_context(|| format!("cannot connect to {}", self.to))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Ask {
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.body(whole(text.to_owned()))
    }

    pub(crate) fn body(mut self, body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Self {
        self.body = body.boxed_unsync();
        self
    }

    /// Sends it, and reads the response to its end.
    pub(crate) async fn send(self) -> Result<Answer> {
        let Opened { status, headers, body } = self.open().await?;
        Ok(Answer { status, headers, body: body.collect().await?.to_bytes() })
    }

    /// Sends it, and returns when the header of the response has come.
    pub(crate) async fn open(self) -> Result<Opened> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.visitor.connect().await?)).await?;
        // Its errors show in the response.
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(self.request.body(self.body)?).await?.into_parts();
        Ok(Opened { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Session {
    pub(crate) async fn get(&mut self, target: &str) -> Result<Answer> {
        self.sender.ready().await?;
        let request = Request::builder().uri(target).header("host", &self.host).body(nothing())?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await?.to_bytes() })
    }
}

impl Opened {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await.transpose()? {
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Answer {
    /// The values of a field, joined; empty when there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        joined(&self.headers, name)
    }

    /// What `RateLimit` says of one limit, such as `r=14;t=4`; empty when it says nothing.
    pub(crate) fn limit(&self, name: &str) -> String {
        let quoted = format!("\"{name}\";");
        let value = self.field("ratelimit");
        value.split(", ").find_map(|item| item.strip_prefix(&quoted)).unwrap_or_default().to_owned()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }
}

/// A body of one piece.
pub(crate) fn whole(text: String) -> Sent {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

fn nothing() -> Sent {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The values of a field, joined; empty when there is none.
pub(crate) fn joined(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
}
