//! The reference vector, the calendar, and the edges of the constructors.

use super::*;
use crate::limit::tests::Expect::{Never, Ok, Wait};
use crate::limit::tests::{KEY, SECOND, START, at, check, ns, units};

#[test]
fn ten_for_each_ten_seconds() {
    check(
        FixedWindow::new(units(10), Period::aligned(ns(10 * SECOND)).expect("sound")),
        &[
            (0, 7, Ok(3)),
            (0, 4, Wait(10_000, 3)),
            (0, 3, Ok(0)),
            (9_999, 1, Wait(1, 0)),
            (10_000, 10, Ok(0)),
            (10_000, 11, Never),
            // The clock steps back into the window before: the stored one counts.
            (5_000, 1, Wait(15_000, 0)),
        ],
    );
}

#[test]
fn keys_do_not_all_start_anew_at_once() {
    let period = Period::per_key(ns(60 * SECOND)).expect("sound");
    let ends: alloc::collections::BTreeSet<Timestamp> = (0..1000).map(|key| period.end(START, key)).collect();
    assert!(ends.len() > 990, "{} of 1000 ends differ", ends.len());
    // In each tenth of the minute about a tenth of the keys.
    for tenth in 0..10 {
        let range = at(tenth * 6 * SECOND)..at((tenth + 1) * 6 * SECOND);
        let share = ends.range(range).count();
        assert!((60..140).contains(&share), "{share} keys in tenth {tenth}");
    }
    assert_eq!(period.end(START, KEY), period.end(START, KEY));
}

/// Days and months start at local midnight, also across years, leap days and the date line.
#[test]
fn days_and_months_follow_the_calendar() {
    let utc = |text: &str| text.parse::<crate::cache::HttpDate>().expect("a date").timestamp();
    let rows: [(Result<Period, RuleError>, &str, &str); 14] = [
        (Period::day(0), "Sun, 01 Mar 2026 00:00:00 GMT", "Mon, 02 Mar 2026 00:00:00 GMT"),
        (Period::day(0), "Sun, 01 Mar 2026 23:59:59 GMT", "Mon, 02 Mar 2026 00:00:00 GMT"),
        (Period::day(-480), "Sun, 01 Mar 2026 07:59:59 GMT", "Sun, 01 Mar 2026 08:00:00 GMT"),
        (Period::day(-480), "Sun, 01 Mar 2026 08:00:00 GMT", "Mon, 02 Mar 2026 08:00:00 GMT"),
        (Period::day(330), "Sun, 01 Mar 2026 18:29:59 GMT", "Sun, 01 Mar 2026 18:30:00 GMT"),
        (Period::day(840), "Thu, 31 Dec 2026 10:00:00 GMT", "Fri, 01 Jan 2027 10:00:00 GMT"),
        (Period::month(0), "Sun, 01 Mar 2026 00:00:00 GMT", "Wed, 01 Apr 2026 00:00:00 GMT"),
        (Period::month(0), "Thu, 31 Dec 2026 23:59:59 GMT", "Fri, 01 Jan 2027 00:00:00 GMT"),
        (Period::month(0), "Mon, 28 Feb 2028 12:00:00 GMT", "Wed, 01 Mar 2028 00:00:00 GMT"),
        (Period::month(0), "Sun, 28 Feb 2100 12:00:00 GMT", "Mon, 01 Mar 2100 00:00:00 GMT"),
        (Period::month(-480), "Sun, 01 Mar 2026 07:59:59 GMT", "Sun, 01 Mar 2026 08:00:00 GMT"),
        (Period::month(-480), "Sun, 01 Mar 2026 08:00:00 GMT", "Wed, 01 Apr 2026 08:00:00 GMT"),
        (Period::month(840), "Thu, 31 Dec 2026 10:00:00 GMT", "Sun, 31 Jan 2027 10:00:00 GMT"),
        (Period::day(-720), "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 02 Jan 1970 12:00:00 GMT"),
    ];
    for (period, now, end) in rows {
        assert_eq!(period.expect("sound").end(utc(now), KEY), utc(end), "{now}");
    }
}

/// The month's end is the first midnight after `now` on which the day of the month is one.
#[test]
fn every_day_of_a_century_has_its_month() {
    let period = Period::month(0).expect("sound");
    let days_of = |year: u64, month: u64| match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    };
    let mut day = 0;
    for year in 1970..2105 {
        for month in 1..=12 {
            let days = days_of(year, month);
            let end = Timestamp::from_unix_seconds((day + days) * 86_400);
            for number in 0..days {
                let noon = Timestamp::from_unix_seconds((day + number) * 86_400 + 43_200);
                assert_eq!(period.end(noon, KEY), end, "{year}-{month}-{number}");
            }
            day += days;
        }
    }
}

#[test]
fn a_change_of_period_takes_along_what_is_spent() {
    let minute = FixedWindow::new(units(10), Period::aligned(ns(60 * SECOND)).expect("sound"));
    let day = FixedWindow::new(units(100), Period::day(0).expect("sound"));
    let count = WindowCount { end: at(60 * SECOND), used: 7 };
    assert_eq!(day.rescale(&minute, count, at(0), KEY), WindowCount { end: at(86_400 * SECOND), used: 7 });
    assert_eq!(day.rescale(&minute, count, at(60 * SECOND), KEY).used, 0);
    let more = FixedWindow::new(units(20), minute.period());
    assert_eq!(more.rescale(&minute, count, at(0), KEY), count);
}

#[test]
fn what_is_no_period_is_refused() {
    for (period, expect) in [
        (Period::aligned(Duration::ZERO), Some(RuleError::TimeNotWholeMicros)),
        (Period::per_key(ns(1001)), Some(RuleError::TimeNotWholeMicros)),
        (Period::per_key(ns(1000)), None),
        (Period::aligned(Duration::MAX), Some(RuleError::TimeTooLong)),
        (Period::day(-721), Some(RuleError::OffsetOutOfRange)),
        (Period::day(-720), None),
        (Period::month(840), None),
        (Period::month(841), Some(RuleError::OffsetOutOfRange)),
    ] {
        assert_eq!(period.err(), expect);
    }
}

#[cfg(feature = "serde")]
#[test]
fn unsound_bytes_are_no_period() {
    let bytes = postcard::to_allocvec(&Terms::Day { utc_offset_minutes: 900 }).expect("terms are plain data");
    assert!(postcard::from_bytes::<Period>(&bytes).is_err());
    let bytes = postcard::to_allocvec(&Terms::Aligned { window_ns: 0 }).expect("terms are plain data");
    assert!(postcard::from_bytes::<Period>(&bytes).is_err());
}
