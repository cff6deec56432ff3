//! A parcel: the city's block and lot.

use std::fmt;

/// Digits of a block number; shorter ones get leading zeros.
const BLOCK_DIGITS: usize = 4;

/// Digits of a lot number; shorter ones get leading zeros. A few lots have four.
const LOT_DIGITS: usize = 3;

/// Most digits of a lot number.
const LOT_DIGITS_MAX: usize = 4;

/// A block and a lot in the city's own spelling: `3507` and `004`, `0222A` and `021A`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    block: String,
    lot: String,
}

/// The text is not a block and a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "A block is up to four digits and perhaps a letter, a lot up to four digits and perhaps a letter, such as 3507/004."
)]
pub struct NotAParcel;

impl Parcel {
    /// Reads a block and a lot: up to four digits each and one letter at most. Missing leading zeros are added,
    /// letters become capitals: `3507` and `4` give `3507/004`; `3507` and `x` are refused.
    ///
    /// # Errors
    /// When either is spelled otherwise.
    pub fn parse(block: &str, lot: &str) -> Result<Self, NotAParcel> {
        Ok(Self {
            block: number(block, BLOCK_DIGITS, BLOCK_DIGITS).ok_or(NotAParcel)?,
            lot: number(lot, LOT_DIGITS, LOT_DIGITS_MAX).ok_or(NotAParcel)?,
        })
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &str {
        &self.block
    }

    /// The lot.
    #[must_use]
    pub fn lot(&self) -> &str {
        &self.lot
    }

    /// The block as rows may spell it: a few lack leading zeros.
    #[must_use]
    pub fn block_spellings(&self) -> Vec<&str> {
        spellings(&self.block)
    }

    /// The lot as rows may spell it. A lot of four digits is another lot than that of three, so it has one.
    #[must_use]
    pub fn lot_spellings(&self) -> Vec<&str> {
        let digits = self.lot.bytes().take_while(u8::is_ascii_digit).count();
        if digits > LOT_DIGITS { vec![&self.lot] } else { spellings(&self.lot) }
    }

    /// Where its report is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/report/{}/{}", self.block, self.lot)
    }
}

impl fmt::Display for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.block, self.lot)
    }
}

/// The text itself, then with one leading zero less each time; at least one digit stays.
fn spellings(text: &str) -> Vec<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let zeros = text.bytes().take_while(|byte| *byte == b'0').count().min(digits.saturating_sub(1));
    (0..=zeros).map(|dropped| &text[dropped..]).collect()
}

/// Digits and perhaps one letter, with zeros in front up to `digits_min`.
fn number(text: &str, digits_min: usize, digits_max: usize) -> Option<String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, letter) = text.split_at(digits);
    let one_letter = letter.len() <= 1 && letter.chars().all(|c| c.is_ascii_alphabetic());
    if digits.is_empty() || digits.len() > digits_max || !one_letter {
        return None;
    }
    Some(format!("{digits:0>digits_min$}{}", letter.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (block, lot, expected) in [
            ("3507", "004", Some("3507/004")),
            ("3507", "4", Some("3507/004")),
            ("42", "1", Some("0042/001")),
            ("0222a", "021a", Some("0222A/021A")),
            (" 6363 ", "001", Some("6363/001")),
            ("0001", "0007", Some("0001/0007")),
            ("", "004", None),
            ("3507", "", None),
            ("35070", "004", None),
            ("3507", "00040", None),
            ("3507", "A", None),
            ("3507", "4AB", None),
            ("3507", "4é", None),
            ("35-7", "4", None),
            ("３５０７", "4", None),
        ] {
            let parsed = Parcel::parse(block, lot).ok().map(|parcel| parcel.to_string());
            assert_eq!(parsed.as_deref(), expected, "{block:?} {lot:?}");
        }
    }

    #[test]
    fn rows_may_lack_leading_zeros() {
        for (block, lot, blocks, lots) in [
            ("580", "11", vec!["0580", "580"], vec!["011", "11"]),
            ("3507", "4", vec!["3507"], vec!["004", "04", "4"]),
            ("1", "0007", vec!["0001", "001", "01", "1"], vec!["0007"]),
            ("0222A", "021A", vec!["0222A", "222A"], vec!["021A", "21A"]),
            ("0000", "000", vec!["0000", "000", "00", "0"], vec!["000", "00", "0"]),
        ] {
            let parcel = Parcel::parse(block, lot).unwrap();
            assert_eq!((parcel.block_spellings(), parcel.lot_spellings()), (blocks, lots));
        }
    }

    #[test]
    fn what_was_parsed_stays_as_it_is() {
        for (block, lot) in [("7", "9z"), ("0042", "0007"), ("5992A", "071")] {
            let once = Parcel::parse(block, lot).unwrap();
            assert_eq!(Parcel::parse(once.block(), once.lot()), Ok(once.clone()));
        }
    }
}
