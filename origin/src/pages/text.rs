//! How values read on a page.

use jiff::civil::DateTime;

pub(super) use crate::permits::search::encode;

/// At most `chars` characters on one line; what is cut ends in an ellipsis.
pub(super) fn clip(text: &str, chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// `Aug 5, 2015`
pub(super) fn date(date: DateTime) -> String {
    date.strftime("%b %-d, %Y").to_string()
}

/// `$1,800`, without cents.
pub(super) fn money(amount: f64) -> String {
    // A cost that is no finite number of dollars is a fault in the data; it reads as zero.
    format!("${}", thousands(amount.round() as i64))
}

/// `12,345`
pub(super) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Days as a figure; a dash where they are not known.
pub(super) fn days(days: Option<f64>) -> String {
    days.map_or_else(|| "–".to_owned(), figure)
}

/// `1,235`, `12.5`, `0.03`: as many decimals as the size calls for.
pub(super) fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        // A whole number, or one so great that its decimals say nothing.
        size if size.fract() < 1e-9 || size >= 100.0 => return thousands(value.round() as i64),
        size if size >= 1.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1 permit`, `2 permits`
pub(super) fn count(number: i64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", thousands(number))
}

/// The first letter in upper case, and the city's "otc" (over the counter) as the abbreviation it is.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("otc ") {
        return format!("OTC {rest}");
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_counts_characters_and_joins_lines() {
        for (text, chars, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc…"),
            ("a\r\nb  c", 10, "a b c"),
            ("éééé", 3, "ééé…"),
            ("ab cd", 3, "ab…"),
        ] {
            assert_eq!(clip(text, chars), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_have_groups_of_three() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (-1000, "-1,000"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(thousands(number), expected);
        }
        for (amount, expected) in [(1.0, "$1"), (780_500_000.4, "$780,500,000"), (f64::NAN, "$0")] {
            assert_eq!(money(amount), expected);
        }
        assert_eq!((count(1, "permit"), count(1200, "permit")), ("1 permit".into(), "1,200 permits".into()));
    }

    #[test]
    fn figures_have_the_decimals_that_their_size_calls_for() {
        for (value, expected) in
            [(0.0, "0"), (0.03, "0.03"), (0.0001, "0"), (2.0, "2"), (12.25, "12.2"), (99.95, "100"), (1_234.5, "1,235")]
        {
            assert_eq!(figure(value), expected, "{value}");
        }
    }

    #[test]
    fn words_and_dates() {
        assert_eq!(sentence("otc alterations permit"), "OTC alterations permit");
        assert_eq!(sentence(" éclair"), "Éclair");
        assert_eq!(sentence(""), "");
        assert_eq!(date(jiff::civil::date(2015, 8, 5).at(11, 6, 52, 0)), "Aug 5, 2015");
    }
}
