//! From one row as the city sends it to one line of `COPY` input.
//!
//! A row is refused only when it cannot be told apart or linked (its key is missing or too long). A single field
//! that cannot be read is stored as absent and counted, because the rest of the row is still true.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::datasets::{Column, Dataset, From, Key, Kind};
use crate::digest::hex;

/// Longest code: twice the longest street name would do, and every index entry stays far below Postgres's limit
/// of 2,704 bytes. A longer one is dropped, and refuses the row where the column is required.
pub const CODE_BYTES_MAX: usize = 256;
/// Longest text: the city cuts descriptions at 300 characters, notes run to some thousand. A longer one is cut.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Hexadecimal digits of a digest key: 128 bits, so that two of the city's rows never meet by chance.
const DIGEST_DIGITS: usize = 32;

/// Years in which the city's systems recorded what happened: the first of their records are of the seventies, and a few
/// permits bear a date of the next months. Dates such as 0200 and 1960 are slips of a typist or a program.
pub const RECORDED_YEARS: RangeInclusive<i16> = 1970..=2099;
/// Implausible dates of one load that are kept as they came; all are counted.
pub const QUARANTINE_KEPT_MAX: usize = 1_000;
/// Hexadecimal digits that tell the addresses of one trade permit apart.
const ADDRESS_DIGITS: usize = 12;

/// Why a row was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Something else stood where a row should be.
    NotAnObject,
    /// This column is required and had no value.
    Missing(&'static str),
    /// This column is required and its value is longer than [`CODE_BYTES_MAX`].
    TooLong(&'static str),
    /// Another row of the same load has this unique value.
    Repeated(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("not an object"),
            Self::Missing(column) => write!(f, "{column} is missing"),
            Self::TooLong(column) => write!(f, "{column} is longer than {CODE_BYTES_MAX} bytes"),
            Self::Repeated(column) => write!(f, "{column} was already read in this load"),
        }
    }
}

/// What was wrong with one field of a row that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Stored as absent: not a number.
    NotANumber,
    /// Stored as absent: a number that the column cannot hold.
    OutOfRange,
    /// Stored as absent: not a date and time.
    NotATimestamp,
    /// Stored as absent and quarantined: a date outside [`RECORDED_YEARS`].
    Implausible,
    /// Stored as absent: an object or list where text should be.
    NotText,
    /// Stored as absent: not a point.
    NotAPoint,
    /// Stored as absent: a code longer than [`CODE_BYTES_MAX`].
    TooLong,
    /// Stored up to [`TEXT_BYTES_MAX`].
    Cut,
    /// Stored without the NUL characters, which Postgres cannot hold.
    NulRemoved,
}

impl Flaw {
    /// The words for the summary.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "not a number",
            Self::OutOfRange => "a number out of range",
            Self::NotATimestamp => "not a date and time",
            Self::Implausible => "an implausible date",
            Self::NotText => "not text",
            Self::NotAPoint => "not a point",
            Self::TooLong => "too long",
            Self::Cut => "cut",
            Self::NulRemoved => "NUL removed",
        }
    }
}

/// How often each column had each flaw. No larger than columns times flaws.
pub type Flaws = BTreeMap<(&'static str, Flaw), u64>;

/// A date that was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The column it was meant for.
    pub column: &'static str,
    /// As it came.
    pub value: String,
    /// The city's name for the row, or our key.
    pub row_key: Option<String>,
}

/// Reads rows of one dataset and writes them as `COPY` text.
#[derive(Debug)]
pub struct Encoder {
    dataset: &'static Dataset,
    flaws: Flaws,
    quarantine: Vec<Quarantined>,
    line: String,
}

impl Encoder {
    /// An encoder for the rows of one load.
    #[must_use]
    pub const fn new(dataset: &'static Dataset) -> Self {
        Self { dataset, flaws: Flaws::new(), quarantine: Vec::new(), line: String::new() }
    }

    /// The names of the columns that a line holds, in its order.
    #[must_use]
    pub fn columns(dataset: &'static Dataset) -> Vec<&'static str> {
        let keys: &[&str] = match dataset.key {
            Key::Unique(_) => &[],
            Key::Fields(_) | Key::Digest => &["row_key", "occurrence"],
        };
        keys.iter().copied().chain(dataset.columns.iter().map(|column| column.name)).collect()
    }

    /// What was wrong with single fields so far.
    #[must_use]
    pub const fn flaws(&self) -> &Flaws {
        &self.flaws
    }

    /// The implausible dates so far, at most [`QUARANTINE_KEPT_MAX`].
    #[must_use]
    pub fn quarantine(&self) -> &[Quarantined] {
        &self.quarantine
    }

    /// Appends one line for `row`; a refused row appends nothing.
    ///
    /// # Errors
    /// Says why the row cannot be stored.
    pub fn encode(&mut self, row: &Value, out: &mut String) -> Result<(), Refusal> {
        let fields = row.as_object().ok_or(Refusal::NotAnObject)?;
        self.line.clear();
        // Where the content ends that a digest covers: everything but the stamp of the extract, which changes
        // every night for every row, and what follows it.
        let mut content_end = 0;
        let mut doubted = 0;
        for (index, column) in self.dataset.columns.iter().enumerate() {
            if index > 0 {
                self.line.push('\t');
            }
            if column.name == "data_as_of" {
                content_end = self.line.len();
            }
            match read(column, fields, &mut self.flaws)? {
                Read::Value(value) => escape(&value, &mut self.line),
                Read::Absent => self.line.push_str("\\N"),
                Read::Implausible(value) => {
                    self.line.push_str("\\N");
                    if self.quarantine.len() < QUARANTINE_KEPT_MAX {
                        let value = value.chars().take(CODE_BYTES_MAX).collect();
                        self.quarantine.push(Quarantined { column: column.name, value, row_key: None });
                        doubted += 1;
                    }
                }
            }
        }
        let key = self.row_key(fields, content_end);
        let known_as = key.clone().or_else(|| code(fields.get("record_id")?));
        for doubt in self.quarantine.iter_mut().rev().take(doubted) {
            doubt.row_key.clone_from(&known_as);
        }
        if let Some(key) = key {
            escape(&key, out);
            out.push_str("\t1\t");
        }
        out.push_str(&self.line);
        out.push('\n');
        Ok(())
    }

    fn row_key(&self, fields: &Map<String, Value>, content_end: usize) -> Option<String> {
        let digest = || {
            let mut text = hex(&Sha256::digest(&self.line[..content_end]));
            text.truncate(DIGEST_DIGITS);
            text
        };
        match self.dataset.key {
            Key::Unique(_) => None,
            Key::Digest => Some(digest()),
            Key::Fields(keys) => {
                let values: Option<Vec<_>> = keys.iter().map(|key| code(fields.get(*key)?)).collect();
                Some(values.map_or_else(digest, |values| values.join(":")))
            }
        }
    }
}

/// The columns of one row that have a value, as text, as they would be stored.
///
/// # Errors
/// Says why the row would not be stored.
pub(crate) fn texts(dataset: &Dataset, row: &Value) -> Result<BTreeMap<&'static str, String>, Refusal> {
    let fields = row.as_object().ok_or(Refusal::NotAnObject)?;
    let mut flaws = Flaws::new();
    let mut texts = BTreeMap::new();
    for column in dataset.columns {
        if let Read::Value(value) = read(column, fields, &mut flaws)? {
            texts.insert(column.name, value.into_owned());
        }
    }
    Ok(texts)
}

/// What became of one field.
enum Read<'a> {
    Value(Cow<'a, str>),
    Absent,
    /// A date that is not believed, as it came.
    Implausible(Cow<'a, str>),
}

fn read<'a>(column: &Column, fields: &'a Map<String, Value>, flaws: &mut Flaws) -> Result<Read<'a>, Refusal> {
    let word = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = match column.from {
        From::Constant(value) => return Ok(Read::Value(Cow::Borrowed(value))),
        From::Role => Ok(Some(Cow::Borrowed(role(word("role"))))),
        From::ContactType => Ok(Some(Cow::Borrowed(contact_type(word("contact_type"))))),
        From::TradeRecord(trade) => Ok(trade_record(trade, fields).map(Cow::Owned)),
        From::Joined(names) => {
            let parts: Vec<_> = names.iter().map(|name| word(name).trim()).filter(|part| !part.is_empty()).collect();
            Ok((!parts.is_empty()).then(|| Cow::Owned(parts.join(" "))))
        }
        From::FullName => Ok(full_name(fields)),
        From::Longitude => coordinate(fields.get("location"), "longitude", 0),
        From::Latitude => coordinate(fields.get("location"), "latitude", 1),
        From::Field(name) => plain(fields.get(name)),
        From::FirstOf(names) => plain(names.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()))),
    };
    let came = match &found {
        Ok(Some(value)) if column.kind == Kind::Recorded => Some(value.clone()),
        _ => None,
    };
    let parsed = found.and_then(|value| match value {
        Some(value) => parse(column, value, flaws),
        None => Ok(None),
    });
    match parsed {
        Ok(None) if column.required => Err(Refusal::Missing(column.name)),
        Ok(value) => Ok(value.map_or(Read::Absent, Read::Value)),
        Err(Flaw::TooLong) if column.required => Err(Refusal::TooLong(column.name)),
        Err(_) if column.required => Err(Refusal::Missing(column.name)),
        Err(flaw) => {
            *flaws.entry((column.name, flaw)).or_default() += 1;
            Ok(match came {
                Some(value) if flaw == Flaw::Implausible => Read::Implausible(value),
                _ => Read::Absent,
            })
        }
    }
}

/// The value as text; absent when it is absent, null or blank.
fn plain(value: Option<&Value>) -> Result<Option<Cow<'_, str>>, Flaw> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
        Some(Value::Bool(value)) => Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" }))),
        Some(Value::Array(_) | Value::Object(_)) => Err(Flaw::NotText),
    }
}

fn parse<'a>(column: &Column, value: Cow<'a, str>, flaws: &mut Flaws) -> Result<Option<Cow<'a, str>>, Flaw> {
    let mut note = |flaw| *flaws.entry((column.name, flaw)).or_default() += 1;
    match column.kind {
        Kind::Text | Kind::Code => {
            let mut value = value;
            if value.contains('\0') {
                note(Flaw::NulRemoved);
                value = Cow::Owned(value.replace('\0', ""));
            }
            if column.kind == Kind::Code {
                // With its blanks: a group is asked for as it is written, and one that cannot be asked for is not stored.
                if value.len() > CODE_BYTES_MAX {
                    return Err(Flaw::TooLong);
                }
                value = trimmed(value);
            } else if value.len() > TEXT_BYTES_MAX {
                note(Flaw::Cut);
                let end = value.floor_char_boundary(TEXT_BYTES_MAX);
                value = Cow::Owned(value[..end].to_owned());
            }
            Ok((!value.is_empty()).then_some(value))
        }
        Kind::Integer => {
            let number = finite(&value)?.trunc();
            let fits = number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX);
            if fits { Ok(Some(Cow::Owned(format!("{number:.0}")))) } else { Err(Flaw::OutOfRange) }
        }
        Kind::Float => finite(&value).map(|number| Some(Cow::Owned(number.to_string()))),
        Kind::Timestamp | Kind::Recorded => {
            let time: jiff::civil::DateTime = value.trim().parse().map_err(|_| Flaw::NotATimestamp)?;
            if column.kind == Kind::Recorded && !RECORDED_YEARS.contains(&time.year()) {
                return Err(Flaw::Implausible);
            }
            // Postgres has no year zero, and the city has no permits from before Christ.
            if time.year() < 1 { Err(Flaw::OutOfRange) } else { Ok(Some(Cow::Owned(time.to_string()))) }
        }
    }
}

fn finite(value: &str) -> Result<f64, Flaw> {
    let number: f64 = value.trim().parse().map_err(|_| Flaw::NotANumber)?;
    if number.is_finite() { Ok(number) } else { Err(Flaw::OutOfRange) }
}

fn trimmed(value: Cow<'_, str>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// A value fit to be part of a key.
fn code(value: &Value) -> Option<String> {
    let text = plain(Some(value)).ok()??;
    let text = text.trim();
    (text.len() <= CODE_BYTES_MAX && !text.contains('\0')).then(|| text.to_owned())
}

fn full_name(fields: &Map<String, Value>) -> Option<Cow<'_, str>> {
    let part = |name| fields.get(name).and_then(Value::as_str).map(str::trim).filter(|part| !part.is_empty());
    match (part("first_name"), part("last_name")) {
        (Some(first), Some(last)) => Some(Cow::Owned(format!("{first} {last}"))),
        (one, None) | (None, one) => one.map(Cow::Borrowed),
    }
}

/// A coordinate of a GeoJSON point, or of the older form with named members.
fn coordinate<'a>(location: Option<&'a Value>, name: &str, index: usize) -> Result<Option<Cow<'a, str>>, Flaw> {
    match location {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(point)) => {
            let found = point.get("coordinates").map_or_else(|| point.get(name), |list| list.get(index));
            found.ok_or(Flaw::NotAPoint).and_then(|value| plain(Some(value)))
        }
        Some(_) => Err(Flaw::NotAPoint),
    }
}

/// The trades publish a row for each address of a permit and no key: the number and the address are one.
fn trade_record(trade: &str, fields: &Map<String, Value>) -> Option<String> {
    let number = code(fields.get("permit_number")?)?;
    let mut address = Sha256::new();
    for name in ["street_number", "street_name", "street_suffix", "unit", "block", "lot"] {
        address.update(fields.get(name).and_then(code).unwrap_or_default());
        address.update([0]);
    }
    let mut digest = hex(&address.finalize());
    digest.truncate(ADDRESS_DIGITS);
    Some(format!("{trade}:{number}:{digest}"))
}

/// The electrical contacts' word for a part in a permit, in ours.
fn contact_type(city: &str) -> &'static str {
    match city.trim().to_lowercase().as_str() {
        "contractor" => "contractor",
        "owner" => "owner",
        _ => "other",
    }
}

/// The city's word for a contact's part in a permit, in ours.
fn role(city: &str) -> &'static str {
    match city.trim().to_lowercase().as_str() {
        "contractor" | "subcontractor" => "contractor",
        "authorized agent-others" => "agent",
        "architect" => "architect",
        "engineer" => "engineer",
        "lessee" => "owner",
        "pmt consultant/expediter" => "consultant",
        "designer" => "designer",
        _ => "other",
    }
}

/// Escapes one value for the text format of `COPY`.
fn escape(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '\t', '\n', '\r']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\t' => "\\t",
            b'\n' => "\\n",
            _ => "\\r",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests;
