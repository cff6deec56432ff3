//! Child processes that never outlive us.
//!
//! Every child leads its own process group, so that Ctrl-C in a terminal reaches only this program, which then stops
//! the groups in order. For the case that this program is killed, each child has a guard: a small shell that waits on
//! a pipe from us and signals the child's group when the pipe closes without a word. That needs nothing from the
//! platform but `/bin/sh`, reaches grandchildren, and does not depend on which thread started the child
//! (docs/decisions/0003-xtask-as-a-library.md).

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Pid;
pub use rustix::process::Signal;

use crate::interrupt;
use crate::screen;
use crate::step::Step;

/// How long a server may take to stop before it is killed.
pub const STOP_WITHIN: Duration = Duration::from_secs(8);
/// The same for a command that runs to its end: what it leaves half done is done again.
const COMMAND_STOPS_WITHIN: Duration = Duration::from_secs(1);
/// How often a waiting loop looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of output kept for error messages and for [`Service::wait_for_line`].
const LINES_KEPT: usize = 400;
/// Lines shown when a command fails.
const LINES_SHOWN: usize = 30;

/// What happens to a child's output, besides being kept for errors.
#[derive(Clone, Debug)]
pub enum Logs {
    /// Nothing.
    Keep,
    /// Each line is printed with this prefix.
    Print(String),
}

/// A running child. Dropping it stops it.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    pid: Pid,
    guard: Option<Guard>,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    stop_signal: Signal,
    stop_within: Duration,
    status: Option<ExitStatus>,
}

impl Service {
    /// Starts `command` in its own process group with its output read by us. SIGTERM stops it.
    ///
    /// # Errors
    /// When the program is missing or cannot be run.
    pub fn start(name: &str, command: Command, logs: Logs) -> Result<Self> {
        Self::start_with(name, command, logs, Signal::TERM)
    }

    /// The same with another signal to stop it by.
    ///
    /// # Errors
    /// When the program is missing or cannot be run.
    pub fn start_with(name: &str, mut command: Command, logs: Logs, stop_signal: Signal) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {program} (for {name})"))?;
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(read_lines(stdout, Arc::clone(&output), logs.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(read_lines(stderr, Arc::clone(&output), logs));
        }
        let pid = Pid::from_child(&child);
        let mut service = Self {
            name: name.to_owned(),
            child,
            pid,
            guard: None,
            output,
            readers,
            stop_signal,
            stop_within: STOP_WITHIN,
            status: None,
        };
        // On an error here the service is dropped and so stopped.
        service.guard = Some(Guard::watch(pid, stop_signal)?);
        Ok(service)
    }

    /// The process id, which is the id of its group too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its last lines of output.
    #[must_use]
    pub fn last_lines(&self) -> String {
        self.output.last(LINES_SHOWN)
    }

    /// Its output as far back as it is kept, which is some hundreds of lines.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.last(LINES_KEPT)
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
            if self.status.is_some()
                && let Some(guard) = self.guard.take()
            {
                guard.dismiss();
            }
        }
        Ok(self.status)
    }

    /// Waits for a line of output that contains `needle` and returns what follows it in that line.
    ///
    /// # Errors
    /// When the process ends first, when the time is over, or when a signal came.
    pub fn wait_for_line(&mut self, needle: &str, within: Duration) -> Result<String> {
        let deadline = Instant::now() + within;
        loop {
            let status = self.ended()?;
            if status.is_some() {
                // Its last words may still be on their way.
                self.join_readers();
            }
            if let Some(rest) = self.output.after(needle) {
                return Ok(rest);
            }
            if let Some(status) = status {
                bail!("{} ended ({status}) before it was ready. It said:\n{}", self.name, self.last_lines());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready after {within:?}. It said:\n{}", self.name, self.last_lines());
            }
            interrupt::check()?;
            self.output.wait(LOOK_EVERY);
        }
    }

    /// Asks `ready` until it says yes.
    ///
    /// # Errors
    /// When the process ends first, when the time is over, or when a signal came.
    pub fn wait_until(&mut self, within: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        while !ready() {
            if let Some(status) = self.ended()? {
                bail!("{} ended ({status}) before it was ready. It said:\n{}", self.name, self.last_lines());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready after {within:?}. It said:\n{}", self.name, self.last_lines());
            }
            interrupt::check()?;
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When a signal came; the process is stopped then.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                self.join_readers();
                return Ok(status);
            }
            if interrupt::requested() {
                self.stop();
                interrupt::check()?;
            }
            self.output.wait(LOOK_EVERY);
        }
    }

    /// Stops it: the signal, then SIGKILL to the whole group when [`STOP_WITHIN`] has passed. Returns at once when it
    /// has already ended.
    pub fn stop(&mut self) {
        let deadline = Instant::now() + self.stop_within;
        let _ = rustix::process::kill_process_group(self.pid, self.stop_signal);
        // One that hangs by SIGSTOP hears of no other signal until it goes on.
        let _ = rustix::process::kill_process_group(self.pid, Signal::CONT);
        while matches!(self.ended(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        if !matches!(self.ended(), Ok(Some(_))) {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
            self.status = self.child.wait().ok();
            if let Some(guard) = self.guard.take() {
                guard.dismiss();
            }
        }
        self.join_readers();
    }

    /// Sends a signal to its whole group, such as SIGSTOP to let it hang.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process_group(self.pid, signal).with_context(|| format!("{} is gone", self.name))
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        self.status = self.child.wait().ok();
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        self.join_readers();
    }

    fn join_readers(&mut self) {
        // What is left of the group holds the pipes open, and nothing of it may outlive its leader.
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end with its last line shown behind `step`.
///
/// # Errors
/// When it cannot be run, fails (the message ends with its last lines), or a signal came.
pub fn run(name: &str, command: Command, step: &Step) -> Result<()> {
    let mut service = Service::start(name, command, Logs::Keep)?;
    service.stop_within = COMMAND_STOPS_WITHIN;
    let output = Arc::clone(&service.output);
    let status = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.wait());
        while !waiting.is_finished() {
            step.detail(&output.last(1));
            std::thread::sleep(LOOK_EVERY * 10);
        }
        waiting.join()
    });
    let status = status.map_err(|_| anyhow::anyhow!("the thread that waited for {name} panicked"))??;
    if !status.success() {
        bail!("{name} failed ({status}):\n{}", service.last_lines());
    }
    Ok(())
}

/// Runs a command to its end with its output printed as it comes.
///
/// # Errors
/// When it cannot be run, fails, or a signal came.
pub fn run_aloud(name: &str, command: Command) -> Result<()> {
    let (status, _) = try_aloud(name, command)?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// The same for a command that may fail: how it ended, and its last lines.
///
/// # Errors
/// When it cannot be run, or a signal came.
pub fn try_aloud(name: &str, command: Command) -> Result<(ExitStatus, String)> {
    let mut service = Service::start(name, command, Logs::Print(String::new()))?;
    service.stop_within = COMMAND_STOPS_WITHIN;
    let status = service.wait()?;
    Ok((status, service.last_lines()))
}

/// The standard output of a quick command, trimmed; `None` when it cannot be run or fails.
#[must_use]
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a process runs. One that is dead and waits for its parent to notice does not.
#[must_use]
pub fn runs(process: Pid) -> bool {
    let number = process.as_raw_nonzero().to_string();
    let state = answer(Command::new("ps").args(["-o", "stat=", "-p", &number]));
    state.is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Finds a program on `PATH`.
#[must_use]
pub fn on_path(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// The shell that outlives us by a moment when we are killed.
#[derive(Debug)]
struct Guard {
    shell: Child,
    pipe: ChildStdin,
}

impl Guard {
    fn watch(group: Pid, signal: Signal) -> Result<Self> {
        // `read` succeeds on our word and fails when the pipe closes, which the kernel does for us if we are killed.
        let seconds = STOP_WITHIN.as_secs();
        let script = format!(
            "read -r word && exit 0; kill -{signal} -{group} 2>/dev/null || exit 0; \
             n=0; while [ $n -lt {seconds} ] && kill -0 -{group} 2>/dev/null; do sleep 1; n=$((n+1)); done; \
             kill -KILL -{group} 2>/dev/null",
            signal = signal.as_raw(),
            group = group.as_raw_nonzero(),
        );
        let mut shell = Command::new("/bin/sh")
            .args(["-c", &script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run /bin/sh")?;
        let pipe = shell.stdin.take().context("the guard has no standard input")?;
        Ok(Self { shell, pipe })
    }

    fn dismiss(mut self) {
        // A guard that is already gone has nothing left to do.
        let _ = self.pipe.write_all(b"done\n");
        drop(self.pipe);
        let _ = self.shell.wait();
    }
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<VecDeque<String>>,
    changed: Condvar,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
        self.changed.notify_all();
    }

    fn last(&self, count: usize) -> String {
        let lines = self.lock();
        let skip = lines.len().saturating_sub(count);
        lines.iter().skip(skip).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn after(&self, needle: &str) -> Option<String> {
        self.lock().iter().find_map(|line| Some(line.split_once(needle)?.1.to_owned()))
    }

    fn wait(&self, at_most: Duration) {
        let lines = self.lock();
        drop(self.changed.wait_timeout(lines, at_most));
    }
}

fn read_lines(from: impl Read + Send + 'static, output: Arc<Output>, logs: Logs) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        // Programs that draw progress end a line with a carriage return; the text after the last one counts.
        while matches!(from.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            let text = text.rsplit('\r').next().unwrap_or(text).to_owned();
            if let Logs::Print(prefix) = &logs {
                screen::line(&format!("{prefix}{text}"));
            }
            output.push(text);
            line.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const SOON: Duration = Duration::from_secs(60);

    /// Starts a shell with a child, and gives both.
    fn parent_and_child() -> Result<(Service, Pid)> {
        let mut service = Service::start("shell", shell("sleep 600 & echo started $!; wait"), Logs::Keep)?;
        let child = service.wait_for_line("started ", SOON)?.parse().ok().and_then(Pid::from_raw).context("an id")?;
        assert!(runs(child));
        Ok((service, child))
    }

    /// Waits for the end of a process that was killed: it comes a moment after the signal.
    fn ends(process: Pid) -> bool {
        let deadline = Instant::now() + SOON;
        while runs(process) && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        !runs(process)
    }

    #[test]
    fn a_line_is_awaited_and_its_rest_returned() -> Result<()> {
        let mut service = Service::start("shell", shell("echo ready on 7; sleep 600"), Logs::Keep)?;
        assert_eq!(service.wait_for_line("ready on ", SOON)?, "7");
        Ok(())
    }

    #[test]
    fn an_early_end_is_reported_with_the_output() -> Result<()> {
        let mut service = Service::start("shell", shell("echo no such table; exit 3"), Logs::Keep)?;
        let error = service.wait_for_line("ready", SOON).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("no such table") && error.contains("exit status: 3"), "{error}");
        Ok(())
    }

    #[test]
    fn stopping_takes_grandchildren_along() -> Result<()> {
        let (service, grandchild) = parent_and_child()?;
        drop(service);
        assert!(ends(grandchild));
        Ok(())
    }

    #[test]
    fn one_that_hangs_is_stopped_as_any_other() -> Result<()> {
        let script = "trap 'echo went; exit 0' TERM; echo ready; while :; do sleep 1; done";
        let mut service = Service::start("shell", shell(script), Logs::Keep)?;
        service.wait_for_line("ready", SOON)?;
        service.signal(Signal::STOP)?;
        service.stop();
        assert!(service.last_lines().contains("went"), "{}", service.last_lines());
        Ok(())
    }

    #[test]
    fn a_guard_whose_owner_is_killed_stops_the_group() -> Result<()> {
        let (mut service, grandchild) = parent_and_child()?;
        // Closing the pipe without a word is what the kernel does when we are killed.
        let guard = service.guard.take().context("it has a guard")?;
        let Guard { mut shell, pipe } = guard;
        drop(pipe);
        assert!(!service.wait()?.success());
        shell.wait()?;
        assert!(ends(grandchild));
        Ok(())
    }
}
