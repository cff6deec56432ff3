//! What a process and its descendants use, from Linux's `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// CPU time and memory of a process and all its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on any core so far; that of descendants that have ended counts once they were waited for.
    pub cpu: Duration,
    /// Memory in KiB, where pages that several processes share count in parts (proc(5), `Pss`).
    pub memory_kib: u64,
    /// How many processes there are.
    pub processes: u32,
}

/// Reads what `root` and its descendants use now. Descendants and not the group, because each process of Postgres leads
/// a group of its own.
///
/// # Errors
/// When there is no `/proc`, or no such process.
pub fn of_tree(root: u32) -> Result<Usage> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut ticks = HashMap::new();
    for line in lines()? {
        children.entry(line.parent).or_default().push(line.id);
        ticks.insert(line.id, line.ticks + line.ticks_of_ended);
    }
    ensure!(ticks.contains_key(&root), "process {root} is gone");
    let mut usage = Usage::default();
    let mut spent = 0;
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        spent += ticks.get(&id).copied().unwrap_or_default();
        usage.memory_kib += memory_kib(id);
        usage.processes += 1;
        left.extend(children.remove(&id).unwrap_or_default());
    }
    usage.cpu = time_of(spent)?;
    Ok(usage)
}

/// The time that those processes of a group have spent on any core so far that run `program`.
///
/// # Errors
/// When there is no `/proc`, or no such process in the group.
pub fn cpu_of_program(group: u32, program: &str) -> Result<Duration> {
    let ticks: Option<u64> = lines()?
        .iter()
        .filter(|line| line.group == group && line.name == program)
        .map(|line| line.ticks)
        .fold(None, |sum, ticks| Some(sum.unwrap_or(0) + ticks));
    time_of(ticks.with_context(|| format!("no process of group {group} runs {program}"))?)
}

/// What all processes say of themselves; those that end meanwhile are left out.
fn lines() -> Result<Vec<Line>> {
    let entries = fs::read_dir("/proc").context("CPU time is read from /proc, which only Linux has")?;
    let stats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    Ok(stats.filter_map(|stat| Line::parse(&stat)).collect())
}

fn time_of(ticks: u64) -> Result<Duration> {
    let per_second = rustix::param::clock_ticks_per_second();
    ensure!(per_second > 0, "the system does not say how long a clock tick is");
    Ok(Duration::from_micros(ticks * 1_000_000 / per_second))
}

/// 0 for a process that has just ended, or that is somebody else's.
fn memory_kib(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// What is read of `/proc/<pid>/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: u32,
    name: String,
    parent: u32,
    group: u32,
    ticks: u64,
    /// The time of its children that have ended and were waited for.
    ticks_of_ended: u64,
}

impl Line {
    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses and may hold any of them.
        let (before, rest) = stat.rsplit_once(')')?;
        let (id, name) = before.split_once('(')?;
        let mut fields = rest.split_whitespace().skip(1);
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut times = fields.skip(8).map(|field| field.parse::<u64>().ok());
        let mut time = || times.next().flatten();
        let (ticks, ticks_of_ended) = (time()? + time()?, time()? + time()?);
        Some(Self { id: id.trim().parse().ok()?, name: name.to_owned(), parent, group, ticks, ticks_of_ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let stat = "17 (work) er) S 1 42 42 0 -1 4194560 1 2 3 4 150 30 7 8 20 0 11 0 99";
        let name = "work) er".to_owned();
        let line = Line { id: 17, name, parent: 1, group: 42, ticks: 180, ticks_of_ended: 15 };
        assert_eq!(Line::parse(stat), Some(line));
        assert_eq!(Line::parse("17 (cut off"), None);
    }

    #[test]
    fn a_tree_holds_its_descendants() -> Result<()> {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]);
        let mut shell = crate::process::Service::start("sh", command, crate::process::Logs::Keep)?;
        let id = shell.id();
        let both = || of_tree(id).is_ok_and(|usage| usage.processes == 2 && usage.memory_kib > 0);
        shell.wait_until(Duration::from_secs(60), both)?;
        assert!(cpu_of_program(id, "sleep").is_ok());
        let refused = cpu_of_program(id, "workerd").map_err(|error| error.to_string());
        assert_eq!(refused, Err(format!("no process of group {id} runs workerd")));
        shell.kill();
        assert!(of_tree(id).is_err(), "it is gone");
        Ok(())
    }
}
