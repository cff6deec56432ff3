//! `cargo xtask`: every developer command of Seawall.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use seawall_xtask::interrupt::{self, Interrupted};
use seawall_xtask::project::Project;

mod commands;

/// Seawall's developer commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything on this machine: database, sample data, origin, edge.
    Up(commands::up::Arguments),
    /// Run every check and test.
    Test(commands::test::Arguments),
    /// Build origin and edge as they are deployed, and say how big they are.
    Build(commands::build::Arguments),
    /// Measure on this machine.
    Bench(commands::bench::Arguments),
    /// Send a crowd to the site, and say what it saw and what it cost.
    Load(commands::load::Arguments),
    /// Start the edge alone, in front of any origin.
    Edge(commands::edge::Arguments),
    /// Run the public suite of tests for HTTP caches through the edge.
    Conformance(commands::conformance::Arguments),
    /// Keep a picture of every page in docs/screenshots/.
    Screenshots,
    /// Simulate limits that many isolates share: what each mode admits, and how often it asks.
    Simulate(commands::simulate::Arguments),
    /// Remove what `up` and the builds left behind.
    Clean(commands::clean::Arguments),
    /// Look for known holes, licences that do not fit, secrets, and unsafe recipes of deployment.
    Audit(commands::audit::Arguments),
    /// Say what is here, what is missing, and how to get it.
    Doctor,
}

/// What a shell expects of a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let project = Project::here();
    let result = interrupt::install().and_then(|()| match arguments.command {
        Command::Up(arguments) => commands::up::run(&project, &arguments),
        Command::Test(arguments) => commands::test::run(&project, &arguments),
        Command::Build(arguments) => commands::build::run(&project, &arguments),
        Command::Bench(arguments) => commands::bench::run(&project, &arguments),
        Command::Load(arguments) => commands::load::run(&project, &arguments),
        Command::Edge(arguments) => commands::edge::run(&project, &arguments),
        Command::Conformance(arguments) => commands::conformance::run(&project, &arguments),
        Command::Screenshots => commands::browser::screenshots(&project),
        Command::Simulate(arguments) => commands::simulate::run(&project, &arguments),
        Command::Clean(arguments) => commands::clean::run(&project, &arguments),
        Command::Audit(arguments) => commands::audit::run(&project, &arguments),
        Command::Doctor => commands::doctor::run(&project),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
