//! Runs a Spin component where there is no Spin.
//!
//! It offers what Seawall's component imports (HTTP in and out, key-value, Redis, variables), as Spin does, and nothing
//! else of Spin's. With `--for-tests` a test has the clock and the authority of the shared limits in its hands.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use tokio::net::TcpListener;

mod clock;
mod component;
mod control;
mod key_value;
mod outbound;
mod redis;
mod server;
mod variables;
mod world;

use self::clock::Clock;
use self::component::Instances;
use self::control::Control;
use self::key_value::KeyValue;
use self::world::World;

/// Runs a Spin component where there is no Spin.
#[derive(Parser)]
struct Arguments {
    /// The component.
    component: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// A variable of the component, as NAME=VALUE; as in Spin, SPIN_VARIABLE_NAME in the environment sets it too.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variables::parse)]
    variables: Vec<(String, String)>,
    /// A folder that keeps what the component stores; without it, memory does.
    #[arg(long, value_name = "FOLDER")]
    key_value: Option<PathBuf>,
    /// Requests that one instance answers at the same time.
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
    /// Requests that one instance answers in its life.
    #[arg(long, default_value_t = 128)]
    reuse: usize,
    /// Milliseconds after which an instance without work ends.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    idle_ms: u64,
    /// Lets the clock stand still, and obeys commands under /__test/.
    #[arg(long)]
    for_tests: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let world = Arc::new(World {
        clock: if arguments.for_tests { Clock::standing()? } else { Clock::Running },
        key_value: KeyValue::open(arguments.key_value)?,
        variables: variables::of_environment().chain(arguments.variables).collect(),
        control: Control::default(),
        obeys: arguments.for_tests,
    });
    let instances = Instances {
        concurrency: arguments.concurrency,
        reuse: arguments.reuse,
        idle: Duration::from_millis(arguments.idle_ms),
    };
    let handler = component::load(&arguments.component, Arc::clone(&world), instances)
        .map_err(|error| anyhow!("cannot load {}: {error:?}", arguments.component.display()))?;
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    // Miniflare has two ports, and whoever starts either of them reads the same line.
    let port = listener.local_addr()?.port();
    println!("edge listening on {port} and {port}");
    server::serve(listener, handler, world).await
}
