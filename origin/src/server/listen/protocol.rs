//! Which version of HTTP a connection speaks, from its first bytes.

use std::io;
use std::io::Cursor;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, Chain, Join};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2 without TLS, known beforehand (RFC 9113 §3.3).
    Http2,
}

/// A connection with the bytes that were read put back before the rest.
pub(super) type Stream = Join<Chain<Cursor<Vec<u8>>, OwnedReadHalf>, OwnedWriteHalf>;

/// RFC 9113 §3.4. No request of HTTP/1.1 begins like that.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is clear.
///
/// # Errors
/// When that takes longer than `time_max`, or the client goes away.
pub(super) async fn read(stream: TcpStream, time_max: Duration) -> io::Result<(Stream, Version)> {
    let (mut from, to) = stream.into_split();
    let mut begun = Vec::with_capacity(PREFACE.len());
    let look = async {
        loop {
            if let Some(version) = version(&begun) {
                return Ok(version);
            }
            let missing = (PREFACE.len() - begun.len()) as u64;
            if (&mut from).take(missing).read_buf(&mut begun).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
    };
    let version = tokio::time::timeout(time_max, look).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok((tokio::io::join(Cursor::new(begun).chain(from), to), version))
}

/// `None` while it could be either.
fn version(begun: &[u8]) -> Option<Version> {
    if !PREFACE.starts_with(begun) {
        return Some(Version::Http1);
    }
    (begun.len() == PREFACE.len()).then_some(Version::Http2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_tells_most_requests_apart() {
        for (begun, expected) in [
            (&b""[..], None),
            (b"G", Some(Version::Http1)),
            (b"P", None),
            (b"PR", None),
            (b"PO", Some(Version::Http1)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (PREFACE, Some(Version::Http2)),
            (b"PRI * HTTP/1.1\r\n", Some(Version::Http1)),
        ] {
            assert_eq!(version(begun), expected, "{begun:?}");
        }
    }
}
