//! A REST server before a real Redis, with the rules of Upstash's: its own clients cannot tell the difference.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use seawall_xtask::redis::Redis;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The server and the Redis behind it. Dropping it stops both.
pub(crate) struct RestStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
    _redis: Redis,
}

struct Shared {
    socket: PathBuf,
    hangs: watch::Sender<bool>,
    /// The first word of each command.
    commands: Mutex<Vec<String>>,
}

/// What Redis says, where an error is an answer like others.
type Said = Result<Value, String>;

impl RestStandIn {
    pub(crate) const TOKEN: &str = "the-token-of-this-test";

    pub(crate) async fn start() -> Result<Self> {
        let redis = Redis::start()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            socket: redis.socket().to_path_buf(),
            hangs: watch::Sender::default(),
            commands: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting, _redis: redis })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets requests wait from now on, or lets them go.
    pub(crate) fn hang(&self, hangs: bool) {
        self.shared.hangs.send_replace(hangs);
    }

    /// The first word of each command so far.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RestStandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        // A client that leaves is no failure.
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // Ends when nobody may hang any more, which the test decides.
        let _ = self.hangs.subscribe().wait_for(|hangs| !hangs).await;
        let base64 = request.headers().get("upstash-encoding").is_some_and(|encoding| encoding == "base64");
        let (status, mut body) = match self.decide(request).await {
            Ok(answer) => answer,
            Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": format!("ERR {error:#}") })),
        };
        if base64 {
            encode(&mut body);
        }
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }

    async fn decide(&self, request: Request<Incoming>) -> Result<(StatusCode, Value)> {
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let in_query = request.uri().query().and_then(|query| query.strip_prefix("_token="));
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).or(in_query);
        if token != Some(RestStandIn::TOKEN) {
            let error = json!({ "error": "WRONGPASS invalid or missing auth token" });
            return Ok((StatusCode::UNAUTHORIZED, error));
        }
        if request.method() != Method::POST {
            return Ok((StatusCode::METHOD_NOT_ALLOWED, json!({ "error": "ERR method not allowed" })));
        }
        let path = request.uri().path().to_owned();
        let body: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
        match &*path {
            "/" => Ok(match self.run(&[command(&body)?]).await?.remove(0) {
                Ok(result) => (StatusCode::OK, json!({ "result": result })),
                Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
            }),
            "/pipeline" => Ok((StatusCode::OK, each(self.run(&commands(&body)?).await?))),
            "/multi-exec" => {
                let mut all = vec![vec!["MULTI".to_owned()]];
                all.extend(commands(&body)?);
                all.push(vec!["EXEC".to_owned()]);
                Ok(match self.run(&all).await?.pop().context("EXEC was answered")? {
                    Ok(Value::Array(results)) => (StatusCode::OK, each(results.into_iter().map(as_said).collect())),
                    Ok(other) => bail!("EXEC said {other}"),
                    // Discarded: one error for all.
                    Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
                })
            }
            _ => bail!("no such path: {path}"),
        }
    }

    /// Sends commands over a connection of their own.
    async fn run(&self, commands: &[Vec<String>]) -> Result<Vec<Said>> {
        let mut stream = BufReader::new(UnixStream::connect(&self.socket).await?);
        let mut answers = Vec::new();
        for words in commands {
            let first = words.first().context("an empty command")?.to_uppercase();
            self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(first);
            let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
            }
            stream.write_all(&bytes).await?;
            answers.push(answer(&mut stream).await?);
        }
        Ok(answers)
    }
}

/// Reads one answer of Redis's protocol. An error inside a list stands there as an object.
async fn answer(stream: &mut BufReader<UnixStream>) -> Result<Said> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).context("Redis closed the connection")?;
    Ok(Ok(match kind {
        "+" => json!(rest),
        "-" => return Ok(Err(rest.to_owned())),
        ":" => json!(rest.parse::<i64>()?),
        "$" | "*" if rest == "-1" => Value::Null,
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            stream.read_exact(&mut bytes).await?;
            bytes.truncate(bytes.len() - 2);
            json!(String::from_utf8_lossy(&bytes))
        }
        "*" => {
            let mut values = Vec::new();
            for _ in 0..rest.parse::<usize>()? {
                values.push(Box::pin(answer(stream)).await?.unwrap_or_else(|error| json!({ "error": error })));
            }
            Value::Array(values)
        }
        _ => bail!("Redis says {line}"),
    }))
}

fn as_said(value: Value) -> Said {
    match value.get("error").and_then(Value::as_str) {
        Some(error) => Err(error.to_owned()),
        None => Ok(value),
    }
}

fn each(answers: Vec<Said>) -> Value {
    let one = |said: Said| said.map_or_else(|error| json!({ "error": error }), |result| json!({ "result": result }));
    answers.into_iter().map(one).collect()
}

fn command(body: &Value) -> Result<Vec<String>> {
    let words = body.as_array().context("a command is a list")?;
    let word = |word: &Value| match word {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(word.to_string()),
        _ => bail!("a word is a text or a number"),
    };
    let mut words = words.iter().map(word).collect::<Result<Vec<_>>>()?;
    // A flag of Upstash's own that a Redis refuses: which keys a script locks. Redis runs one script at a time.
    if let Some(script) = words.get_mut(1).filter(|script| script.starts_with("#!lua flags=allow-key-locking\n")) {
        *script = script.replacen("#!lua flags=allow-key-locking", "", 1);
    }
    Ok(words)
}

fn commands(body: &Value) -> Result<Vec<Vec<String>>> {
    body.as_array().context("a pipeline is a list")?.iter().map(command).collect()
}

/// Every text of a result in base64, but not the word `OK` and not what an error says.
fn encode(value: &mut Value) {
    match value {
        Value::String(text) if text != "OK" => *text = base64(text.as_bytes()),
        Value::Array(values) => values.iter_mut().for_each(encode),
        Value::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| *name == "result").for_each(|(_, result)| encode(result));
        }
        _ => {}
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain(&[0, 0]).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for digit in 0..4 {
            let place = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[place as usize]) } else { '=' });
        }
    }
    text
}
