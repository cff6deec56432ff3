//! `cargo xtask test`: every check and test, each as a named step. CI runs this and nothing else.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use seawall_xtask::interrupt::{self, Interrupted};
use seawall_xtask::project::Project;
use seawall_xtask::step::{Steps, seconds};
use seawall_xtask::{build, process, screen, tools};

use super::{browser, conformance};

mod alone;
mod no_std;
pub(crate) mod workflows;

/// Packages that must compile for every edge, with the adapter that compiles for Workers only.
const ON_WORKERS: [&str; 6] = ["--package", "seawall-core", "--package", "seawall-edge", "--package", "seawall-worker"];
/// The same with the adapter that compiles for Spin only.
const ON_SPIN: [&str; 6] = ["--package", "seawall-core", "--package", "seawall-edge", "--package", "seawall-spin"];
/// What this machine's target cannot compile, and the host for Spin, whose dependencies take minutes: part `spin` looks
/// at it.
const APART: [&str; 3] = ["seawall-worker", "seawall-spin", "seawall-spin-host"];
const FUZZ_PACKAGE: &str = "seawall-fuzz-short";
/// They bring the crates that core is compared with, and have no tests that others need; clippy looks at them.
const BENCHES: [&str; 3] = ["seawall-benches", "seawall-benches-wasm", "seawall-benches-edge"];

/// The programs of tests of the package that crosses processes.
const SMALL: [&str; 4] = ["--test", "redis", "--bin", "simulate"];
const STACK: [&str; 2] = ["--test", "stack"];

/// Run every check and test.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run one part only; may be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
}

/// The parts, in the order in which they run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Formatting.
    Fmt,
    /// Clippy on this machine's target.
    Clippy,
    /// Clippy on both WASM targets.
    Wasm,
    /// The workflows of CI and deployment, as GitHub would read them.
    Workflows,
    /// Core without an operating system: a bare-metal target, and a WASM module that imports nothing.
    NoStd,
    /// Tests of each package, documentation's examples included.
    Unit,
    /// What must hold for every input of core's parsers, on kept inputs and mutations of them.
    Fuzz,
    /// Tests that cross a process: the Worker in workerd, the origin, Postgres.
    Stack,
    /// The component for Spin in its host, with a real Redis.
    Spin,
    /// The site in a real browser: each page in light, dark and on a phone, by keyboard, and without scripts.
    Browser,
    /// The public tests for HTTP caches, through the edge.
    Conformance,
    /// The documentation builds without a warning.
    Doc,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| arguments.only.is_empty() || arguments.only.contains(part))
        .collect();
    let steps = Steps::new();
    if parts != [Part::Fmt] {
        tools::require_prerequisites(project)?;
        tools::ensure_packages(project, &steps)?;
        tools::ensure_targets(project, &steps)?;
    }
    let mut failed = 0;
    for part in parts {
        match part.run(project, &steps) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => return Err(error),
            // The other parts may have more to say.
            Err(error) => {
                failed += 1;
                screen::line(&format!("error: {error:#}"));
            }
        }
        interrupt::check()?;
    }
    table(&steps);
    if failed > 0 {
        bail!("{failed} part(s) failed");
    }
    Ok(())
}

impl Part {
    fn run(self, project: &Project, steps: &Steps) -> Result<()> {
        let cargo =
            |name: &str, arguments: &[&str]| steps.run(name, |_| process::run_aloud(name, cargo(project, arguments)));
        match self {
            Self::Fmt => cargo("cargo fmt --check", &["fmt", "--all", "--check"]),
            Self::Clippy => cargo(
                "cargo clippy",
                &["clippy", "--workspace", "--all-targets", "--all-features"]
                    .into_iter()
                    .chain(APART.iter().flat_map(exclude))
                    .chain(["--"])
                    .chain(DENY_WARNINGS)
                    .collect::<Vec<_>>(),
            ),
            Self::Wasm => {
                for (packages, target) in [(ON_WORKERS, build::WORKER_TARGET), (ON_SPIN, build::SPIN_TARGET)] {
                    let name = format!("cargo clippy for {target}");
                    let arguments: Vec<&str> = ["clippy", "--target", target]
                        .into_iter()
                        .chain(packages.iter().copied())
                        .chain(["--"])
                        .chain(DENY_WARNINGS)
                        .collect();
                    let mut clippy = self::cargo(project, &arguments);
                    // What a policy does not use is left out, so this one uses all of it.
                    clippy.env("SEAWALL_POLICY", project.path("tests/stack/policies/fleet.toml"));
                    steps.run(&name, |_| process::run_aloud(&name, clippy))?;
                }
                Ok(())
            }
            Self::Workflows => steps.run("lint the workflows", |_| {
                let findings = workflows::findings(project)?;
                ensure!(findings.is_empty(), "the workflows have errors:\n{}", findings.join("\n"));
                Ok(())
            }),
            Self::NoStd => {
                cargo(
                    "build core for a machine without an operating system",
                    &["build", "--package", "seawall-core", "--target", "thumbv7m-none-eabi"],
                )?;
                steps.run("core's WASM imports nothing", |step| no_std::prove(project, step))
            }
            Self::Unit => cargo(
                "cargo test",
                &["test", "--workspace", "--all-features", "--no-fail-fast"]
                    .into_iter()
                    .chain(["seawall-tests", FUZZ_PACKAGE].iter().chain(&APART).chain(&BENCHES).flat_map(exclude))
                    .collect::<Vec<_>>(),
            ),
            Self::Fuzz => cargo("a short run of the fuzz targets", &["test", "--package", FUZZ_PACKAGE]),
            Self::Stack => {
                tools::ensure_all(project, steps)?;
                build::origin(project, build::Profile::Dev, steps)?;
                let worker = build::worker(project, steps)?;
                screen::line(&worker.sizes());
                ensure!(
                    worker.gzip_bytes <= build::WORKER_GZIP_BYTES_MAX,
                    "the Worker has {} bytes after gzip, more than {}: docs/decisions/0017-size-of-the-worker.md says \
                     what makes it big, and where its bound is",
                    worker.gzip_bytes,
                    build::WORKER_GZIP_BYTES_MAX
                );
                let tests = ["test", "--package", "seawall-tests"];
                cargo("cargo test of core's scripts in Redis, and of the simulation", &[&tests[..], &SMALL].concat())?;
                alone::prove(project, "cargo test of the stack", &[&tests[..], &STACK].concat(), steps)
            }
            Self::Spin => {
                let arguments =
                    ["test", "--package", "seawall-tests", "--features", "spin", "--test", "stack", "spin::"];
                let component = build::spin_component(project, steps)?;
                screen::line(&component.sizes());
                build::spin_host(project, steps)?;
                let clippy = ["clippy", "--package", "seawall-spin-host", "--all-targets", "--"];
                cargo("cargo clippy of the host for Spin", &[&clippy[..], &DENY_WARNINGS].concat())?;
                alone::prove(project, "cargo test of the component", &arguments, steps)
            }
            Self::Browser => browser::prove(project, None, steps),
            Self::Conformance => {
                conformance::prove(project, conformance::Edge::Worker, &conformance::Edition::Package, false, steps)?;
                conformance::prove(project, conformance::Edge::Spin, &conformance::Edition::Package, false, steps)
            }
            Self::Doc => steps.run("cargo doc", |_| {
                let mut doc = cargo_command_for_docs(project);
                doc.args(["--workspace", "--no-deps", "--all-features"]);
                doc.args(APART.iter().chain(&BENCHES).flat_map(exclude));
                process::run_aloud("cargo doc", doc)
            }),
        }
    }
}

/// The arguments that leave a package out.
fn exclude<'a>(package: &&'a str) -> [&'a str; 2] {
    ["--exclude", package]
}

const DENY_WARNINGS: [&str; 2] = ["-D", "warnings"];

fn cargo(project: &Project, arguments: &[&str]) -> Command {
    let mut cargo = tools::cargo(project);
    cargo.args(arguments);
    if screen::is_terminal() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    cargo
}

fn cargo_command_for_docs(project: &Project) -> Command {
    let mut doc = cargo(project, &["doc"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc
}

fn table(steps: &Steps) {
    let finished = steps.finished();
    let total: Duration = finished.iter().map(|step| step.took).sum();
    screen::line("");
    for step in &finished {
        let mark = if step.ok { "ok    " } else { "FAILED" };
        screen::line(&format!("{mark} {:>9}  {}", seconds(step.took), step.name));
    }
    screen::line(&format!("       {:>9}  in all", seconds(total)));
}
