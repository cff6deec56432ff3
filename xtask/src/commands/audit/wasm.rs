//! What the Worker may reach: its imports, against the list of what it needs. That core imports nothing, and the component
//! nothing that Spin does not offer, are tests.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use seawall_xtask::project::Project;
use seawall_xtask::step::{Step, Steps};
use seawall_xtask::{build, process, tools};

use super::{Finding, Outcome, Severity};

/// Where the Worker's module may import from: the JavaScript that is made for it, and ours beside it. Neither is the
/// platform itself, whose objects are reached through them only.
const WORKER_MODULES: [&str; 2] = ["./w", "./snippets/seawall-worker-"];

pub(super) fn imports(project: &Project, steps: &Steps, _: &Step) -> Result<Outcome> {
    let worker = build::worker(project, steps)?;
    let imports = imported(project, &worker.wasm())?;
    let strange = imports.iter().filter(|import| !WORKER_MODULES.iter().any(|module| import.starts_with(module)));
    let finding = |import: &String| Finding::new(Severity::High, format!("the Worker imports from {import}"));
    Ok(Outcome::Found(strange.map(finding).collect()))
}

/// The module of each import.
fn imported(project: &Project, file: &Path) -> Result<Vec<String>> {
    let mut disassemble = tools::node_script(project, "binaryen/bin/wasm-dis")?;
    let text = process::answer(disassemble.arg("--all-features").arg(file));
    let text = text.with_context(|| format!("{} is no module", file.display()))?;
    let imports = read(&text);
    // A Worker that calls nothing answers nothing: then it was not the Worker that was read.
    ensure!(!imports.is_empty(), "{} imports nothing", file.display());
    Ok(imports)
}

/// The first string of each line that begins as an import does.
fn read(text: &str) -> Vec<String> {
    let imports = text.lines().filter_map(|line| line.trim_start().strip_prefix("(import \""));
    imports.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_by_module() {
        let text = "(module\n (type $0 (func))\n (import \"./a.js\" \"f\" (func $f))\n (import \"env\" \"memory\" (memory 1))\n (func $g))";
        assert_eq!(read(text), ["./a.js", "env"]);
    }
}
