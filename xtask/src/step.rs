//! Named steps with their running and final times.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::interrupt::Interrupted;
use crate::screen;

/// How often the block of running steps is drawn on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(120);
/// How often a step that still runs says so where there is no terminal.
const REMIND_EVERY: Duration = Duration::from_secs(30);

const GREEN: u8 = 32;
const RED: u8 = 31;
const GREY: u8 = 90;

/// The steps of one command, in the order in which they ended.
#[derive(Clone, Default)]
pub struct Steps {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    running: Vec<Running>,
    finished: Vec<Finished>,
    next_id: u64,
    ticking: bool,
}

struct Running {
    id: u64,
    name: String,
    detail: String,
    started: Instant,
    reminded: Instant,
}

/// A step that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its name as shown.
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// Whether it succeeded.
    pub ok: bool,
}

/// A step that runs. Its detail is the short text behind its name.
pub struct Step {
    steps: Steps,
    id: u64,
    note: Mutex<String>,
}

impl Steps {
    /// No steps yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` as a step and shows how it ended.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub fn run<T>(&self, name: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let step = self.start(name);
        let result = work(&step);
        let stopped = matches!(&result, Err(error) if error.is::<Interrupted>());
        self.finish(&step, result.is_ok(), stopped);
        result
    }

    /// What has ended so far.
    #[must_use]
    pub fn finished(&self) -> Vec<Finished> {
        self.lock().finished.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, name: &str) -> Step {
        let now = Instant::now();
        let mut shared = self.lock();
        let id = shared.next_id;
        shared.next_id += 1;
        shared.running.push(Running { id, name: name.to_owned(), detail: String::new(), started: now, reminded: now });
        if !shared.ticking {
            shared.ticking = true;
            let steps = self.clone();
            std::thread::spawn(move || steps.tick());
        }
        drop(shared);
        if !screen::is_terminal() {
            screen::line(&format!("  ..    {name}"));
        }
        Step { steps: self.clone(), id, note: Mutex::default() }
    }

    fn finish(&self, step: &Step, ok: bool, stopped: bool) {
        let mut shared = self.lock();
        let Some(at) = shared.running.iter().position(|running| running.id == step.id) else { return };
        let running = shared.running.remove(at);
        let took = running.started.elapsed();
        shared.finished.push(Finished { name: running.name.clone(), took, ok });
        // Drawn under the lock, or a tick could draw this step once more after its end.
        screen::block(block_lines(&shared.running));
        drop(shared);
        let mark = match (ok, stopped) {
            (true, _) => screen::paint(GREEN, "ok"),
            (false, true) => screen::paint(GREY, "--"),
            (false, false) => screen::paint(RED, "!!"),
        };
        let note = step.note.lock().unwrap_or_else(PoisonError::into_inner);
        let note = if note.is_empty() { String::new() } else { format!("  {}", screen::paint(GREY, &note)) };
        screen::line(&format!("  {mark} {:>7}  {}{note}", seconds(took), running.name));
    }

    /// Redraws, or reminds, until no step is left.
    fn tick(&self) {
        loop {
            std::thread::sleep(REDRAW_EVERY);
            let mut shared = self.lock();
            if shared.running.is_empty() {
                shared.ticking = false;
                return;
            }
            if screen::is_terminal() {
                screen::block(block_lines(&shared.running));
                continue;
            }
            let now = Instant::now();
            for running in &mut shared.running {
                if now.duration_since(running.reminded) >= REMIND_EVERY {
                    running.reminded = now;
                    let took = seconds(running.started.elapsed());
                    screen::line(&format!("  .. {took:>7}  {}  {}", running.name, running.detail));
                }
            }
        }
    }
}

impl Step {
    /// Replaces the short text behind the running step's name.
    pub fn detail(&self, text: &str) {
        let mut shared = self.steps.lock();
        if let Some(running) = shared.running.iter_mut().find(|running| running.id == self.id) {
            running.detail = text.to_owned();
        }
    }

    /// Sets the short text that stays behind the step's name once it ended.
    pub fn note(&self, text: &str) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = text.to_owned();
    }
}

fn block_lines(running: &[Running]) -> Vec<String> {
    running
        .iter()
        .map(|step| format!("  .. {:>7}  {}  {}", seconds(step.started.elapsed()), step.name, step.detail))
        .collect()
}

/// `12.3 s`, as shown behind steps.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}
