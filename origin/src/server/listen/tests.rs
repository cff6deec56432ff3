use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// Ends a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough to be a deadline, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(50);

/// A running server.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(bounds: Bounds, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(run(listener, router, bounds, async {
            // Dropping the sender stops the server too.
            let _ = stopped.await;
        }));
        Self { address, stop, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes no longer than anyone would wait")
}

async fn send(stream: &mut TcpStream, text: &str) {
    within(stream.write_all(text.as_bytes())).await.unwrap();
}

/// What the server sends until the content that each answer here ends in, or until it closes.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.ends_with("hello") {
        match within(stream.read(&mut bytes)).await {
            Ok(0) | Err(_) => break,
            Ok(read) => text.push_str(std::str::from_utf8(&bytes[..read]).unwrap()),
        }
    }
    text
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn who_does_not_finish_a_header_is_closed() {
    let server = Server::start(Bounds { header_time: SHORT, ..Bounds::SITE }, hello()).await;
    for start in ["", "P", "PRI * HT", "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = server.connect().await;
        send(&mut stream, start).await;
        assert!(!answer(&mut stream).await.contains("hello"), "{start:?}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_a_place() {
    let server = Server::start(Bounds { connections: 2, ..Bounds::SITE }, hello()).await;
    let (mut first, mut second, mut third) = (server.connect().await, server.connect().await, server.connect().await);
    send(&mut third, GET).await;
    for _ in 0..20 {
        for stream in [&mut first, &mut second] {
            send(stream, GET).await;
            assert!(answer(stream).await.ends_with("hello"));
        }
    }
    let nothing = third.try_read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock));
    drop(first);
    assert!(answer(&mut third).await.ends_with("hello"));
}

#[tokio::test]
async fn a_header_beyond_its_bounds_is_refused() {
    let server = Server::start(Bounds::SITE, hello()).await;
    let fields = |number: usize| "a: b\r\n".repeat(number);
    let bytes = |number: usize| format!("a: {}\r\n", "b".repeat(number));
    for (header, status) in [
        (fields(HEADER_FIELDS_MAX), 200),
        (fields(HEADER_FIELDS_MAX + 1), 431),
        (bytes(HEADER_BYTES_MAX - 100), 200),
        (bytes(HEADER_BYTES_MAX), 431),
    ] {
        let mut stream = server.connect().await;
        send(&mut stream, &format!("GET / HTTP/1.1\r\n{header}\r\n")).await;
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{} bytes: {answer}", header.len());
    }
}

/// A route that says when it was reached and answers when it is let go.
fn held(reached: &Arc<Notify>, release: &Arc<Notify>) -> Router {
    let (reached, release) = (Arc::clone(reached), Arc::clone(release));
    let route = get(move || async move {
        reached.notify_one();
        release.notified().await;
        "hello"
    });
    Router::new().route("/", route)
}

#[tokio::test]
async fn a_running_request_is_answered_after_the_signal() {
    let (reached, release) = (Arc::default(), Arc::default());
    let mut server = Server::start(Bounds { drain_time: PATIENCE, ..Bounds::SITE }, held(&reached, &release)).await;
    let mut stream = server.connect().await;
    send(&mut stream, GET).await;
    within(reached.notified()).await;
    server.stop.send(()).unwrap();
    // Refused connections show that the signal has been taken.
    within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    let ended = tokio::time::timeout(SHORT, &mut server.ended).await;
    assert!(ended.is_err(), "it ended before the request was answered");
    release.notify_one();
    assert!(answer(&mut stream).await.ends_with("hello"));
    within(server.ended).await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_process() {
    let (reached, release) = (Arc::default(), Arc::default());
    let server = Server::start(Bounds { drain_time: SHORT, ..Bounds::SITE }, held(&reached, &release)).await;
    let mut stream = server.connect().await;
    send(&mut stream, GET).await;
    within(reached.notified()).await;
    server.stop.send(()).unwrap();
    within(server.ended).await.unwrap();
}

#[tokio::test]
async fn http2_is_spoken_with_who_begins_with_its_preface() {
    let server = Server::start(Bounds::SITE, hello()).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get(format!("http://{}/", server.address)).body(axum::body::Body::empty()).unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
        let content = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 100).await.unwrap();
        assert_eq!(content, "hello");
    }
}

/// A connection that has asked nothing keeps a stopping server no longer than it takes to close it.
#[tokio::test]
async fn silent_connections_do_not_hold_up_the_end() {
    let server =
        Server::start(Bounds { drain_time: PATIENCE * 2, header_time: PATIENCE * 2, ..Bounds::SITE }, hello()).await;
    let mut silent = server.connect().await;
    let mut started = server.connect().await;
    send(&mut started, "P").await;
    // Both have been taken: a third is answered.
    let mut third = server.connect().await;
    send(&mut third, GET).await;
    assert!(answer(&mut third).await.contains("hello"));
    drop(third);
    drop(server.stop);
    within(server.ended).await.unwrap();
    assert_eq!(answer(&mut silent).await, "");
}

#[tokio::test]
async fn the_peer_is_known_to_the_request() {
    let router = Router::new().fallback(|request: axum::extract::Request| async move {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
        format!("{} hello", peer.unwrap_or_default())
    });
    let server = Server::start(Bounds::SITE, router).await;
    let mut stream = server.connect().await;
    send(&mut stream, GET).await;
    assert!(answer(&mut stream).await.ends_with("127.0.0.1 hello"));
}
