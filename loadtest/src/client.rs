//! One user's connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderName, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::options::{Options, Protocol};
use crate::outcome::{Failure, Outcome};
use crate::target::Target;

/// Bytes of a page's end that are kept, to see whether it is whole.
const END_BYTES: usize = 32;
/// Most of an answer that is kept when the tool reads it itself; a page of results is a tenth of that.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// What all users' connections have in common.
pub(crate) struct Dialler {
    target: Target,
    protocol: Protocol,
    timeout: Duration,
    addresses: u32,
    address_field: Option<HeaderName>,
    tls: Option<TlsConnector>,
}

/// A connection, kept from answer to answer.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// When a connection broke.
enum Broken {
    /// Before the first byte of an answer.
    BeforeAnswer,
    /// In an answer.
    Midway,
}

impl Dialler {
    /// # Errors
    /// When the system has no certificates to check a server's with, or several client addresses are asked for before a
    /// server that only one can reach.
    pub(crate) fn new(target: &Target, options: &Options) -> Result<Self> {
        let bound = options.addresses > 0 && options.address_field.is_none();
        ensure!(
            !bound || target.address.is_ipv4() && target.address.ip().is_loopback(),
            "--addresses needs a target on 127.0.0.0/8, or --address-field"
        );
        Ok(Self {
            target: target.clone(),
            protocol: options.http,
            timeout: options.timeout(),
            addresses: options.addresses,
            address_field: options.address_field.clone(),
            tls: target.tls.then(|| tls(options.http)).transpose()?,
        })
    }

    /// Connects a user, numbered from 0.
    pub(crate) async fn connect(&self, user: u32) -> Result<Connection, Failure> {
        let connected = timeout(self.timeout, self.dial(user)).await;
        connected.map_err(|_| Failure::Connect)?.map_err(|_| Failure::Connect)
    }

    async fn dial(&self, user: u32) -> Result<Connection> {
        let socket = if self.target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if self.addresses > 0 && self.address_field.is_none() {
            socket.bind(SocketAddr::new(IpAddr::V4(self.address([127, 1], user)), 0))?;
        }
        let stream = socket.connect(self.target.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return self.greet(stream).await };
        let name = ServerName::try_from(self.target.host.clone())?;
        self.greet(tls.connect(name, stream).await?).await
    }

    async fn greet<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: S) -> Result<Connection> {
        let stream = TokioIo::new(stream);
        Ok(match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                // How it ends, its sender hears too.
                tokio::task::spawn_local(connection);
                Connection::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::task::spawn_local(connection);
                Connection::Http2(sender)
            }
        })
    }

    /// The user's address below a network of 16 bits; `.0.0` and `.255.255` are never reached.
    fn address(&self, network: [u8; 2], user: u32) -> Ipv4Addr {
        let [.., high, low] = (user % self.addresses.max(1) + 1).to_be_bytes();
        Ipv4Addr::new(network[0], network[1], high, low)
    }

    fn request(&self, user: u32, path: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
        let mut request = Request::get(match self.protocol {
            Protocol::Http1 => path.to_owned(),
            Protocol::Http2 => {
                format!("{}://{}{path}", if self.target.tls { "https" } else { "http" }, self.target.authority)
            }
        })
        .header(ACCEPT, "text/html,application/json;q=0.9,*/*;q=0.8")
        .header(USER_AGENT, concat!("seawall-loadtest/", env!("CARGO_PKG_VERSION")));
        if self.protocol == Protocol::Http1 {
            request = request.header(HOST, &self.target.authority);
        }
        if let Some(field) = &self.address_field {
            let address = self.address([10, 0], user).to_string();
            request = request.header(field, HeaderValue::try_from(address)?);
        }
        request.body(Empty::new())
    }

    /// Asks and reads the answer to its end. A connection that failed is dropped. One that was kept may have been closed
    /// by the server just before, as servers do with idle ones; then the request goes out once more, as browsers do it
    /// (RFC 9112 §9.3.1).
    pub(crate) async fn ask(&self, kept: &mut Option<Connection>, user: u32, path: &str, end: &[u8]) -> Outcome {
        if let Some(connection) = kept.take() {
            match timeout(self.timeout, self.exchange(connection, user, path, end)).await {
                Err(_) => return Outcome::Failed(Failure::Timeout),
                Ok(Ok((outcome, connection))) => {
                    *kept = connection;
                    return outcome;
                }
                Ok(Err(Broken::BeforeAnswer)) => {}
                Ok(Err(Broken::Midway)) => return Outcome::Failed(Failure::Broken),
            }
        }
        let connection = match self.connect(user).await {
            Ok(connection) => connection,
            Err(failure) => return Outcome::Failed(failure),
        };
        match timeout(self.timeout, self.exchange(connection, user, path, end)).await {
            Err(_) => Outcome::Failed(Failure::Timeout),
            Ok(Err(_)) => Outcome::Failed(Failure::Broken),
            Ok(Ok((outcome, connection))) => {
                *kept = connection;
                outcome
            }
        }
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        user: u32,
        path: &str,
        end: &[u8],
    ) -> Result<(Outcome, Option<Connection>), Broken> {
        let request = self.request(user, path).map_err(|_| Broken::Midway)?;
        let response = connection.send(request).await.map_err(|_| Broken::BeforeAnswer)?;
        let status = response.status().as_u16();
        let closes = response.headers().get(http::header::CONNECTION).is_some_and(|value| value == "close");
        let mut body = response.into_body();
        let mut tail = Vec::with_capacity(2 * END_BYTES);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Broken::Midway)?.into_data() else { continue };
            tail.extend_from_slice(&data[data.len().saturating_sub(END_BYTES)..]);
            tail.drain(..tail.len().saturating_sub(END_BYTES));
        }
        let whole = tail.trim_ascii_end().ends_with(end);
        Ok((Outcome::of(status, whole), (!closes).then_some(connection)))
    }

    /// Reads a whole answer of at most [`READ_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When there is no such answer with status 200.
    pub(crate) async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let read = async {
            let mut connection = self.dial(0).await.context("no connection")?;
            let response = connection.send(self.request(0, path)?).await?;
            ensure!(response.status() == 200, "{path} answers {}", response.status());
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    ensure!(bytes.len() + data.len() <= READ_BYTES_MAX, "{path} has more than {READ_BYTES_MAX} bytes");
                    bytes.extend_from_slice(&data);
                }
            }
            Ok(bytes)
        };
        timeout(self.timeout, read).await.with_context(|| format!("{path} is not answered"))?
    }
}

impl Connection {
    async fn send(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

fn tls(protocol: Protocol) -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()
        .context("the system's certificates cannot be read")?
        .with_no_client_auth();
    config.alpn_protocols = vec![match protocol {
        Protocol::Http1 => b"http/1.1".to_vec(),
        Protocol::Http2 => b"h2".to_vec(),
    }];
    Ok(TlsConnector::from(Arc::new(config)))
}
