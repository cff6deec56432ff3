//! Just enough HTTP to ask a local server whether it is up, and how long it takes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// How long a server that accepted may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The status of `GET path` on a port of 127.0.0.1. The body is not read.
///
/// # Errors
/// When nothing listens, or what answers is no HTTP.
pub fn status(port: u16, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
    status.with_context(|| format!("no HTTP on port {port}: {line:?}"))
}

/// A connection that is kept between requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    port: u16,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Field names in lower case, and values.
    fields: Vec<(String, String)>,
    /// How many bytes the body has.
    pub body_bytes: u64,
}

impl Connection {
    /// Connects to a port of 127.0.0.1 from the loopback address `from`, which is who we are to the server.
    ///
    /// # Errors
    /// When nothing listens, or the system has one loopback address only.
    pub fn open(port: u16, from: Ipv4Addr) -> Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddrV4::new(from, 0)).with_context(|| format!("cannot be {from} on this system"))?;
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { stream: BufReader::new(stream), port })
    }

    /// `GET path`, the body read and dropped.
    ///
    /// # Errors
    /// When the connection ends, or what answers is no HTTP.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.ask("GET", path, &[])
    }

    /// Any request without a body, with further fields; the body of the answer is read and dropped.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = format!("host: 127.0.0.1:{}", self.port);
        let request = format!("{method} {path} HTTP/1.1\r\n{host}\r\ncontent-length: 0\r\n{fields}\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let line = self.line()?;
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no HTTP on port {}: {line:?}", self.port))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, fields, body_bytes: 0 };
        response.body_bytes = if response.field("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            self.chunks()?
        } else {
            let length = response.field("content-length").map(str::parse).transpose()?.unwrap_or(0);
            self.skip(length)?
        };
        Ok(response)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server on port {} closed the connection", self.port);
        }
        Ok(line.trim_end().to_owned())
    }

    fn chunks(&mut self) -> Result<u64> {
        let mut total = 0;
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default(), 16)?;
            total += self.skip(size)?;
            self.line()?;
            if size == 0 {
                return Ok(total);
            }
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<u64> {
        let read = io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink())?;
        if read < bytes {
            bail!("the server on port {} closed the connection within a body", self.port);
        }
        Ok(read)
    }
}

impl Response {
    /// The value of a field, named in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}
