//! The table of scenarios by platform, `docs/scenarios.md`.

use std::fmt::Write as _;

use crate::{Platform, Scenario};

/// The page. Each cell is what the tests show: a scenario passes on a platform, or the tests fail.
fn page(scenarios: &[Scenario]) -> String {
    let mut page = String::from(HEAD);
    let names: Vec<&str> = Platform::ALL.iter().map(|platform| platform.as_str()).collect();
    // Writing to a text cannot fail.
    let _ = writeln!(page, "| scenario | shows | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---|{}", "---|".repeat(names.len()));
    for scenario in scenarios {
        let cells = Platform::ALL.map(|platform| {
            scenario
                .instead
                .get(&platform)
                .map_or_else(|| "pass".to_owned(), |instead| format!("differs: {}", instead.why))
        });
        let _ = writeln!(page, "| `{}` | {} | {} |", scenario.id, scenario.says, cells.join(" | "));
    }
    page
}

const HEAD: &str = "# Scenarios

What the edge does, shown on every platform it runs on. The scenarios are data, `tests/scenarios/scenarios.toml`; this
page is made from them. `cargo xtask test --only unit` plays them on the pipeline's test platform, `--only stack` on the
built Worker in workerd, `--only spin` on the built component in the test host for Spin. Where a platform must differ, it
has steps of its own, and the table says why.

";

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_these_scenarios_make() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios.md");
        let page = page(&crate::all().unwrap());
        if env::var_os("SEAWALL_WRITE").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == page,
            "run `SEAWALL_WRITE=1 cargo test -p seawall-scenarios` to bring {} up to date",
            path.display()
        );
    }
}
