//! What the text in the search box may name.
//!
//! One text can name several kinds of thing ("3507004" is a permit number or a block and lot), so it becomes a
//! short list of look-ups. They are tried in order and the first that finds something answers.

use super::{neighborhood, street};
use crate::permits::limits::{NAME_CHARS_MIN, QUERY_CHARS_MAX};
use crate::permits::parcel::Parcel;

pub use super::street::Street;

/// A search text that can be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The text, with spaces and control characters tidied.
    pub text: String,
    /// What to try, in order; may be empty when nothing in the text can be looked up.
    pub lookups: Vec<Lookup>,
}

/// One kind of thing to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A permit by its number, in capitals.
    PermitNumber(String),
    /// Everything on a parcel.
    Parcel(Parcel),
    /// A record of the planning department by its number or how that begins, in capitals.
    PlanningRecord(String),
    /// A house number on a street.
    Address {
        /// Without leading zeros.
        number: String,
        /// The street.
        street: Street,
    },
    /// A street as a whole.
    Street(Street),
    /// A neighborhood: the names of the city's that it goes by, in lower case.
    Neighborhood(Vec<&'static str>),
    /// A person or a firm on a permit: words in lower case, found in this order.
    Name(Vec<String>),
    /// Words of a description.
    Words(String),
}

impl Lookup {
    /// The kind, as the API and the page name it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::PermitNumber(_) => Kind::PermitNumber,
            Self::Parcel(_) => Kind::Parcel,
            Self::PlanningRecord(_) => Kind::PlanningRecord,
            Self::Address { .. } => Kind::Address,
            Self::Street(_) => Kind::Street,
            Self::Neighborhood(_) => Kind::Neighborhood,
            Self::Name(_) => Kind::Name,
            Self::Words(_) => Kind::Description,
        }
    }

    /// Whether nothing in the text says that this is what is meant: any words may be the name of a street.
    #[must_use]
    pub fn is_a_guess(&self) -> bool {
        matches!(self, Self::Street(street) if street.suffixes.is_empty())
    }

    /// Whether the text has the number of a permit, a record, a parcel or a house, which no name of a person looks like.
    fn has_a_number(&self) -> bool {
        matches!(self, Self::PermitNumber(_) | Self::Parcel(_) | Self::PlanningRecord(_) | Self::Address { .. })
    }

    /// Whether this look-up is `closest` without the suffix of its street.
    #[must_use]
    pub fn ignores_suffix_of(&self, closest: Option<&Self>) -> bool {
        let suffixed = |lookup: &Self| match lookup {
            Self::Address { street, .. } | Self::Street(street) => Some(!street.suffixes.is_empty()),
            _ => None,
        };
        closest.and_then(suffixed) == Some(true) && suffixed(self) == Some(false)
    }
}

/// The kind of thing a search matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A permit number.
    PermitNumber,
    /// A block and lot.
    Parcel,
    /// The number of a record of the planning department.
    PlanningRecord,
    /// A house number on a street.
    Address,
    /// A street as a whole.
    Street,
    /// A neighborhood.
    Neighborhood,
    /// A person or a firm.
    Name,
    /// Words of a description.
    Description,
}

impl Kind {
    /// The kind in words that fit "matched as …".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PermitNumber => "permit number",
            Self::Parcel => "block and lot",
            Self::PlanningRecord => "planning record",
            Self::Address => "address",
            Self::Street => "street",
            Self::Neighborhood => "neighborhood",
            Self::Name => "person or firm",
            Self::Description => "description",
        }
    }
}

/// Why a text cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no text.
    #[error(
        "Type a permit number, an address, a block and lot, a street, a neighborhood, a person or firm, or what was built."
    )]
    Empty,
    /// More than [`QUERY_CHARS_MAX`] characters.
    #[error("A search can have {QUERY_CHARS_MAX} characters at most.")]
    TooLong,
}

impl Query {
    /// Reads a search text: `1455 Market St` is an address, then a street, then a name; an empty one is refused.
    ///
    /// # Errors
    /// When the text is empty or longer than [`QUERY_CHARS_MAX`].
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        // Counted before anything is copied, so that a long text costs nothing.
        if raw.chars().nth(QUERY_CHARS_MAX).is_some() {
            return Err(Refusal::TooLong);
        }
        let plain: String = raw
            .chars()
            .map(|c| match c {
                '\u{2018}' | '\u{2019}' => '\'',
                '\u{2010}'..='\u{2015}' => '-',
                c if c.is_control() => ' ',
                c => c,
            })
            .collect();
        let text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return Err(Refusal::Empty);
        }
        // ASCII only: what else has two cases is left to the database, whose locale decides.
        let lower = text.to_ascii_lowercase();
        let lower = lower.trim_end_matches(['?', '!', '.', ' ']);
        let lookups = if let Some(whom) = by_whom(lower) {
            name_first(lookups(whom))
        } else if let Some(what) = of_what(lower) {
            let lookups = lookups(what);
            if lookups.first().is_some_and(Lookup::has_a_number) { lookups } else { name_first(lookups) }
        } else {
            lookups(where_at(lower).unwrap_or(lower))
        };
        Ok(Self { text, lookups })
    }
}

/// The same with a person or a firm before all else.
fn name_first(mut lookups: Vec<Lookup>) -> Vec<Lookup> {
    if let Some(name) = lookups.iter().position(|lookup| matches!(lookup, Lookup::Name(_))) {
        lookups[..=name].rotate_right(1);
    }
    lookups
}

/// What the text, in lower case, may name, closest first.
fn lookups(text: &str) -> Vec<Lookup> {
    if let Some(parcel) = labelled_parcel(text) {
        return vec![Lookup::Parcel(parcel)];
    }
    let mut lookups = Vec::new();
    lookups.extend(permit_number(text).map(Lookup::PermitNumber));
    lookups.extend(bare_parcel(text).map(Lookup::Parcel));
    lookups.extend(planning_record(text).map(Lookup::PlanningRecord));
    lookups.extend(neighborhood::find(text).map(Lookup::Neighborhood));
    lookups.extend(street::lookups(text));
    if let Some(name) = name(text) {
        lookups.extend([Lookup::Name(name), Lookup::Words(text.to_owned())]);
    }
    lookups
}

/// 11 or 12 digits starting with the year, 7 digits and perhaps an S, M and 6 or 7 digits, and the trades'
/// letters and digits: at most two letters, 6 to 14 digits, at most one letter. People also group the digits of
/// long ones ("2015 0430 4998"), but a dash or a space in a short one means something else.
fn permit_number(text: &str) -> Option<String> {
    let text = ["permit number", "permit no.", "permit no", "permit #", "permit"]
        .iter()
        .find_map(|label| text.strip_prefix(label))
        .unwrap_or(text)
        .trim_start_matches(['#', ':', ' ']);
    let joined: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.')).collect();
    let grouped = joined.len() != text.len();
    let letters_before = joined.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = joined.bytes().skip(letters_before).take_while(u8::is_ascii_digit).count();
    let rest = &joined.as_bytes()[letters_before + digits..];
    let plain = letters_before <= 2 && (6..=14).contains(&digits) && rest.len() <= 1;
    let plain = plain && rest.iter().all(u8::is_ascii_alphabetic);
    if !plain || (grouped && (digits < 11 || letters_before > 0)) {
        return None;
    }
    Some(joined.to_ascii_uppercase())
}

/// `block 3507 lot 4`, `blk 3507, lt 4`, `lot 4 block 3507`.
fn labelled_parcel(text: &str) -> Option<Parcel> {
    let mut words: Vec<&str> = text.split([' ', ',', '/', '#', ':', '-']).filter(|word| !word.is_empty()).collect();
    words.retain(|word| {
        !matches!(*word, "assessor's" | "assessors" | "assessor" | "parcel" | "apn" | "and" | "no" | "no.")
    });
    // "block3507" and "lot4" too.
    let words: Vec<&str> = words.iter().flat_map(|word| apart(word)).filter(|word| !word.is_empty()).collect();
    let is_block = |word: &str| matches!(word, "block" | "blk" | "blk.");
    let is_lot = |word: &str| matches!(word, "lot" | "lt" | "lt.");
    match words[..] {
        [first, block, second, lot] if is_block(first) && is_lot(second) => Parcel::parse(block, lot).ok(),
        [first, lot, second, block] if is_lot(first) && is_block(second) => Parcel::parse(block, lot).ok(),
        [block, second, lot] if is_lot(second) => Parcel::parse(block, lot).ok(),
        [first, block, lot] if is_block(first) => Parcel::parse(block, lot).ok(),
        _ => None,
    }
}

/// A label and what follows it at once.
fn apart(word: &str) -> [&str; 2] {
    let label = ["block", "blk", "lot"].iter().find_map(|label| {
        let rest = word.strip_prefix(label)?;
        rest.starts_with(|c: char| c.is_ascii_digit()).then(|| word.split_at(label.len()))
    });
    label.map_or([word, ""], |(label, rest)| [label, rest])
}

/// `3507/004`, `3507-004`, `3507 004`, `3507004`, `apn 3507-004`.
fn bare_parcel(text: &str) -> Option<Parcel> {
    let label = ["apn", "parcel number", "parcel no.", "parcel no", "parcel"];
    let text = label.iter().find_map(|label| text.strip_prefix(label)).unwrap_or(text);
    let text = text.trim_start_matches(['#', ':', ' ']);
    if let Some((block, lot)) = text.split_once(['/', '-', ',']) {
        return Parcel::parse(block, lot).ok();
    }
    if let Some((block, lot)) = text.split_once(' ') {
        // "3507 4" is more likely a house number and a street, so a space asks for the lot in full.
        let full = lot.bytes().take_while(u8::is_ascii_digit).count() >= 3;
        return full.then(|| Parcel::parse(block, lot).ok())?;
    }
    let block_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match (block_digits, text.len()) {
        (7, 7 | 8) => Parcel::parse(&text[..4], &text[4..]).ok(),
        // 0222A021 and 0222A021A
        (4, 8 | 9) if text.is_ascii() => Parcel::parse(&text[..5], &text[5..]).ok(),
        _ => None,
    }
}

/// `2016-007303PRJ`, `2016-007303`, and as numbers were until 2014 `2013.0627E`: the year and a number of the year, then letters
/// for what was asked for.
pub(super) fn planning_record(text: &str) -> Option<String> {
    let text = ["planning record", "planning case", "case no.", "case no", "case", "record"]
        .iter()
        .find_map(|label| text.strip_prefix(label))
        .unwrap_or(text)
        .trim_start_matches(['#', ':', ' ']);
    let (year, rest) = text.split_once(['-', '.'])?;
    let is_new = text.as_bytes().get(year.len()) == Some(&b'-');
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let letters = &rest[digits..];
    let fits = year.len() == 4
        && (year.starts_with("19") || year.starts_with("20"))
        && year.bytes().all(|byte| byte.is_ascii_digit())
        && if is_new { digits == 6 } else { digits == 4 }
        && letters.len() <= PLANNING_LETTERS_MAX
        && letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    fits.then(|| text.to_ascii_uppercase())
}

/// What follows the number of a planning record: three letters, and for a part of a project a dash and its number.
const PLANNING_LETTERS_MAX: usize = 10;

/// Whom "permits by smith" and "who is smith" name.
fn by_whom(text: &str) -> Option<&str> {
    ["permits by ", "projects by ", "find contractor ", "who is "].iter().find_map(|words| text.strip_prefix(words))
}

/// Whom, or which place, "permits of smith" and "smith's permits" name.
fn of_what(text: &str) -> Option<&str> {
    let (before, after) = (["permits of ", "projects of "], ["'s permits", "'s projects"]);
    let begins = before.iter().find_map(|words| text.strip_prefix(words));
    begins.or_else(|| after.iter().find_map(|words| text.strip_suffix(words)))
}

/// The place that "permits at 1455 market st" asks for.
fn where_at(text: &str) -> Option<&str> {
    let what = ["permits", "permit", "projects", "complaints", "violations"];
    let rest = what.iter().find_map(|word| text.strip_prefix(word)?.strip_prefix(' '))?;
    ["at ", "on ", "in ", "for ", "near ", "of "].iter().find_map(|word| rest.strip_prefix(word))
}

/// The words of a person's or a firm's name, when there is enough of it to look up.
fn name(text: &str) -> Option<Vec<String>> {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '(' | ')'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let letters = words.iter().flat_map(|word| word.chars()).filter(|c| c.is_alphabetic()).count();
    let longest = words.iter().map(|word| word.chars().filter(|c| c.is_alphanumeric()).count()).max()?;
    (letters >= NAME_CHARS_MIN && longest >= NAME_CHARS_MIN).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The look-ups of a text, one short word each.
    fn lookups(text: &str) -> String {
        let query = match Query::parse(text) {
            Ok(query) => query,
            Err(refusal) => return format!("{refusal:?}"),
        };
        let show = |lookup: &Lookup| match lookup {
            Lookup::PermitNumber(number) => format!("permit {number}"),
            Lookup::Parcel(parcel) => format!("parcel {parcel}"),
            Lookup::PlanningRecord(number) => format!("planning {number}"),
            Lookup::Address { number, street } => format!("address {number} {street}"),
            Lookup::Street(street) => format!("street {street}"),
            Lookup::Neighborhood(names) => format!("neighborhood {}", names.join("|")),
            Lookup::Name(words) => format!("name {}", words.join("+")),
            Lookup::Words(words) => format!("words {words}"),
        };
        query.lookups.iter().map(show).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn permit_numbers() {
        for (text, expected) in [
            ("201508053399", "permit 201508053399"),
            (" 201508053399 ", "permit 201508053399"),
            ("2015 0805 3399", "permit 201508053399"),
            ("2015.08.05.3399", "permit 201508053399"),
            ("2015-0805-3399", "permit 201508053399"),
            ("permit #201508053399", "permit 201508053399"),
            ("permit no. 201508053399", "permit 201508053399"),
            ("20000104123", "permit 20000104123"),
            ("7713422s", "permit 7713422S; parcel 7713/422S"),
            ("m365547", "permit M365547"),
            ("M1000747", "permit M1000747"),
            ("E202301012345", "permit E202301012345"),
            ("PW20230101123", "permit PW20230101123"),
        ] {
            let found = lookups(text);
            assert!(found == expected || found.starts_with(&format!("{expected};")), "{text:?}: {found}");
        }
    }

    #[test]
    fn parcels() {
        for (text, expected) in [
            ("3507/004", "parcel 3507/004"),
            ("3507/4", "parcel 3507/004"),
            ("3507-004", "parcel 3507/004"),
            ("3507 / 4", "parcel 3507/004"),
            ("3507 004", "parcel 3507/004"),
            ("3507–004", "parcel 3507/004"),
            ("42/1", "parcel 0042/001"),
            ("0222a/021a", "parcel 0222A/021A"),
            ("block 3507 lot 4", "parcel 3507/004"),
            ("Block 3507, Lot 004", "parcel 3507/004"),
            ("blk 3507 lt 21A", "parcel 3507/021A"),
            ("lot 4 block 3507", "parcel 3507/004"),
            ("block: 3507 / lot: 4", "parcel 3507/004"),
            ("APN 3507-004", "parcel 3507/004"),
            ("APN: 3507004", "parcel 3507/004"),
            ("parcel 3507/004", "parcel 3507/004"),
            ("parcel number 3507-004", "parcel 3507/004"),
            ("3507, 004", "parcel 3507/004"),
            ("3507 lot 4", "parcel 3507/004"),
            ("block 3507/004", "parcel 3507/004"),
            ("block3507 lot4", "parcel 3507/004"),
            ("Assessor’s block 3507, lot 4", "parcel 3507/004"),
            ("0222A021A", "parcel 0222A/021A"),
            ("3507004", "permit 3507004; parcel 3507/004"),
        ] {
            let found = lookups(text);
            assert!(found == expected || found.starts_with(&format!("{expected};")), "{text:?}: {found}");
        }
    }

    #[test]
    fn whole_questions_are_read_for_what_they_name() {
        for (text, expected) in [
            ("permits by Ann Smith", "name ann+smith"),
            ("Who is Ann Smith", "name ann+smith"),
            ("Ann Smith’s permits", "name ann+smith"),
            ("permits at 1455 Market St", "address 1455 market (st)"),
            ("permits on Valencia", "street valencia"),
            ("complaints in SoMa", "neighborhood south of market"),
            ("permits for block 3507 lot 4", "parcel 3507/004"),
            ("permits", "street permits"),
            ("Who is Ann Smith?", "name ann+smith; street ann smith; words ann smith"),
            ("permits at 1455 Market St?", "address 1455 market (st)"),
            ("1455 Market St.", "address 1455 market (st)"),
            ("What about 201508053399?!", "street what about 201508053399"),
            ("201508053399 ?", "permit 201508053399"),
            ("permits of 1455 Market St", "address 1455 market (st)"),
            ("1455 Market St’s permits?", "address 1455 market (st)"),
            ("complaints of 1455 Market St", "address 1455 market (st)"),
            ("projects of block 3507 lot 4", "parcel 3507/004"),
            ("projects of 3507/004", "parcel 3507/004"),
            ("permits of Ann Smith", "name ann+smith; street ann smith; words ann smith"),
            ("permits of Smith Construction, Inc.", "name smith+construction+inc"),
            ("permits by 24 Hour Builders", "name 24+hour+builders; address 24 hour builders"),
        ] {
            let found = lookups(text);
            assert!(found == expected || found.starts_with(&format!("{expected};")), "{text:?}: {found}");
        }
    }

    #[test]
    fn planning_records() {
        for (text, expected) in [
            ("2016-007303PRJ", "planning 2016-007303PRJ"),
            ("2016-007303prj", "planning 2016-007303PRJ"),
            ("2016-007303", "planning 2016-007303"),
            ("2016-007303PRJ-02", "planning 2016-007303PRJ-02"),
            ("case no. 2013.0627E", "planning 2013.0627E"),
        ] {
            let found = lookups(text);
            assert!(found.split("; ").any(|lookup| lookup == expected), "{text:?}: {found}");
        }
        for text in
            ["2016-00730", "2016-0073031", "3507-004", "2015.08.05.3399", "1816-007303", "2016-007303 x", "2016-"]
        {
            assert!(!lookups(text).contains("planning"), "{text:?}: {}", lookups(text));
        }
    }

    #[test]
    fn addresses_fall_through_to_the_street_and_to_names() {
        for (text, expected) in [
            (
                "1455 Market St",
                "address 1455 market (st); address 1455 market; street market; name 1455+market+st; words 1455 market st",
            ),
            ("1455 market", "address 1455 market; street market; name 1455+market; words 1455 market"),
            ("market", "street market; name market; words market"),
            ("SoMa", "neighborhood south of market; street soma; name soma; words soma"),
            ("Turner Construction", "street turner construction; name turner+construction; words turner construction"),
            ("3507 4", ""),
            ("1455", ""),
            ("st", ""),
        ] {
            assert_eq!(lookups(text), expected, "{text:?}");
        }
    }

    #[test]
    fn letting_go_of_a_suffix_is_known() {
        let query = Query::parse("1455 Market Ave").unwrap();
        let ignored: Vec<bool> =
            query.lookups.iter().map(|lookup| lookup.ignores_suffix_of(query.lookups.first())).collect();
        assert_eq!(ignored, [false, true, true, false, false]);
    }

    #[test]
    fn odd_texts_are_refused_or_harmless() {
        let longest = "x".repeat(QUERY_CHARS_MAX);
        assert_eq!(lookups(&longest), format!("street {longest}; name {longest}; words {longest}"));
        for (text, expected) in [
            ("", "Empty"),
            (" \t\n ", "Empty"),
            ("\0", "Empty"),
            (format!("{longest}x").as_str(), "TooLong"),
            ("%", ""),
            ("__", ""),
            ("🏠", ""),
            ("ab", "street ab"),
            ("Peña", "street peña; name peña; words peña"),
        ] {
            assert_eq!(lookups(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_shown_text_is_tidied() {
        assert_eq!(Query::parse("  1455\tMarket\u{0} St ").unwrap().text, "1455 Market St");
    }
}
