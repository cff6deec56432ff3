//! Embeds the traffic policy.

fn main() {
    seawall_policy_build::embed();
}
