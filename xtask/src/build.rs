//! Builds of what runs: the origin as a native program, the edge as a Worker and as a component for Spin.

mod spin;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::project::{Project, fingerprint};
use crate::step::{Step, Steps};
use crate::tools::{self, CrateTool};

pub use self::spin::{Component, SPIN_TARGET, spin_component, spin_host};

/// The target of Cloudflare's Workers.
pub const WORKER_TARGET: &str = "wasm32-unknown-unknown";
/// The cargo profile of the Worker: small, because every isolate that starts downloads it.
const WORKER_PROFILE: &str = "edge";

/// What wasm-opt may assume of the engine: what rustc assumes of `wasm32-unknown-unknown`, and exceptions, which
/// worker-build's glue uses. `--all-features` would let it emit what workerd refuses.
const WASM_FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// The flags of rustc for the Worker's target, as cargo reads them.
const RUSTFLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";

/// Most bytes that the Worker's module may have after `gzip -9`; `cargo xtask test` holds it to that. It is what is there
/// and a little: more is a decision, not an accident (docs/decisions/0017-size-of-the-worker.md).
pub const WORKER_GZIP_BYTES_MAX: u64 = 288 << 10;

/// How the origin is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to make, quick enough to serve.
    Dev,
    /// As it is deployed.
    Release,
}

/// Builds the origin and returns its program.
///
/// # Errors
/// When it does not compile.
pub fn origin(project: &Project, profile: Profile, steps: &Steps) -> Result<PathBuf> {
    let (name, folder, flag) = match profile {
        Profile::Dev => ("build the origin", "debug", None),
        Profile::Release => ("build the origin for release", "release", Some("--release")),
    };
    steps.run(name, |step| {
        let mut cargo = tools::cargo(project);
        cargo.args(["build", "--package", "seawall-origin", "--bin", "origin"]).args(flag);
        process::run("cargo build", cargo, step)
    })?;
    Ok(project.target().join(folder).join("origin"))
}

/// The built Worker.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The folder with `index.js` and `index_bg.wasm`.
    pub dir: PathBuf,
    /// Bytes of the module.
    pub wasm_bytes: u64,
    /// Bytes of the module after `gzip -9`, which is what Cloudflare's limit counts.
    pub wasm_gzip_bytes: u64,
    /// Bytes of the JavaScript beside it.
    pub js_bytes: u64,
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
        let Self { wasm_bytes, wasm_gzip_bytes, js_bytes, .. } = self;
        format!("wasm {wasm_bytes} bytes, {wasm_gzip_bytes} after gzip -9; js {js_bytes} bytes")
    }
}

/// Compiles the Worker's crate without making a Worker of it: the part that needs neither Node nor installed tools.
///
/// # Errors
/// When it does not compile.
pub fn worker_crate(project: &Project, steps: &Steps) -> Result<PathBuf> {
    steps.run("compile the edge to WASM", |step| compile(project, &Recipe::site(project), step))
}

/// The flags for the Worker: SHA-256 in a loop instead of written out, and messages of panics that name files without the
/// folders of this machine.
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
    let recipes = [
        "package-lock.json",
        "Cargo.lock",
        "xtask/src/build.rs",
        "xtask/workerd/drop-exports.mjs",
        "edge/worker/entry.mjs",
    ];
    let inputs = || {
        let [npm, cargo, build, exports, entry] = &recipes.map(|path| project.path(path));
        let [script, module] = [recipe.dir.join("index.js"), recipe.dir.join("index_bg.wasm")];
        fingerprint(&[&compiled, npm, cargo, build, exports, entry, &script, &module])
    };
    if !project.is_stamped(&recipe.stamp, &inputs()) {
        steps.run("make the Worker", |step| make_worker(project, recipe, step))?;
        project.stamp(&recipe.stamp, &inputs())?;
    }
    drop(lock);
    measured(project, recipe.dir.clone())
}

fn compile(project: &Project, recipe: &Recipe, step: &Step) -> Result<PathBuf> {
    let mut cargo = tools::cargo(project);
    cargo.args(["build", "--lib", "--package", "seawall-worker"]);
    cargo.args(["--target", WORKER_TARGET, "--profile", WORKER_PROFILE]);
    // worker-build compiles with this. Without it the two would undo each other's work.
    cargo.env("WASM_BINDGEN_USE_JS_SYS", "1");
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
    const FOLDER: &str = "build-contract";
    let lock = project.wait_for_lock("worker")?;
    steps.run("make the Worker of the stores' contract", |step| {
        let mut build = worker_build(project)?;
        build.args(["--dev", "--no-opt", "--out-dir", FOLDER, ".", "--features", "contract"]);
        process::run("worker-build", build, step)
    })?;
    drop(lock);
    Ok(project.path("edge/worker").join(FOLDER))
}

/// The tool that makes a Worker of the crate.
fn worker_build(project: &Project) -> Result<Command> {
    let missing = |tool: &str| format!("{tool} is not installed; run `cargo xtask up` once");
    let [wasm_bindgen, worker_build] =
        CrateTool::ALL.map(|tool| tool.path(project).with_context(|| missing(tool.package())));
    let mut build = Command::new(worker_build?);
    build
        .current_dir(project.path("edge/worker"))
        // Without these it downloads its own.
        .env("WASM_BINDGEN_BIN", wasm_bindgen?)
        .env("ESBUILD_BIN", tools::esbuild(project)?);
    Ok(build)
}

fn make_worker(project: &Project, recipe: &Recipe, step: &Step) -> Result<()> {
    // worker-build takes a path below the crate, so the way out of it is spelled out.
    let out = Path::new("../..").join(recipe.dir.strip_prefix(project.root()).unwrap_or(&recipe.dir));
    let mut build = worker_build(project)?;
    recipe.apply(project, &mut build);
    build.args(["--profile", WORKER_PROFILE, "--no-opt", "--out-dir"]).arg(out);
    process::run("worker-build", build, step)?;

    step.detail("esbuild");
    let (script, built) = (recipe.dir.join("index.js"), recipe.dir.join("built.js"));
    fs::rename(&script, &built).with_context(|| format!("cannot rename {}", script.display()))?;
    let mut bundle = Command::new(tools::esbuild(project)?);
    bundle.current_dir(project.root()).args(["--bundle", "--format=esm", "--minify", "--external:cloudflare:*"]);
    bundle.arg("--external:*.wasm").arg(format!("--alias:built={}", built.display()));
    bundle.arg(project.path("edge/worker/entry.mjs")).arg(format!("--outfile={}", script.display()));
    process::run("esbuild", bundle, step)?;
    fs::remove_file(&built).with_context(|| format!("cannot remove {}", built.display()))?;

    step.detail("drop exports");
    let module = recipe.dir.join("index_bg.wasm");
    let mut drop_exports = Command::new(tools::node(project)?);
    drop_exports.current_dir(project.root()).arg(project.path("xtask/workerd/drop-exports.mjs")).arg(&module);
    process::run("drop-exports", drop_exports, step)?;

    // One pass of our own instead of worker-build's, which keeps the names of functions: a fifth of the size.
    let optimised = recipe.dir.join("index_bg.optimised.wasm");
    optimise(project, &module, &optimised, step)?;
    fs::rename(&optimised, &module).with_context(|| format!("cannot replace {}", module.display()))
}

/// Makes a WASM module as small as `wasm-opt` can, for the engines that Workers run on.
///
/// # Errors
/// When `wasm-opt` does not take it.
pub fn optimise(project: &Project, module: &Path, optimised: &Path, step: &Step) -> Result<()> {
    step.detail("wasm-opt");
    let mut wasm_opt = tools::node_script(project, "binaryen/bin/wasm-opt")?;
    wasm_opt
        .args(["-Oz", "--strip-producers", "--strip-target-features"])
        .args(WASM_FEATURES)
        .arg(module)
        .arg("-o")
        .arg(optimised);
    process::run("wasm-opt", wasm_opt, step)
}

fn measured(project: &Project, dir: PathBuf) -> Result<Worker> {
    let bytes = |name: &str| -> Result<u64> {
        let path = dir.join(name);
        Ok(fs::metadata(&path).with_context(|| format!("{} was not built", path.display()))?.len())
    };
    let (wasm_bytes, js_bytes) = (bytes("index_bg.wasm")?, bytes("index.js")?);
    let wasm_gzip_bytes = gzip_bytes(project, &dir.join("index_bg.wasm"))?;
    Ok(Worker { dir, wasm_bytes, wasm_gzip_bytes, js_bytes })
}

fn gzip_bytes(project: &Project, file: &Path) -> Result<u64> {
    let script = "process.stdout.write(String(require('node:zlib').gzipSync(\
                  require('node:fs').readFileSync(process.argv[1]), {level: 9}).length))";
    let mut gzip = Command::new(tools::node(project)?);
    gzip.args(["-e", script]).arg(file);
    let bytes = process::answer(&mut gzip).and_then(|bytes| bytes.parse().ok());
    bytes.with_context(|| format!("Node could not compress {}", file.display()))
}
