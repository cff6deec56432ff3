//! Asks the server of this machine whether it is ready, for container engines, which run a program to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than the 5 s within which `/health/ready` answers, whatever the database does.
const CHECK_TIME_MAX: Duration = Duration::from_secs(6);

/// Most of the answer that is shown.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks `/health/ready` at the port of `listen`.
///
/// # Errors
/// When nothing answers, or the answer is not 200; the message holds what it says.
pub async fn check(listen: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(listen);
    let answer = async {
        let stream = TcpStream::connect(address).await.context("nothing listens there")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get("/health/ready").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        ensure!(status == 200, "status {}: {}", status.as_u16(), String::from_utf8_lossy(&body));
        Ok(())
    };
    tokio::time::timeout(CHECK_TIME_MAX, answer)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", CHECK_TIME_MAX.as_secs())))
        .with_context(|| format!("http://{address}/health/ready"))
}

/// An address that is every interface's cannot be connected to everywhere; this machine's own can.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_at_this_machines_own() {
        for (listen, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.1.2.3:80", "10.1.2.3:80")]
        {
            let [listen, asked] = [listen, asked].map(|text| text.parse().expect("an address"));
            assert_eq!(reachable(listen), asked);
        }
    }
}
