//! Compiles the traffic policy into bytes that an adapter of the edge embeds, so that no TOML parser travels to the edge
//! and a faulty policy stops the build. `SEAWALL_POLICY` names another file than the repository's policy.toml.

use std::{env, fs, path::PathBuf, process};

use seawall_core::policy::{Authority, Policy, Scope};
use sha2::{Digest, Sha256};

/// Writes `policy.bin` where cargo keeps what the build makes, and sets the variable `SEAWALL_POLICY_DIGEST` for the
/// compiler, and `cfg(seawall_redis)` where the policy has a limit that a Redis keeps. For the build script of a package two folders below the repository's root.
///
/// Ends the process with cargo's own kind of message when the policy is missing or faulty.
pub fn embed() {
    println!("cargo::rerun-if-env-changed=SEAWALL_POLICY");
    let path = env::var_os("SEAWALL_POLICY").map_or_else(|| PathBuf::from("../../policy.toml"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", path.display());
    let source = match fs::read_to_string(&path) {
        Ok(source) => source,
        Err(error) => fail(&format!("cannot read the policy {}: {error}", path.display())),
    };
    let policy = match Policy::compile(&source) {
        Ok(policy) => policy,
        Err(error) => fail(&error.to_string()),
    };
    println!("cargo::rustc-check-cfg=cfg(seawall_redis)");
    let in_redis = |scope: Scope| matches!(scope, Scope::Shared { authority: Authority::Redis, .. });
    if policy.limits().iter().any(|limit| in_redis(limit.scope)) {
        println!("cargo::rustc-cfg=seawall_redis");
    }
    // Plain data into a growing vector: nothing in it can fail.
    let bytes = postcard::to_allocvec(&policy).expect("a policy serialises");
    let digest: String = Sha256::digest(&bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=SEAWALL_POLICY_DIGEST={digest}");
    // Cargo sets OUT_DIR for every build script.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if let Err(error) = fs::write(out.join("policy.bin"), bytes) {
        fail(&format!("cannot write the compiled policy: {error}"));
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    process::exit(1)
}
