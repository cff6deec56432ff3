//! The Worker: a module of WASM, and the JavaScript around it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::project::{Project, fingerprint};
use crate::step::{Step, Steps};
use crate::tools::{self, CrateTool};

/// The target of Cloudflare's Workers.
pub const WORKER_TARGET: &str = "wasm32-unknown-unknown";
/// The cargo profile of the Worker: small, because every isolate that starts downloads it.
pub(super) const WORKER_PROFILE: &str = "edge";

/// What wasm-opt may assume of the engine: what rustc assumes of `wasm32-unknown-unknown`. `--all-features` would let it
/// emit what workerd refuses.
const WASM_FEATURES: [&str; 6] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
];

/// The flags of rustc for the Worker's target, as cargo reads them.
const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Most bytes that the Worker may have after `gzip -9`; `cargo xtask test` holds it to that. It is what is there and a
/// little: more is a decision, not an accident (docs/decisions/0017-size-of-the-worker.md).
pub const WORKER_GZIP_BYTES_MAX: u64 = 200 << 10;

/// The built Worker.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The folder with `index.js` and `index_bg.wasm`.
    pub dir: PathBuf,
    /// Bytes of the module.
    pub wasm_bytes: u64,
    /// Bytes of the JavaScript beside it.
    pub js_bytes: u64,
    /// Bytes of both after `gzip -9`, which is what Cloudflare's limit counts.
    pub gzip_bytes: u64,
}

impl Worker {
    /// The entry module.
    #[must_use]
    pub fn script(&self) -> PathBuf {
        self.dir.join("index.js")
    }

    /// The module.
    #[must_use]
    pub fn wasm(&self) -> PathBuf {
        self.dir.join("index_bg.wasm")
    }

    /// One line for people.
    #[must_use]
    pub fn sizes(&self) -> String {
        let Self { wasm_bytes, js_bytes, gzip_bytes, .. } = self;
        format!("wasm {wasm_bytes} bytes, js {js_bytes}; {gzip_bytes} after gzip -9")
    }
}

/// Compiles the Worker's crate without making a Worker of it: the part that needs neither Node nor installed tools.
///
/// # Errors
/// When it does not compile.
pub fn worker_crate(project: &Project, steps: &Steps) -> Result<PathBuf> {
    steps.run("compile the edge to WASM", |step| compile(project, &Recipe::site(project), step))
}

/// The flags for the Worker: SHA-256 in a loop instead of written out, and no folders of this machine in what is compiled.
fn rustflags(project: &Project) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    let folders = registry.iter().map(PathBuf::as_path).chain([project.root()]);
    let remap = folders.map(|folder| format!("--remap-path-prefix={}/=", folder.display()));
    let compact = ["--cfg sha2_backend=\"soft\"", "--cfg sha2_backend_soft=\"compact\""].map(str::to_owned);
    compact.into_iter().chain(remap).collect::<Vec<_>>().join(" ")
}

/// Builds the Worker, unless what is built is current.
///
/// # Errors
/// When it does not compile, or a tool is missing or fails.
pub fn worker(project: &Project, steps: &Steps) -> Result<Worker> {
    build(project, &Recipe::site(project), steps)
}

/// Builds the Worker with another traffic policy in it than the site's, beside the site's own.
///
/// # Errors
/// When the policy does not hold together, and as [`worker`].
pub fn worker_with(project: &Project, policy: &Path, steps: &Steps) -> Result<Worker> {
    build(project, &Recipe::with(project, policy)?, steps)
}

/// Which Worker is built, and where.
struct Recipe {
    /// `None`: the site's own policy.
    policy: Option<PathBuf>,
    /// Cargo's target folder. Another policy has its own, so that two builds do not undo each other's work.
    target: PathBuf,
    /// Where the Worker goes.
    dir: PathBuf,
    stamp: String,
}

impl Recipe {
    fn site(project: &Project) -> Self {
        Self { policy: None, target: project.target(), dir: project.worker_build(), stamp: "worker".to_owned() }
    }

    fn with(project: &Project, policy: &Path) -> Result<Self> {
        let path = policy.canonicalize().with_context(|| format!("cannot read the policy {}", policy.display()))?;
        let name = path.file_stem().and_then(OsStr::to_str).context("the policy's file name is not UTF-8")?;
        let target = project.target().join("policies");
        let dir = project.state(&format!("workers/{name}"));
        Ok(Self { target, dir, stamp: format!("worker-{name}"), policy: Some(path) })
    }

    /// Lets cargo see what this recipe says.
    fn apply(&self, project: &Project, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", &self.target).env(RUSTFLAGS, rustflags(project));
        if let Some(policy) = &self.policy {
            command.env("SEAWALL_POLICY", policy);
        }
    }
}

fn build(project: &Project, recipe: &Recipe, steps: &Steps) -> Result<Worker> {
    // Held while cargo runs too: recipes with a policy share a target folder, and each compiles over the last.
    let lock = project.wait_for_lock("worker")?;
    let compiled = steps.run("compile the edge to WASM", |step| compile(project, recipe, step))?;
    let recipes = ["package-lock.json", "Cargo.lock", "xtask/src/build/worker.rs", SHRINK, ENTRY];
    let inputs = || {
        let [npm, cargo, build, shrink, entry] = &recipes.map(|path| project.path(path));
        let [script, module] = [recipe.dir.join("index.js"), recipe.dir.join("index_bg.wasm")];
        fingerprint(&[&compiled, npm, cargo, build, shrink, entry, &script, &module])
    };
    if !project.is_stamped(&recipe.stamp, &inputs()) {
        steps.run("make the Worker", |step| {
            let glue = bind(project, &compiled, &recipe.dir, step)?;
            shrink(project, &glue, step)?;
            bundle(project, glue, &project.path(ENTRY), &recipe.dir, step)?;
            let (module, optimised) = (recipe.dir.join("index_bg.wasm"), recipe.dir.join("index_bg.optimised.wasm"));
            optimise(project, &module, &optimised, step)?;
            fs::rename(&optimised, &module).with_context(|| format!("cannot replace {}", module.display()))
        })?;
        project.stamp(&recipe.stamp, &inputs())?;
    }
    drop(lock);
    measured(project, recipe.dir.clone())
}

fn compile(project: &Project, recipe: &Recipe, step: &Step) -> Result<PathBuf> {
    let mut cargo = tools::cargo(project);
    cargo.args(["build", "--lib", "--package", "seawall-worker"]);
    cargo.args(["--target", WORKER_TARGET, "--profile", WORKER_PROFILE]);
    recipe.apply(project, &mut cargo);
    process::run("cargo build", cargo, step)?;
    Ok(recipe.target.join(WORKER_TARGET).join(WORKER_PROFILE).join("seawall_worker.wasm"))
}

/// Builds the Worker with the function that runs the contract of the stores, for one test, and returns its folder. It is
/// quick to make, and large.
///
/// # Errors
/// When it does not compile, or a tool is missing or fails.
pub fn contract_worker(project: &Project, steps: &Steps) -> Result<PathBuf> {
    test_worker(project, "contract", "tests/miniflare/contract-worker.mjs", steps)
}

/// Builds the Worker with panics at the wish of a request, for one test, and returns its folder. Its script is the one that is
/// deployed.
///
/// # Errors
/// As [`contract_worker`].
pub fn trap_worker(project: &Project, steps: &Steps) -> Result<PathBuf> {
    test_worker(project, "trap", ENTRY, steps)
}

fn test_worker(project: &Project, name: &str, entry: &str, steps: &Steps) -> Result<PathBuf> {
    let lock = project.wait_for_lock("worker")?;
    let dir = project.state(&format!("workers/{name}"));
    steps.run(&format!("make the Worker of the {name} test"), |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--lib", "--package", "seawall-worker", "--features", "contract"]);
        cargo.args(["--target", WORKER_TARGET]);
        process::run("cargo build", cargo, step)?;
        let compiled = project.target().join(WORKER_TARGET).join("debug/seawall_worker.wasm");
        let glue = bind(project, &compiled, &dir, step)?;
        shrink(project, &glue, step)?;
        bundle(project, glue, &project.path(entry), &dir, step)
    })?;
    drop(lock);
    Ok(dir)
}

/// What wasm-bindgen makes of a compiled crate.
struct Glue {
    /// Where it is, until it is bundled.
    dir: PathBuf,
    module: PathBuf,
    script: PathBuf,
}

/// Puts between a compiled crate and JavaScript what they need to call each other.
fn bind(project: &Project, compiled: &Path, dir: &Path, step: &Step) -> Result<Glue> {
    let dir = dir.join("glue");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    step.detail("wasm-bindgen");
    let tool = CrateTool::WASM_BINDGEN;
    let missing = || format!("{} is not installed; run `cargo xtask up` once", tool.package());
    let mut bindgen = Command::new(tool.path(project).with_context(missing)?);
    // For the web, because that JavaScript can make the module anew, as has to be done after a panic.
    bindgen.args(["--target", "web", "--no-typescript", "--experimental-reset-state-function"]);
    bindgen.args(["--out-name", "built", "--out-dir"]).arg(&dir).arg(compiled);
    process::run("wasm-bindgen", bindgen, step)?;
    let (module, script) = (dir.join("built_bg.wasm"), dir.join("built.js"));
    let text = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    fs::write(&script, named_once(&text)).with_context(|| format!("cannot write {}", script.display()))?;
    Ok(Glue { dir, module, script })
}

/// Takes out of module and script what this build knows already.
fn shrink(project: &Project, glue: &Glue, step: &Step) -> Result<()> {
    step.detail("shrink");
    let mut shrink = Command::new(tools::node(project)?);
    shrink.current_dir(project.root()).arg(project.path(SHRINK)).arg(&glue.module).arg(&glue.script);
    process::run("node shrink.mjs", shrink, step)
}

/// Makes a Worker of this and the JavaScript that `entry` is: one script and one module.
fn bundle(project: &Project, glue: Glue, entry: &Path, dir: &Path, step: &Step) -> Result<()> {
    let module = dir.join("index_bg.wasm");
    fs::rename(&glue.module, &module).with_context(|| format!("cannot rename {}", glue.module.display()))?;
    step.detail("esbuild");
    let mut bundle = Command::new(tools::esbuild(project)?);
    bundle.current_dir(project.root()).args(["--bundle", "--format=esm", "--minify", "--external:*.wasm"]);
    bundle.arg(format!("--alias:built={}", glue.script.display())).arg(entry);
    bundle.arg(format!("--outfile={}", dir.join("index.js").display()));
    process::run("esbuild", bundle, step)?;
    fs::remove_dir_all(&glue.dir).with_context(|| format!("cannot remove {}", glue.dir.display()))
}

/// The script without the lines that name a module again: wasm-bindgen writes one for each function of `glue.js` that it
/// puts nothing around, all with the same value, and wrangler warns of an object that has a key twice.
fn named_once(script: &str) -> String {
    let mut named = HashSet::new();
    let is_first = |line: &&str| match line.trim_start().split_once(": import") {
        Some((key, _)) if key.starts_with('"') => named.insert(key.to_owned()),
        _ => true,
    };
    script.split_inclusive('\n').filter(is_first).collect()
}

/// Makes a WASM module as small as `wasm-opt` can, for the engines that Workers run on. A file beside it says what each of
/// its functions is called, by the number that a trap names.
///
/// # Errors
/// When `wasm-opt` does not take it.
pub fn optimise(project: &Project, module: &Path, optimised: &Path, step: &Step) -> Result<()> {
    step.detail("wasm-opt");
    let mut wasm_opt = tools::node_script(project, "binaryen/bin/wasm-opt")?;
    wasm_opt
        // The first kilobyte of memory is the end of the stack, which nothing refers to by an address. And gzip packs
        // zeroes into less than the heads of the segments that would go around them; what is inlined after LLVM has done
        // so, and what is kept in a local instead of computed again, makes it worse at repetitions.
        .args(["-Oz", "--skip-pass=memory-packing", "--skip-pass=inlining-optimizing", "--skip-pass=local-cse"])
        .arg("--low-memory-unused")
        .args(["--strip-producers", "--strip-target-features"])
        .arg(format!("--symbolmap={}", module.with_extension("symbols").display()))
        .args(WASM_FEATURES)
        .arg(module)
        .arg("-o")
        .arg(optimised);
    process::run("wasm-opt", wasm_opt, step)
}

fn measured(project: &Project, dir: PathBuf) -> Result<Worker> {
    let files = ["index_bg.wasm", "index.js"].map(|name| dir.join(name));
    let bytes = |path: &Path| -> Result<u64> {
        Ok(fs::metadata(path).with_context(|| format!("{} was not built", path.display()))?.len())
    };
    let [module, script] = files.each_ref().map(PathBuf::as_path);
    let (wasm_bytes, js_bytes) = (bytes(module)?, bytes(script)?);
    let gzip_bytes = gzip_bytes(project, &[module, script])?;
    Ok(Worker { dir, wasm_bytes, js_bytes, gzip_bytes })
}

/// What the files have after `gzip -9`, each by itself.
pub(super) fn gzip_bytes(project: &Project, files: &[&Path]) -> Result<u64> {
    let script = "const bytes = (path) => require('node:zlib').gzipSync(require('node:fs').readFileSync(path), {level: 9}).length;\
                  process.stdout.write(String(process.argv.slice(1).reduce((sum, path) => sum + bytes(path), 0)))";
    let mut gzip = Command::new(tools::node(project)?);
    gzip.args(["-e", script]).args(files);
    let bytes = process::answer(&mut gzip).and_then(|bytes| bytes.parse().ok());
    bytes.context("Node could not compress the Worker")
}

/// The JavaScript that the runtime calls.
const ENTRY: &str = "edge/worker/entry.mjs";

/// What runs at build time what a Worker would else do each time it starts.
const SHRINK: &str = "edge/worker/shrink.mjs";
