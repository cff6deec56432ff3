//! What is shown while a run goes on.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use crate::recorder::Recorder;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(250);
/// How often a line is written where there is no terminal to draw on.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Draws a line on stderr, or writes one now and then where that is no terminal, until it is dropped with its task.
pub(crate) async fn show(recorder: Rc<RefCell<Recorder>>) {
    let (start, end) = {
        let recorder = recorder.borrow();
        (recorder.start, recorder.end)
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::new(milliseconds(end - start));
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let terminal = std::io::stderr().is_terminal();
    let every = if terminal { Duration::from_secs(1) } else { WRITE_EVERY };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = (start, 0);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        if now < start {
            bar.set_message("users arrive");
            continue;
        }
        let (total, errors) = recorder.borrow().progress();
        let passed = (now - last.0).as_secs_f64();
        if passed >= every.as_secs_f64() {
            let rate = (total - last.1) as f64 / passed;
            let text = format!("{rate:.0} requests/s, {total} in all, {errors} errors");
            if terminal {
                bar.set_message(text);
            } else {
                eprintln!("{:>4} s  {text}", (now - start).as_secs());
            }
            last = (now, total);
        }
        bar.set_position(milliseconds(now - start));
    }
}
