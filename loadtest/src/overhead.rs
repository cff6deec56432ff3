//! What the tool itself costs: its CPU time, how late it is, and what it shows before a server that does nothing.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::crowd;
use crate::options::Options;
use crate::target;

/// How often the tool asks itself whether it is late.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the tool needed in a run. Where `cpu_share` is near 1, or `late_ms_p99` near the times of the answers, the tool
/// was measured and not the server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Tool {
    /// CPU time of this process, in seconds.
    pub(crate) cpu_seconds: f64,
    /// The part of one core that it used.
    pub(crate) cpu_share: f64,
    /// How much later than asked the tool's own timers went off; the kernel's timers alone are late by up to 1 ms.
    pub(crate) late_ms_p50: f64,
    pub(crate) late_ms_p99: f64,
}

/// Watches the tool while it runs.
pub(crate) struct Watch {
    started: Instant,
    cpu: Duration,
    late_us: Rc<RefCell<Histogram<u64>>>,
    looks: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        // Constant bounds, and no digit too many.
        let late_us = Rc::new(RefCell::new(Histogram::new_with_bounds(1, 600_000_000, 3).expect("constant bounds")));
        let counted = Rc::clone(&late_us);
        let looks = tokio::task::spawn_local(async move {
            loop {
                let due = Instant::now() + LOOK_EVERY;
                sleep_until(due.into()).await;
                let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                counted.borrow_mut().saturating_record(late);
            }
        });
        Self { started: Instant::now(), cpu: cpu_time(), late_us, looks }
    }

    pub(crate) fn stop(self) -> Tool {
        self.looks.abort();
        let cpu = cpu_time().saturating_sub(self.cpu).as_secs_f64();
        let late_us = self.late_us.borrow();
        let late = |quantile| late_us.value_at_quantile(quantile) as f64 / 1e3;
        Tool {
            cpu_seconds: cpu,
            cpu_share: cpu / self.started.elapsed().as_secs_f64(),
            late_ms_p50: late(0.5),
            late_ms_p99: late(0.99),
        }
    }
}

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Runs the crowd against a server in this process that answers at once with the same bytes.
pub(crate) fn run(users: u32, duration: u32) -> Result<()> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || serve(listener));
    let (users, duration) = (users.to_string(), duration.to_string());
    let arguments = ["seawall-loadtest", "--url", &url, "--users", &users, "--duration", &duration];
    let options = Alone::parse_from(arguments.into_iter().chain(["--scenario", "health"])).options;
    let target = target::parse(&options.url, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(crowd::run(&options, &target))?;
    println!("{}", report.json()?);
    eprint!("{}", report.table());
    Ok(())
}

/// Options by themselves, so that each has its default.
#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

fn serve(listener: std::net::TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = service_fn(|_: Request<hyper::body::Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
            });
            // A client that goes away is the end of its connection, and of nothing else.
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    })
}
