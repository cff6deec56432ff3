//! HTTP dates (RFC 9110 §5.6.7): three forms are read, one is written.

use core::{fmt, str::FromStr};

use crate::time::Timestamp;

use super::list::{is_space, without};

/// A date as HTTP fields carry it, to the second.
///
/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` and the two obsolete forms, in whatever case (RFC 9111 §4.2), and writes the
/// first. Dates before 1970 are refused, as no cache has a use for them. The weekday must be a weekday but is not checked
/// against the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpDate(u64);

/// The text is not an HTTP date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHttpDate;

impl HttpDate {
    /// The date of `time`, cut to the second.
    #[must_use]
    pub const fn from_timestamp(time: Timestamp) -> Self {
        Self(time.as_unix_seconds())
    }

    /// Reads a value whose bytes need not be text; `None` when they are no date.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let value = without(value, is_space);
        let mut lower = [0; LONGEST.len()];
        let lower = lower.get_mut(..value.len())?;
        lower.copy_from_slice(value);
        lower.make_ascii_lowercase();
        imf_fixdate(lower).or_else(|| rfc850(lower)).or_else(|| asctime(lower))?.date()
    }

    /// The start of the second this date names.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0)
    }
}

impl FromStr for HttpDate {
    type Err = InvalidHttpDate;

    fn from_str(text: &str) -> Result<Self, InvalidHttpDate> {
        Self::read(text.as_bytes()).ok_or(InvalidHttpDate)
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 / SECONDS_PER_DAY;
        let second_of_day = self.0 % SECONDS_PER_DAY;
        let (year, month, day) = civil_from_days(days);
        // Day 0, 1970-01-01, was a Thursday, and the index is below seven.
        let weekday = WEEKDAYS[((days + 3) % 7) as usize];
        let month = MONTHS[month as usize - 1];
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", &weekday[..3])
    }
}

impl fmt::Display for InvalidHttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an HTTP date, such as `Sun, 06 Nov 1994 08:49:37 GMT`")
    }
}

impl core::error::Error for InvalidHttpDate {}

/// What a date is made of, as it is spelled, in lower case.
struct Spelled {
    year: [u8; 4],
    month: [u8; 3],
    day: [u8; 2],
    /// `08:49:37`
    time: [u8; 8],
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Spelled> {
    let text: &[u8; 29] = text.try_into().ok()?;
    #[rustfmt::skip]
    let [
        w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', time @ .., b' ', b'g', b'm', b't',
    ] = *text else { return None };
    is_weekday([w0, w1, w2]).then_some(Spelled { year: [y0, y1, y2, y3], month: [m0, m1, m2], day: [d0, d1], time })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. Of the two years that the digits may mean, the later one up to 2069.
fn rfc850(text: &[u8]) -> Option<Spelled> {
    let end = text.iter().position(|byte| *byte == b',')?;
    let [b',', b' ', d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', ref time @ .., b' ', b'g', b'm', b't'] = text[end..]
    else {
        return None;
    };
    WEEKDAYS.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(&text[..end])).then_some(())?;
    let [c0, c1] = if y0 < b'7' { *b"20" } else { *b"19" };
    Some(Spelled { year: [c0, c1, y0, y1], month: [m0, m1, m2], day: [d0, d1], time: time.try_into().ok()? })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Spelled> {
    let [w0, w1, w2, b' ', m0, m1, m2, b' ', d0, d1, b' ', ref time @ .., b' ', y0, y1, y2, y3] = *text else {
        return None;
    };
    is_weekday([w0, w1, w2]).then_some(())?;
    let d0 = if d0 == b' ' { b'0' } else { d0 };
    Some(Spelled { year: [y0, y1, y2, y3], month: [m0, m1, m2], day: [d0, d1], time: time.try_into().ok()? })
}

impl Spelled {
    fn date(&self) -> Option<HttpDate> {
        let Self { year: [y0, y1, y2, y3], month, day: [d0, d1], time } = *self;
        let [h0, h1, b':', m0, m1, b':', s0, s1] = time else { return None };
        let digits = [y0, y1, y2, y3, d0, d1, h0, h1, m0, m1, s0, s1].map(|digit| digit.wrapping_sub(b'0'));
        if !digits.iter().all(|digit| *digit <= 9) {
            return None;
        }
        let two = |at: usize| u64::from(digits[at] * 10 + digits[at + 1]);
        let (year, month, day) = (two(0) * 100 + two(2), month_number(month)?, two(4));
        let (hour, minute, second) = (two(6), two(8), two(10));
        // A leap second reads as the first second after it.
        if year < 1970 || day == 0 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(HttpDate(days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second))
    }
}

fn is_weekday(short: [u8; 3]) -> bool {
    matches!(&short, b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat" | b"sun")
}

fn month_number(short: [u8; 3]) -> Option<u64> {
    Some(match &short {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Counting years from March puts the leap day at the end.
pub(crate) const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_BEFORE_1970
}

/// The inverse of [`days_from_civil`].
pub(crate) const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// A date of the greatest length.
const LONGEST: &str = "Wednesday, 06-Nov-94 08:49:37 GMT";
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn all_three_forms_name_the_same_second() {
        // The example of RFC 9110 §5.6.7.
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(text.parse(), Ok(HttpDate(784_111_777)), "{text}");
        }
        assert_eq!(HttpDate(784_111_777).to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_case_of_a_date_is_no_part_of_it() {
        for text in [
            "SUN, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nOV 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 gmt",
            "sunday, 06-NOV-94 08:49:37 Gmt",
            "sun NOV  6 08:49:37 1994",
        ] {
            assert_eq!(text.parse(), Ok(HttpDate(784_111_777)), "{text}");
        }
        assert_eq!(LONGEST.parse(), Ok(HttpDate(784_111_777)));
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 2023 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun Nov  6 08:49:37 1994 and some more words",
            "Sün, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 199",
        ] {
            assert_eq!(text.parse::<HttpDate>(), Err(InvalidHttpDate), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        // Every day to the year 2110, which has common, leap and century years in it.
        for day in 0..51_200 {
            let date = HttpDate(day * SECONDS_PER_DAY + day % SECONDS_PER_DAY);
            assert_eq!(date.to_string().parse(), Ok(date));
        }
        let last = HttpDate::from_timestamp(Timestamp::from_unix_nanos(u64::MAX));
        assert_eq!(last.to_string().parse(), Ok(last));
    }
}
