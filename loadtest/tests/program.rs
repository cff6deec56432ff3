//! The program itself, before servers that answer, refuse, stall, break off and lie.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// What the server does with each request.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Answers with this status and body.
    Answer(u16, &'static str),
    /// Sends half of an answer, and closes.
    BreakOff,
    /// Answers, and closes without having said so.
    AnswerAndClose,
    /// Never answers.
    Hang,
    /// Answers the first request of all only, and none after it.
    OnceThenHang,
}

/// A server of this test, which counts connections by client address.
struct Server {
    url: String,
    clients: Arc<Mutex<HashMap<SocketAddr, u32>>>,
}

fn serve(behaviour: Behaviour) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let clients = Arc::new(Mutex::new(HashMap::new()));
    let counted = Arc::clone(&clients);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if let Ok(address) = stream.peer_addr() {
                *counted.lock().expect("no panic").entry(address).or_default() += 1;
            }
            thread::spawn(move || converse(stream, behaviour, number == 0));
        }
    });
    Server { url, clients }
}

fn converse(mut stream: TcpStream, behaviour: Behaviour, first: bool) {
    let mut answers = 0;
    while read_head(&mut stream) {
        let answer = match behaviour {
            Behaviour::AnswerAndClose => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
            Behaviour::Answer(status, body) => {
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            Behaviour::OnceThenHang if first && answers == 0 => {
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned()
            }
            Behaviour::BreakOff => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned(),
            Behaviour::Hang | Behaviour::OnceThenHang => continue,
        };
        answers += 1;
        if stream.write_all(answer.as_bytes()).is_err()
            || matches!(behaviour, Behaviour::BreakOff | Behaviour::AnswerAndClose)
        {
            return;
        }
    }
}

/// Reads to the end of a request's fields.
fn read_head(stream: &mut TcpStream) -> bool {
    let mut last = [0; 4];
    loop {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => last = [last[1], last[2], last[3], byte[0]],
            _ => return false,
        }
        if &last == b"\r\n\r\n" {
            return true;
        }
    }
}

/// Runs the program for so long that every user asks, also where the machine pauses, and with patience.
fn run(url: &str, arguments: &[&str]) -> Output {
    run_for("2", PATIENCE, url, arguments)
}

/// The same with seconds of its own, and as many until a request has failed.
fn run_for(duration: &str, timeout: &str, url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall-loadtest"))
        .args(["--url", url, "--users", "4", "--scenario", "health", "--duration", duration, "--timeout", timeout])
        .args(arguments)
        .output()
        .expect("the program runs")
}

/// Seconds that no answer takes, however busy the machine is.
const PATIENCE: &str = "60";

fn health(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    report["results"]["health"].clone()
}

#[test]
fn answers_count_and_files_are_written() {
    let server = serve(Behaviour::Answer(200, "{}"));
    let folder = std::env::temp_dir().join(format!("seawall-loadtest-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let [json, html] = ["result.json", "result.html"].map(|name| folder.join(name));
    let output = run(&server.url, &["--output", json.to_str().expect("text"), "--html", html.to_str().expect("text")]);
    assert!(output.status.success(), "{output:?}");
    let health = health(&output);
    assert!(health["success_count"].as_u64() > Some(4), "more than one for each connection: {health}");
    assert_eq!(health["error_count"], 0);
    assert!(health["latency_ms"]["p50"].as_f64() <= health["latency_ms"]["p99"].as_f64(), "{health}");
    assert_eq!(server.clients.lock().expect("no panic").len(), 4, "connections are kept");
    let page = std::fs::read_to_string(&html).expect("written");
    assert!(page.contains("<svg") && !page.contains("src=") && !page.contains("http://www"), "{page}");
    let json = json.to_str().expect("text");
    let same = Command::new(env!("CARGO_BIN_EXE_seawall-loadtest"))
        .args(["compare", json, json, "--fail-above", "0"])
        .output()
        .expect("the program runs");
    assert!(same.status.success(), "{same:?}");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn errors_have_a_kind_and_fail_the_run() {
    for (behaviour, kind) in [
        (Behaviour::Answer(503, "busy"), "unavailable"),
        (Behaviour::Answer(500, "oops"), "server_error"),
        (Behaviour::Answer(404, "none"), "status"),
        (Behaviour::Answer(200, "an apology"), "not_whole"),
        (Behaviour::BreakOff, "broken"),
        (Behaviour::Hang, "timeout"),
    ] {
        let timeout = if matches!(behaviour, Behaviour::Hang) { "1" } else { PATIENCE };
        let output = run_for("2", timeout, &serve(behaviour).url, &[]);
        assert_eq!(output.status.code(), Some(1), "{kind}: {output:?}");
        let health = health(&output);
        assert!(health["errors"][kind].as_u64() > Some(0), "{kind}: {health}");
        assert_eq!(health["errors"].as_object().map(serde_json::Map::len), Some(1), "{kind}: {health}");
        assert!(health["latency_ms"].is_null(), "{kind}: {health}");
    }
}

#[test]
fn errors_that_are_allowed_do_not_fail_the_run_but_no_answer_does() {
    let server = serve(Behaviour::Answer(503, "busy"));
    assert_eq!(run(&server.url, &["--max-error-rate", "100"]).status.code(), Some(1), "nothing was answered");
}

#[test]
fn limited_answers_are_counted_apart_and_are_no_measurement() {
    let output = run(&serve(Behaviour::Answer(429, "later")).url, &[]);
    let health = health(&output);
    assert!(health["limited_count"].as_u64() > Some(0), "{health}");
    assert_eq!(health["error_count"], 0, "{health}");
    assert_eq!(output.status.code(), Some(1), "every answer was 429");
}

#[test]
fn a_kept_connection_that_the_server_closed_is_no_error() {
    let output = run(&serve(Behaviour::AnswerAndClose).url, &["--think", "20"]);
    let health = health(&output);
    assert!(output.status.success() && health["success_count"].as_u64() > Some(4), "{health}");
    assert_eq!(health["error_count"], 0, "{health}");
}

/// What a closed model hides: with one answer and then a stall, an open model still counts every request that was due.
#[test]
fn a_server_that_stalls_is_not_spared_what_was_due() {
    // The one answer has seconds to arrive in: later it would be among what failed.
    let output = run_for("5", "3", &serve(Behaviour::OnceThenHang).url, &["--rate", "4"]);
    let health = health(&output);
    assert_eq!(health["total_requests"], 20, "{health}");
    assert_eq!(health["success_count"], 1, "{health}");
    let failed = |kind: &str| health["errors"][kind].as_u64().unwrap_or(0);
    assert_eq!(failed("timeout") + failed("not_sent"), 19, "{health}");
    assert!(failed("not_sent") > 0, "four connections hang for three seconds each: {health}");
}

#[test]
fn users_have_as_many_addresses_as_are_asked_for() {
    let server = serve(Behaviour::Answer(200, "{}"));
    let output = run(&server.url, &["--addresses", "3"]);
    assert!(output.status.success(), "{output:?}");
    let clients = server.clients.lock().expect("no panic");
    let addresses: std::collections::BTreeSet<_> = clients.keys().map(|client| client.ip().to_string()).collect();
    assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["127.1.0.1", "127.1.0.2", "127.1.0.3"]);
}

#[test]
fn another_machine_is_refused_before_anything_is_sent() {
    for arguments in [vec![], vec!["--remote", "--i-may-load", "192.0.2.9"]] {
        let output = run("http://192.0.2.1", &arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("192.0.2.1") && said.contains("is not this machine"), "{said}");
    }
    assert_eq!(run("http://192.0.2.1", &["--remote"]).status.code(), Some(2), "told once only");
}
