//! Embeds the traffic policy, and the digest by which Redis knows the limiter's script.

use seawall_core::limit::lua::SCRIPT;
use sha1::{Digest, Sha1};

fn main() {
    seawall_policy_build::embed();
    let digest: String = Sha1::digest(SCRIPT).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=SEAWALL_SCRIPT_SHA1={digest}");
}
