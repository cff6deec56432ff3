//! CPU time of a server's processes, from Linux's `/proc`.

use std::fs;

use anyhow::{Context, Result, ensure};

/// Microseconds that the processes of a group that run `program` have spent so far.
///
/// # Errors
/// When there is no `/proc`, or no such process in the group.
pub(super) fn time_us(group: u32, program: &str) -> Result<f64> {
    let mut ticks = None;
    for entry in fs::read_dir("/proc").context("CPU time is read from /proc, which only Linux has")?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(spent) = spent(&stat, group, program) {
            ticks = Some(ticks.unwrap_or(0) + spent);
        }
    }
    let ticks = ticks.with_context(|| format!("no process of group {group} runs {program}"))?;
    let per_second = rustix::param::clock_ticks_per_second();
    ensure!(per_second > 0, "the system does not say how long a clock tick is");
    Ok(ticks as f64 * 1e6 / per_second as f64)
}

/// The clock ticks in a line of `/proc/<pid>/stat`, if it is of that program in that group (proc(5)).
fn spent(stat: &str, group: u32, program: &str) -> Option<u64> {
    // The name stands in parentheses and may hold any of them.
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = rest.split_whitespace();
    let of_group: u32 = fields.nth(2)?.parse().ok()?;
    let user: u64 = fields.nth(8)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    (name == program && of_group == group).then_some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_for_its_program_and_group() {
        let line = "17 (work) er) S 1 42 42 0 -1 4194560 1 2 3 4 150 30 7 8 20 0 11 0 99";
        for (group, program, expect) in [(42, "work) er", Some(180)), (41, "work) er", None), (42, "node", None)] {
            assert_eq!(spent(line, group, program), expect, "{group} {program}");
        }
    }
}
