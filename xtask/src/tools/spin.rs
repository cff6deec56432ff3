//! The program `spin`, which no registry has: it is used where somebody has installed it.

use std::process::Command;

use crate::process;

/// The oldest Spin that has WASI 0.3, which the component is built for.
pub const SPIN_MIN: (u32, u32) = (4, 1);

/// Major and minor version of the Spin on `PATH`. Debian has another program of that name, a model checker, which is none.
#[must_use]
pub fn spin_version() -> Option<(u32, u32)> {
    parsed(&process::answer(Command::new("spin").arg("--version"))?)
}

/// What `spin 4.1.0 (abcdef0 2026-07-01)` says.
fn parsed(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("spin ")?.split(['.', '-', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spin_itself_has_a_version() {
        for (said, version) in [
            ("spin 4.1.0 (abcdef0 2026-07-01)", Some((4, 1))),
            ("spin 10.12.3-pre0", Some((10, 12))),
            ("Spin Version 6.5.2 -- 6 December 2019", None),
            ("spin", None),
            ("", None),
        ] {
            assert_eq!(parsed(said), version, "{said}");
        }
    }
}
