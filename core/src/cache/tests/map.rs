//! docs/rfc9111.md names tests, and each of them exists.

use alloc::string::String;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Everything a test may be named in: core's cache, and the pipeline's tests.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        ["src/cache", "src/cache/store", "src/cache/tests", "../edge/tests/pipeline"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files.filter(is_source).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_test_that_the_map_names_exists() {
    let map = include_str!("../../../../docs/rfc9111.md");
    let sources = sources();
    let mut named = 0;
    for row in map.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| clause")) {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for test in tests.split('`').skip(1).step_by(2) {
            let (function, id) = (alloc::format!("fn {test}("), alloc::format!("\"{test}\""));
            assert!(sources.contains(&function) || sources.contains(&id), "no test `{test}`: {row}");
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}
