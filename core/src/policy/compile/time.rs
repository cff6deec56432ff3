//! Times as people write them: `10ms`, `300s`, `5m`, `1h`, `7d`.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Units from the longest to the shortest, with what one of them lasts.
const UNITS: [(&str, Duration); 5] = [
    ("d", Duration::from_secs(86_400)),
    ("h", Duration::from_secs(3600)),
    ("m", Duration::from_secs(60)),
    ("s", Duration::from_secs(1)),
    ("ms", Duration::from_millis(1)),
];

/// Reads a whole number followed by its unit; `None` for anything else, and for what no [`Duration`] holds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    unit.checked_mul(number.parse().ok()?)
}

/// Writes a time the same way, in the longest unit that expresses it as a whole number.
pub(super) fn format(time: Duration) -> String {
    let whole = |unit: &Duration| time.as_nanos().is_multiple_of(unit.as_nanos());
    match UNITS.iter().find(|(_, unit)| whole(unit) && !time.is_zero()) {
        Some((name, unit)) => format!("{}{name}", time.as_nanos() / unit.as_nanos()),
        None if time.is_zero() => String::from("0s"),
        None => format!("{time:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, time) in [
            ("0s", Duration::ZERO),
            ("1ms", Duration::from_millis(1)),
            ("1500ms", Duration::from_millis(1500)),
            ("61s", Duration::from_secs(61)),
            ("5m", Duration::from_secs(300)),
            ("36h", Duration::from_secs(129_600)),
            ("365d", Duration::from_secs(31_536_000)),
        ] {
            assert_eq!(parse(text), Some(time));
            assert_eq!(format(time), text);
        }
        assert_eq!(format(Duration::from_secs(300)), format(parse("300s").unwrap()));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "5", "s", "-5s", "+5s", "1.5s", "5 s", "5S", "5min", "5sm", "4294967296s", "4294967295dd"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
