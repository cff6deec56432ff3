//! When to try again, and after what pause.

use std::time::Duration;

use super::SodaError;

/// Attempts for one page. More would only help an API that is down, and then the load should end and say so.
pub const ATTEMPTS_MAX: u32 = 3;
/// The first pause is random up to this, each later one up to twice the one before.
const PAUSE_BASE: Duration = Duration::from_secs(2);
/// Longest pause that the API can ask for before the load gives up instead.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The pause before the next attempt, or `None` to give up. `random` spreads the pauses of many callers: full
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
    use super::*;

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
            (1, status(503, Some(61)), 0, None),
            (1, SodaError::Refused { retry_after: Duration::from_millis(1_500) }, 0, Some(1_500)),
            (1, SodaError::TooLarge { bytes_max: 1 }, 0, None),
        ] {
            assert_eq!(pause(attempt, &error, random), expected_ms.map(Duration::from_millis), "{attempt} {error}");
        }
    }

    #[test]
    fn only_seconds_are_read() {
        assert_eq!(after_header(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(after_header("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
