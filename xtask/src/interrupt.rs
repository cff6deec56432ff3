//! Ctrl-C and its relatives, as a flag that every wait looks at.
//!
//! No signal handler of ours does work. The flag is raised, the wait that runs now returns [`Interrupted`], and the
//! values on the way out stop the processes that they own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The work was stopped by a signal, or because a step beside it failed.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Makes SIGINT, SIGTERM and SIGHUP raise the flag. A second signal ends the program at once; children then go down
/// with their guards (see [`crate::process`]).
///
/// # Errors
/// When the system refuses a handler.
pub fn install() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(flag()))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag())))
            .context("cannot install a signal handler")?;
    }
    Ok(())
}

/// Raises the flag from inside, so that steps running beside a failed one stop too.
pub fn request() {
    flag().store(true, Ordering::SeqCst);
}

/// Whether the flag is up.
#[must_use]
pub fn requested() -> bool {
    flag().load(Ordering::SeqCst)
}

/// `Err(Interrupted)` when the flag is up.
///
/// # Errors
/// [`Interrupted`], and nothing else.
pub fn check() -> Result<()> {
    if requested() { Err(Interrupted.into()) } else { Ok(()) }
}
