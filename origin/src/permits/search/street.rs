//! Streets and addresses in people's spelling, matched to the city's.
//!
//! The city writes `Market` + `St`, `02nd` + `St`, `South Van Ness` + `Av`, and a few names whole (`The
//! Embarcadero`, `South Park`, `Mission Bay Blvd North`).

use std::fmt;
use std::sync::LazyLock;

use super::query::Lookup;

/// Suffix words, each row one suffix: the city's own abbreviation first.
const SUFFIXES: &[&[&str]] = &[
    &["st", "street", "str"],
    &["av", "avenue", "ave"],
    &["bl", "boulevard", "blvd"],
    &["dr", "drive"],
    &["ct", "court"],
    &["ln", "lane"],
    &["pl", "place"],
    &["rd", "road"],
    &["tr", "terrace", "ter", "terr"],
    &["wy", "way"],
    &["al", "alley", "aly"],
    &["cr", "circle", "cir"],
    &["hy", "highway", "hwy"],
    &["pk", "park"],
    &["pz", "plaza", "plz"],
    &["sq", "square"],
];

/// Ordinals in words, from the first on.
const ORDINALS: &[&str] = &[
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];

/// Words after which the rest names a part of a building.
const UNIT_WORDS: &[&str] = &["apt", "apartment", "unit", "suite", "ste", "rm", "room", "floor", "fl", "no"];

/// Words after which the rest names another place that the same record is about, or the building.
const FURTHER_WORDS: &[&str] =
    &["and", "aka", "bldg", "building", "ph", "penthouse", "rear", "units", "lot", "space", "california", "usa"];

/// Last words of names that permits have whole, and planning records spell as suffixes.
const FURTHER_SUFFIXES: &[&str] = &["stwy", "steps", "walk", "row", "loop", "path"];

/// Tens before an ordinal in words: `twenty-fourth`.
const TENS: &[(&str, usize)] = &[("twenty", 20), ("thirty", 30), ("forty", 40)];

/// Words that may follow a suffix, or begin a name, as part of it, and what they are short for.
const DIRECTIONS: &[(&str, &str)] = &[("n", "north"), ("s", "south"), ("e", "east"), ("w", "west")];

/// The first words of names that are written in two ways.
const ALIKE: &[(&str, &str)] = &[("saint", "st"), ("mount", "mt"), ("doctor", "dr")];

/// Most digits of a house number.
const NUMBER_DIGITS_MAX: usize = 5;

/// What may follow the beginning of an address of the planning department's, as a regular expression: a suffix, where the
/// beginning has none, and then a zip code or another number, a sign, a unit or the city. Any other word makes it another
/// street: `550 Mission Rock St` is none of Mission St. Each word of the address ends in a blank.
pub(crate) static AFTER_STREET: LazyLock<String> = LazyLock::new(|| {
    let suffixes = [&SUFFIXES.concat(), FURTHER_SUFFIXES].concat().join("|");
    let units = [UNIT_WORDS, FURTHER_WORDS].concat().join("|");
    format!("^(({suffixes}) )?(([^[:alpha:]]|(({units}|san francisco|sf|ca) )).*)?$")
});

/// A street, in the spellings the city may use. All in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Street {
    /// Spellings of the name without its suffix.
    pub names: Vec<String>,
    /// Spellings of the suffix; empty when any will do.
    pub suffixes: Vec<&'static str>,
    /// Spellings of the name that hold the suffix already, so that the suffix column does not matter.
    pub whole: Vec<String>,
}

impl Street {
    /// Every name to look for, with and without the suffix.
    #[must_use]
    pub fn all_names(&self) -> Vec<&str> {
        self.names.iter().chain(&self.whole).map(String::as_str).collect()
    }

    fn any_suffix(&self) -> Self {
        Self { suffixes: Vec::new(), ..self.clone() }
    }
}

impl fmt::Display for Street {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join("|"))?;
        match self.suffixes.first() {
            Some(suffix) => write!(f, " ({suffix})"),
            None => Ok(()),
        }
    }
}

/// The look-ups of a text (in lower case) as an address and as a street, closest first.
pub(super) fn lookups(text: &str) -> Vec<Lookup> {
    let words = street_words(text);
    let (number, rest) = match words.split_first() {
        Some((first, rest)) => match house_number(first) {
            Some(number) => (Some(number), rest),
            None => (None, words.as_slice()),
        },
        None => return Vec::new(),
    };
    let Some(street) = street(rest) else { return Vec::new() };
    let mut lookups = Vec::new();
    if let Some(number) = number {
        let loose = (!street.suffixes.is_empty()).then(|| street.any_suffix());
        lookups.push(Lookup::Address { number: number.clone(), street: street.clone() });
        lookups.extend(loose.map(|street| Lookup::Address { number, street }));
        lookups.push(Lookup::Street(street.any_suffix()));
    } else {
        let loose = (!street.suffixes.is_empty()).then(|| street.any_suffix());
        lookups.push(Lookup::Street(street));
        lookups.extend(loose.map(Lookup::Street));
    }
    lookups
}

/// The words that may name an address: without the unit, the city, the state and the zip code.
fn street_words(text: &str) -> Vec<&str> {
    let text = text.split('#').next().unwrap_or_default();
    // Whatever follows the first comma is a unit, a city, or a repetition of what is known; unless the unit comes first.
    let is_unit = |part: &&str| part.split_whitespace().next().is_some_and(|word| UNIT_WORDS.contains(&word));
    let text = text.split(',').find(|part| !is_unit(part)).unwrap_or_default();
    let mut words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches('.')).collect();
    words.retain(|word| !word.is_empty());
    // "1455 - 1457 market" and "1455 to 1457 market".
    if let [_, "-" | "to" | "&" | "and", second, _, ..] = words[..]
        && house_number(second).is_some()
    {
        words.drain(1..3);
    }
    if let Some(unit) = words.iter().skip(2).position(|word| UNIT_WORDS.contains(word)) {
        words.truncate(unit + 2);
    }
    while words.len() > 2 {
        let zip =
            |word: &str| word.len() >= 5 && word.starts_with("94") && word.bytes().take(5).all(|b| b.is_ascii_digit());
        match words.as_slice() {
            [.., "san", "francisco"] => words.truncate(words.len() - 2),
            [.., last] if matches!(*last, "ca" | "california" | "sf" | "usa") || zip(last) => {
                words.truncate(words.len() - 1)
            }
            _ => break,
        }
    }
    // "1455 market st 600" and "1455 market st 5a", and without the suffix when the unit is a number.
    if let [first, .., before, last] = words[..]
        && house_number(first).is_some()
        && last.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && last.starts_with(|c: char| c.is_ascii_digit())
        && (suffix(before).is_some() && ordinal(last).is_none() || last.bytes().all(|byte| byte.is_ascii_digit()))
    {
        words.pop();
    }
    words
}

/// `1455`, `1455a`, `1455-1457`, `1455/1457` and `01455` all mean house number 1455.
fn house_number(word: &str) -> Option<String> {
    let first = word.split(['-', '–', '/', '&']).next()?;
    let digits = first.bytes().take_while(u8::is_ascii_digit).count();
    let (number, letter) = first.split_at(digits);
    let letter_at_most = letter.len() <= 1 && letter.bytes().all(|b| b.is_ascii_alphabetic());
    if !(1..=NUMBER_DIGITS_MAX).contains(&digits) || !letter_at_most {
        return None;
    }
    let number = number.trim_start_matches('0');
    (!number.is_empty()).then(|| number.to_owned())
}

fn suffix(word: &str) -> Option<&'static [&'static str]> {
    SUFFIXES.iter().copied().find(|spellings| spellings.contains(&word))
}

fn street(words: &[&str]) -> Option<Street> {
    let words = match words {
        // "1455 1/2 Market"
        [fraction, rest @ ..] if fraction.contains('/') => rest,
        words => words,
    };
    let text = words.join(" ");
    // A street has letters; without any this is a number, or punctuation.
    if text.chars().filter(|c| c.is_alphabetic()).count() < 2 {
        return None;
    }
    match words {
        [] => None,
        [only] if suffix(only).is_some() => None,
        [name @ .., last] if !name.is_empty() && suffix(last).is_some() => {
            Some(Street { names: spellings(name), suffixes: suffix(last)?.to_vec(), whole: spellings(words) })
        }
        // "buena vista ave west": the city writes "Buena Vista West" + "Av" and "Buena Vista Ave West" + "Av".
        [name @ .., kind, short] if !name.is_empty() && suffix(kind).is_some() && direction(short).is_some() => {
            let direction = direction(short)?;
            let mut names = Vec::new();
            let without: Vec<&str> = name.iter().copied().chain([direction]).collect();
            names.extend(spellings(&without));
            for spelling in suffix(kind)? {
                let with: Vec<&str> = name.iter().copied().chain([*spelling, direction]).collect();
                names.extend(spellings(&with));
            }
            Some(Street { names, suffixes: Vec::new(), whole: Vec::new() })
        }
        _ => Some(Street { names: spellings(words), suffixes: Vec::new(), whole: Vec::new() }),
    }
}

/// The city's spellings of a name: `2nd` and `second` are `02nd`, `ofarrell` is `o'farrell`, `embarcadero` may
/// be `the embarcadero`, `s van ness` is `south van ness`.
fn spellings(words: &[&str]) -> Vec<String> {
    let Some((first, rest)) = words.split_first() else { return Vec::new() };
    let with = |first: &str| [first].iter().chain(rest).copied().collect::<Vec<_>>().join(" ");
    let mut names = vec![with(first)];
    if let Some(number) = ordinal(first) {
        let short = ordinal_text(number);
        names = vec![with(&format!("{short:0>4}")), with(&short)];
        names.dedup();
    }
    if let Some(long) = direction(first).filter(|long| long != first && !rest.is_empty()) {
        names.push(with(long));
    }
    let alike = ALIKE.iter().find_map(|(long, short)| match *first {
        word if word == *long => Some(*short),
        word if word == *short => Some(*long),
        _ => None,
    });
    names.extend(alike.filter(|_| !rest.is_empty()).map(with));
    // "twenty fourth" is one ordinal, and "o farrell" one name.
    if let [second, rest @ ..] = rest {
        let joined = format!("{first}-{second}");
        let after = |text: String| [text.as_str()].iter().chain(rest).copied().collect::<Vec<_>>().join(" ");
        if let Some(number) = ordinal(&joined) {
            names.push(after(ordinal_text(number)));
        }
        if *first == "o" {
            names.push(after(format!("o'{second}")));
        }
    }
    // "terry a francois" is "terry a. francois" in some rows.
    let is_initial = |word: &&str| word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    if words.len() > 2 && words[1..].iter().any(&is_initial) {
        let dotted = words.iter().map(|word| if is_initial(word) { format!("{word}.") } else { (*word).to_owned() });
        names.push(dotted.collect::<Vec<_>>().join(" "));
    }
    if let Some(name) = first.strip_prefix('o').filter(|name| name.len() >= 3 && !name.starts_with('\'')) {
        names.push(with(&format!("o'{name}")));
    }
    if *first == "embarcadero" && rest.is_empty() {
        names.push("the embarcadero".to_owned());
    }
    names
}

/// `n` and `north` are `north`.
fn direction(word: &str) -> Option<&'static str> {
    DIRECTIONS.iter().find(|(short, long)| *short == word || *long == word).map(|(_, long)| *long)
}

/// `2nd`, `02nd` and `second` are 2, and `twenty-fourth` is 24.
fn ordinal(word: &str) -> Option<usize> {
    if let Some((tens, ones)) = word.split_once('-') {
        let (_, tens) = TENS.iter().find(|(name, _)| *name == tens)?;
        let ones = ORDINALS.iter().take(9).position(|name| *name == ones)? + 1;
        return Some(tens + ones);
    }
    if let Some((_, number)) = [("thirtieth", 30), ("fortieth", 40)].iter().find(|(name, _)| *name == word) {
        return Some(*number);
    }
    if let Some(index) = ORDINALS.iter().position(|name| *name == word) {
        return Some(index + 1);
    }
    let number = ["st", "nd", "rd", "th"].iter().find_map(|ending| word.strip_suffix(ending))?;
    let plain = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| number.parse().ok())?
}

fn ordinal_text(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first look-up of a text.
    fn first(text: &str) -> String {
        match lookups(text).into_iter().next() {
            Some(Lookup::Address { number, street }) => format!("{number} {street}"),
            Some(Lookup::Street(street)) => street.to_string(),
            _ => String::new(),
        }
    }

    #[test]
    fn usual_spellings_of_an_address() {
        for (text, expected) in [
            ("1455 market st", "1455 market (st)"),
            ("1455 market street", "1455 market (st)"),
            ("1455 market st.", "1455 market (st)"),
            ("01455 market", "1455 market"),
            ("1455a market st", "1455 market (st)"),
            ("1455-1457 market st", "1455 market (st)"),
            ("1455 1/2 market st", "1455 market (st)"),
            ("1455 - 1457 market st", "1455 market (st)"),
            ("1455/1457 market st", "1455 market (st)"),
            ("1455 & 1457 market st", "1455 market (st)"),
            ("1455 market st 600", "1455 market (st)"),
            ("1455 market st 5a", "1455 market (st)"),
            ("1455 market 600", "1455 market"),
            ("apt 5, 1455 market st", "1455 market (st)"),
            ("1455 market st, san francisco, ca 94103, usa", "1455 market (st)"),
            ("1455 market st san francisco ca 94103 usa", "1455 market (st)"),
            ("1455 market st apt 5", "1455 market (st)"),
            ("1455 market st #600", "1455 market (st)"),
            ("1455 market st unit 600", "1455 market (st)"),
            ("1455 market st suite 600 san francisco", "1455 market (st)"),
            ("1455 market st, apt 5, san francisco, ca 94103", "1455 market (st)"),
            ("1455 market st san francisco ca 94103", "1455 market (st)"),
            ("1455 market st san francisco ca 94103-1234", "1455 market (st)"),
            ("1455 market sf", "1455 market"),
            ("235 2nd st", "235 02nd|2nd (st)"),
            ("235 second street", "235 02nd|2nd (st)"),
            ("235 02nd st", "235 02nd|2nd (st)"),
            ("235 second st 4", "235 02nd|2nd (st)"),
            ("5 24th st", "5 24th (st)"),
            ("5 twenty-fourth st", "5 24th (st)"),
            ("5 twenty fourth st", "5 twenty fourth|24th (st)"),
            ("5 thirtieth ave", "5 30th (av)"),
            ("1 11th ave", "1 11th (av)"),
            ("1 1st st", "1 01st|1st (st)"),
            ("100 s van ness ave", "100 s van ness|south van ness (av)"),
            ("100 south van ness", "100 south van ness"),
            ("50 ofarrell st", "50 ofarrell|o'farrell (st)"),
            ("50 o'farrell st", "50 o'farrell (st)"),
            ("50 o farrell st", "50 o farrell|o'farrell (st)"),
            ("50 saint francis blvd", "50 saint francis|st francis (bl)"),
            ("1 terry a. francois blvd", "1 terry a francois|terry a. francois (bl)"),
            ("100 w portal ave", "100 w portal|west portal (av)"),
            ("1 embarcadero", "1 embarcadero|the embarcadero"),
            ("1 the embarcadero", "1 the embarcadero"),
            ("1 avenue of the palms", "1 avenue of the palms"),
            ("12 st francis blvd", "12 st francis|saint francis (bl)"),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
    }

    #[test]
    fn usual_spellings_of_a_street() {
        for (text, expected) in [
            ("valencia", "valencia"),
            ("valencia street", "valencia (st)"),
            ("van ness avenue", "van ness (av)"),
            ("2nd street", "02nd|2nd (st)"),
            ("broadway", "broadway"),
            ("street", ""),
            ("1455", ""),
            ("", ""),
            ("# 5", ""),
            ("0 market", "0 market"),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
    }

    #[test]
    fn a_suffix_may_be_part_of_the_name() {
        let Some(Lookup::Address { street, .. }) = lookups("100 south park").into_iter().next() else { panic!() };
        assert_eq!((street.names, street.whole), (vec!["south".to_owned()], vec!["south park".to_owned()]));

        for text in ["buena vista ave west", "buena vista avenue w"] {
            let Some(Lookup::Street(street)) = lookups(text).into_iter().next() else { panic!() };
            assert!(street.names.contains(&"buena vista west".to_owned()));
            assert!(street.names.contains(&"buena vista ave west".to_owned()));
        }
    }

    #[test]
    fn the_house_number_and_then_the_suffix_are_let_go() {
        let shown: Vec<String> = lookups("1455 market ave")
            .into_iter()
            .map(|lookup| match lookup {
                Lookup::Address { number, street } => format!("{number} {street}"),
                Lookup::Street(street) => street.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, ["1455 market (av)", "1455 market", "market"]);
    }
}
