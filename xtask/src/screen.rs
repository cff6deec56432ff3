//! The one door to standard output, so that log lines and running steps do not overwrite each other.
//!
//! On a terminal the running steps form a block under the lines already printed, redrawn in place. Without a
//! terminal there are only lines.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Columns assumed when the terminal does not say.
const COLUMNS_DEFAULT: usize = 80;

struct Screen {
    terminal: bool,
    /// The running steps as they are drawn now.
    block: Vec<String>,
    drawn: usize,
}

fn screen() -> MutexGuard<'static, Screen> {
    static SCREEN: OnceLock<Mutex<Screen>> = OnceLock::new();
    SCREEN
        .get_or_init(|| Mutex::new(Screen { terminal: std::io::stdout().is_terminal(), block: Vec::new(), drawn: 0 }))
        .lock()
        // A panic while printing leaves at worst a half drawn block.
        .unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    screen().terminal
}

/// Prints one line above the running steps.
pub fn line(text: &str) {
    screen().print(Some(text));
}

/// Replaces the block of running steps. Does nothing without a terminal.
pub fn block(lines: Vec<String>) {
    let mut screen = screen();
    if screen.terminal {
        screen.block = lines;
        screen.print(None);
    }
}

impl Screen {
    fn print(&mut self, text: Option<&str>) {
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
        }
        if let Some(text) = text {
            out.push_str(text);
            out.push('\n');
        }
        let columns = if self.block.is_empty() { 0 } else { columns() };
        for line in &self.block {
            out.extend(line.chars().take(columns.saturating_sub(1)));
            out.push('\n');
        }
        self.drawn = self.block.len();
        let mut stdout = std::io::stdout().lock();
        // A closed pipe on the other side is no reason to stop.
        let _ = stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush());
    }
}

fn columns() -> usize {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if told == 0 { COLUMNS_DEFAULT } else { told }
}

/// Wraps `text` in a colour when standard output is a terminal.
#[must_use]
pub fn paint(colour: u8, text: &str) -> String {
    if is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
