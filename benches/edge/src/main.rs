//! An origin, and clients that ask a server as fast as it answers or at a fixed rate.
//!
//! Beside the load test (`loadtest/`), which asks as visitors do: this one asks for numbered addresses, for a fixed count of
//! requests, takes 429 for the answer where that is the case, and gives no request a timer, so that it costs less.
//!
//! A program of its own, so that what it costs is not counted as the server's, and one thread, so that the server has
//! the rest of the machine.

mod client;
mod origin;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer every request with the same kilobyte.
    Origin,
    /// Ask as fast as the server answers.
    Saturate(client::Saturate),
    /// Ask at a fixed rate, whatever the server does.
    Rate(client::Rate),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Origin => origin::serve().await,
        Command::Saturate(saturate) => saturate.run().await,
        Command::Rate(rate) => rate.run().await,
    }
}
