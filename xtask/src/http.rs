//! Just enough HTTP to ask a local server whether it is up.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

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
