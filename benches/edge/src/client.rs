//! Clients over kept connections, and the times of their requests.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::sleep_until;

/// What is asked for.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Path and query; `{n}` stands for a number of each request.
    #[arg(long)]
    path: String,
    /// The number of the first request.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many numbers there are, before they begin again; 0: they do not.
    #[arg(long, default_value_t = 0)]
    numbers: u64,
    /// Which status every answer has.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// Connections that are open at a time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// Asks as fast as the server answers.
#[derive(Args)]
pub(crate) struct Saturate {
    #[command(flatten)]
    target: Target,
    /// For how long.
    #[arg(long, default_value_t = 2000, conflicts_with = "requests")]
    milliseconds: u64,
    /// How many requests, instead.
    #[arg(long)]
    requests: Option<u64>,
}

/// Asks at a fixed rate.
#[derive(Args)]
pub(crate) struct Rate {
    #[command(flatten)]
    target: Target,
    /// Requests in each second.
    #[arg(long)]
    per_second: u64,
    /// How many requests.
    #[arg(long)]
    requests: u64,
}

/// What all connections count together.
struct Shared {
    target: Target,
    next: Cell<u64>,
    /// In microseconds.
    times: RefCell<Vec<u64>>,
}

impl Shared {
    fn new(target: &Target) -> Rc<Self> {
        Rc::new(Self { target: target.clone(), next: Cell::new(0), times: RefCell::default() })
    }

    /// The number of the next request among all.
    fn take(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    /// Sends one request and reads its answer to the end.
    async fn ask(&self, sender: &mut SendRequest<Empty<Bytes>>, number: u64) -> Result<()> {
        let Target { port, path, first, numbers, status, .. } = &self.target;
        let number = first + if *numbers == 0 { number } else { number % numbers };
        let request = Request::get(path.replace("{n}", &number.to_string()))
            .header("host", format!("127.0.0.1:{port}"))
            .header("accept", "text/html")
            .body(Empty::new())?;
        let started = Instant::now();
        let response = sender.send_request(request).await?;
        let found = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        let took = u64::try_from(started.elapsed().as_micros())?;
        ensure!(found == *status, "{path}: status {found}, not {status}");
        self.times.borrow_mut().push(took);
        Ok(())
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target.port)).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }

    fn report(&self, took: Duration) {
        let mut times = self.times.borrow_mut();
        times.sort_unstable();
        // Nearest rank.
        let percentile = |permille: usize| times.get((times.len() * permille).div_ceil(1000).max(1) - 1).copied();
        let per_second = times.len() as f64 / took.as_secs_f64();
        let [p50, p90, p99] = [500, 900, 990].map(percentile);
        println!(
            "{}",
            json!({ "requests": times.len(), "per_second": per_second, "p50_us": p50, "p90_us": p90, "p99_us": p99 })
        );
    }
}

impl Saturate {
    /// Prints one line of JSON.
    pub(crate) async fn run(self) -> Result<()> {
        let shared = Shared::new(&self.target);
        let end = Instant::now() + Duration::from_millis(self.milliseconds);
        let goes_on = move |number: u64| match self.requests {
            Some(requests) => number < requests,
            None => Instant::now() < end,
        };
        let took = crowd(&shared, move |shared, mut sender| async move {
            loop {
                let number = shared.take();
                if !goes_on(number) {
                    return Ok(());
                }
                shared.ask(&mut sender, number).await?;
            }
        })
        .await?;
        shared.report(took);
        Ok(())
    }
}

impl Rate {
    /// Prints one line of JSON. Requests that are due while the server is slow go out on other connections, so a slow
    /// answer does not make the crowd wait.
    pub(crate) async fn run(self) -> Result<()> {
        let shared = Shared::new(&self.target);
        let start = tokio::time::Instant::now() + Duration::from_millis(200);
        let (per_second, requests) = (self.per_second, self.requests);
        let took = crowd(&shared, move |shared, mut sender| async move {
            loop {
                let number = shared.take();
                if number >= requests {
                    return Ok(());
                }
                sleep_until(start + Duration::from_micros(number * 1_000_000 / per_second)).await;
                shared.ask(&mut sender, number).await?;
            }
        })
        .await?;
        shared.report(took);
        Ok(())
    }
}

/// Runs `client` on each connection until all are done, and says how long that took.
async fn crowd<Client, Done>(shared: &Rc<Shared>, client: Client) -> Result<Duration>
where
    Client: Fn(Rc<Shared>, SendRequest<Empty<Bytes>>) -> Done,
    Done: Future<Output = Result<()>> + 'static,
{
    let here = LocalSet::new();
    here.run_until(async {
        let mut senders = Vec::new();
        for _ in 0..shared.target.connections {
            senders.push(shared.connect().await?);
        }
        let started = Instant::now();
        let clients: Vec<_> =
            senders.into_iter().map(|sender| tokio::task::spawn_local(client(Rc::clone(shared), sender))).collect();
        for client in clients {
            client.await??;
        }
        Ok(started.elapsed())
    })
    .await
}
