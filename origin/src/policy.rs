//! The traffic policy that this process obeys.

use std::time::Duration;

use anyhow::Context as _;
use seawall_core::breaker;
use seawall_core::policy::Policy;

use crate::config::Config;

/// The policy that this binary was built with; `POLICY_FILE` replaces it.
pub const BUILT_IN: &str = include_str!("../../policy.toml");

/// Reads and compiles the policy: the built-in one, or that of `POLICY_FILE`.
///
/// # Errors
/// When the file cannot be read, or the policy does not hold together; names the line at fault.
pub fn load(config: &Config) -> anyhow::Result<Policy> {
    let Some(path) = &config.policy_file else {
        return Policy::compile(BUILT_IN).context("the built-in policy does not hold together");
    };
    let source =
        std::fs::read_to_string(path).with_context(|| format!("POLICY_FILE {} cannot be read", path.display()))?;
    Policy::compile(&source).with_context(|| format!("POLICY_FILE {} does not hold together", path.display()))
}

/// When calls to the city's API are held back.
///
/// # Errors
/// When the policy has no `[upstream.soda]`.
pub fn soda_breaker(policy: &Policy) -> anyhow::Result<breaker::Config> {
    let upstream =
        policy.upstream("soda").context("the policy has no [upstream.soda], which loads and reports call")?;
    Ok(upstream.breaker)
}

/// When reading from the replica is held back: core's defaults, unless the policy has an `[upstream.replica]`.
#[must_use]
pub fn replica_breaker(policy: &Policy) -> breaker::Config {
    policy.upstream("replica").map_or_else(breaker::Config::default, |upstream| upstream.breaker)
}

/// How long a request waits for Redis, and when it does not: `[upstream.redis]`, or a tenth of a second and core's
/// defaults.
#[must_use]
pub fn redis(policy: &Policy) -> (Duration, breaker::Config) {
    let given = policy.upstream("redis").map(|upstream| (upstream.deadline, upstream.breaker));
    given.unwrap_or_else(|| (REDIS_TIME_MAX, breaker::Config::default()))
}

/// Ten times what a round trip to a Redis of the same region takes.
const REDIS_TIME_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_knows_the_citys_api() {
        assert!(soda_breaker(&Policy::compile(BUILT_IN).unwrap()).is_ok());
    }
}
