//! Open files: each connection is one, and the usual soft limit of 1,024 was made for programs that use `select`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to `needed`, or to the hard limit where that is lower; the log then says so, because
/// connections beyond it are not taken.
pub(super) fn allow(needed: usize) {
    let needed = needed as u64;
    let limit = getrlimit(Resource::Nofile);
    let Some(wanted) = wanted(limit, needed) else { return };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    if raised.is_err() || wanted < needed {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        tracing::warn!(
            event = "server.few_files",
            allowed,
            needed,
            "{allowed} open files are allowed and {needed} may be needed: raise the hard limit (ulimit -Hn)"
        );
    }
}

/// The soft limit to set; `None` when that in force is enough.
fn wanted(limit: Rlimit, needed: u64) -> Option<u64> {
    if limit.current.is_none_or(|current| current >= needed) {
        return None;
    }
    Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_as_far_as_the_hard_one_allows() {
        for (current, maximum, expect) in [
            (Some(1_024), Some(20_000), Some(10_000)),
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(1_024), None, Some(10_000)),
            (Some(10_000), Some(10_000), None),
            (None, None, None),
        ] {
            assert_eq!(wanted(Rlimit { current, maximum }, 10_000), expect, "{current:?} {maximum:?}");
        }
    }
}
