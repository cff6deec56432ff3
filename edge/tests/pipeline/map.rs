//! docs/security-edge.md names tests, and each of them exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Everything a test may be named in.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "src",
        "src/memory",
        "tests/pipeline",
        "../core/src/cache",
        "../core/src/cache/purge",
        "../core/src/cache/store",
        "../tests/stack/origin",
    ]
    .map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files.filter(is_source).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn every_class_of_attack_names_tests_that_exist() {
    let map = include_str!("../../../docs/security-edge.md");
    let sources = sources();
    let rows = map.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| class"));
    let mut classes = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [class, .., tests] = cells[..] else { panic!("no row of a class: {row}") };
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(cells.len() == 4 && !tests.is_empty(), "{class} names no test");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "{class}: no test `{test}`");
        }
        classes += 1;
    }
    assert_eq!(classes, 28, "the classes of the specification, some of them in two rows, and three of our own");
}
