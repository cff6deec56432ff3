//! When to try again, and after what pause.

use std::time::Duration;

use seawall_core::breaker;

use super::SodaError;

/// Attempts for one page. More would only help an API that is down, and then the load should end and say so.
pub const ATTEMPTS_MAX: u32 = 3;
/// The first pause is random up to this, each later one up to twice the one before.
const PAUSE_BASE: Duration = Duration::from_secs(2);
/// Longest pause. It is the longest that the breaker takes over from the API's `Retry-After`, so that whatever the API
/// asks for, the load waits for as long as the breaker does. Who asks for more, or a policy whose breaker rests longer,
/// ends the load, which then says so: a load that waits for an hour would look as if it hung.
pub const PAUSE_MAX: Duration = breaker::RETRY_AFTER_MAX;

/// The pause before the next attempt, or `None` to give up: after [`ATTEMPTS_MAX`] attempts, when the same call would
/// fail again, or when the API or the breaker asks for more than [`PAUSE_MAX`]. `random` spreads the pauses of many callers: full
/// jitter over the whole range, but never below what the API or the breaker asked for.
pub(super) fn pause(attempt: u32, error: &SodaError, random: u32) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX || !error.is_transient() {
        return None;
    }
    let range_ms = PAUSE_BASE.as_millis() << (attempt - 1).min(16);
    let jitter_ms = (range_ms * u128::from(random)) >> u32::BITS;
    let jitter = Duration::from_millis(u64::try_from(jitter_ms).unwrap_or(u64::MAX));
    let asked = error.retry_after().unwrap_or_default();
    (asked <= PAUSE_MAX).then(|| jitter.max(asked).min(PAUSE_MAX))
}

/// `Retry-After` in seconds; SODA does not send the other form, a date.
pub(super) fn after_header(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use seawall_core::policy::Policy;

    use super::*;
    use crate::policy;

    fn status(status: u16, retry_after: Option<u64>) -> SodaError {
        let retry_after = retry_after.map(Duration::from_secs);
        SodaError::Status { status, code: None, message: String::new(), retry_after }
    }

    #[test]
    fn pauses_grow_and_obey_the_api() {
        for (attempt, error, random, expected_ms) in [
            (1, status(500, None), 0, Some(0)),
            (1, status(500, None), u32::MAX, Some(1_999)),
            (2, status(500, None), u32::MAX, Some(3_999)),
            (3, status(500, None), 0, None),
            (1, status(404, None), 0, None),
            (1, status(429, Some(7)), 0, Some(7_000)),
            (1, status(503, Some(1)), u32::MAX, Some(1_999)),
            (1, status(503, Some(300)), 0, Some(300_000)),
            (1, status(503, Some(301)), 0, None),
            (1, SodaError::Refused { retry_after: Duration::from_millis(1_500) }, 0, Some(1_500)),
            (1, SodaError::TooLarge { bytes_max: 1 }, 0, None),
        ] {
            assert_eq!(pause(attempt, &error, random), expected_ms.map(Duration::from_millis), "{attempt} {error}");
        }
    }

    #[test]
    fn the_built_in_policys_breaker_is_waited_for_however_long_it_rests() {
        let policy = Policy::compile(policy::BUILT_IN).unwrap();
        let breaker = policy::soda_breaker(&policy).unwrap();
        let longest = breaker.open_cap * (1000 + u32::from(breaker.jitter_permille)) / 1000;
        for retry_after in [longest, breaker::RETRY_AFTER_MAX] {
            assert_eq!(pause(1, &SodaError::Refused { retry_after }, 0), Some(retry_after));
        }
        let refused = SodaError::Refused { retry_after: PAUSE_MAX + Duration::from_nanos(1) };
        assert_eq!(pause(1, &refused, 0), None);
    }

    #[test]
    fn only_seconds_are_read() {
        assert_eq!(after_header(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(after_header("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
