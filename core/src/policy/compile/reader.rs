//! The TOML tree with its places: every value knows its field and its span.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{PolicyError, nearest, time};
use crate::breaker::ConfigError;
use crate::policy::Name;

/// The text of a policy, to turn spans into lines and columns.
#[derive(Clone, Copy)]
pub(super) struct Source<'a>(pub(super) &'a str);

impl Source<'_> {
    fn error(self, span: &Range<usize>, field: &str, message: String) -> PolicyError {
        let before = self.0.get(..span.start).unwrap_or(self.0);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        PolicyError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            field: field.to_owned(),
            message,
        }
    }

    /// A fault of the TOML itself.
    pub(super) fn syntax(self, error: &toml::de::Error) -> PolicyError {
        let end = self.0.len();
        self.error(&error.span().unwrap_or(end..end), "", format!("not TOML: {}", error.message()))
    }
}

/// A table and where it stands.
pub(super) struct Section<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
    /// What errors call it; empty for the whole document.
    pub(super) field: String,
    /// Where its name stands.
    span: Range<usize>,
}

/// A value and where it stands.
pub(super) struct Entry<'a> {
    source: Source<'a>,
    value: &'a DeValue<'a>,
    field: String,
    span: Range<usize>,
}

impl<'a> Section<'a> {
    pub(super) fn root(source: Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self { source, table, field: String::new(), span: 0..0 }
    }

    fn field_of(&self, key: &str) -> String {
        if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) }
    }

    /// Refuses keys that are not `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), PolicyError> {
        match self.keys().into_iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, span)) => {
                let message = format!("unknown option; {}", nearest::advice(key, known));
                Err(self.source.error(&span, &self.field_of(key), message))
            }
        }
    }

    /// The keys with their places, in the order in which they stand in the file.
    fn keys(&self) -> Vec<(&'a str, Range<usize>)> {
        let mut keys: Vec<_> = self.table.iter().map(|(key, _)| (&**key.get_ref(), key.span())).collect();
        keys.sort_by_key(|(_, span)| span.start);
        keys
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.table.get(key)?;
        Some(Entry { source: self.source, value: value.get_ref(), field: self.field_of(key), span: value.span() })
    }

    /// The number of `key` in `range`, or its default.
    pub(super) fn whole_or<T>(&self, key: &str, range: RangeInclusive<T>, default: T) -> Result<T, PolicyError>
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        let Some(entry) = self.get(key) else { return Ok(default) };
        let number = entry.whole((*range.start()).into()..=(*range.end()).into())?;
        // In range, so it fits the type of the range.
        Ok(T::try_from(number).unwrap_or(default))
    }

    /// The time of `key` in `range`, a whole number of milliseconds, or its default.
    pub(super) fn time_or(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Result<Duration, PolicyError> {
        self.get(key).map_or(Ok(default), |entry| entry.time(range, MILLISECOND))
    }

    /// The switch of `key`, or its default.
    pub(super) fn boolean_or(&self, key: &str, default: bool) -> Result<bool, PolicyError> {
        self.get(key).map_or(Ok(default), |entry| entry.boolean())
    }

    /// The word of `key` among `choices`, or the first of them.
    pub(super) fn choice<T: Copy, const N: usize>(&self, key: &str, choices: [(&str, T); N]) -> Result<T, PolicyError> {
        let known = choices.map(|(word, _)| word);
        self.get(key).map_or(Ok(choices[0].1), |entry| Ok(choices[entry.word(&known)?].1))
    }

    /// The value of `key`, which must be there.
    pub(super) fn require(&self, key: &str) -> Result<Entry<'a>, PolicyError> {
        self.get(key).ok_or_else(|| self.source.error(&self.span, &self.field_of(key), "missing".to_owned()))
    }

    /// A fault of the table as a whole.
    pub(super) fn error(&self, message: String) -> PolicyError {
        self.source.error(&self.span, &self.field, message)
    }

    /// A fault of settings that do not go together. Each that was written is in its range, so a default is among them.
    pub(super) fn unfit(&self, error: &ConfigError) -> PolicyError {
        self.error(format!("{error}; the default does not fit, so set it"))
    }

    /// The tables of this table, each with its key as a name, in the order of the file.
    pub(super) fn named_sections(&self) -> Result<Vec<(Name, Self)>, PolicyError> {
        let read = |(key, span): (&'a str, Range<usize>)| {
            let field = self.field_of(key);
            let name = Name::try_from(key.to_owned())
                .map_err(|error| self.source.error(&span, &field, format!("expected {error}, found \"{key}\"")))?;
            // The key is one of this table's own.
            let section = self.require(key)?.section()?;
            Ok((name, Section { span, ..section }))
        };
        self.keys().into_iter().map(read).collect()
    }
}

impl<'a> Entry<'a> {
    /// A fault of this value.
    pub(super) fn error(&self, message: String) -> PolicyError {
        self.source.error(&self.span, &self.field, message)
    }

    /// A fault of this value: something else was expected.
    pub(super) fn expected(&self, expected: &str) -> PolicyError {
        self.error(format!("expected {expected}, found {}", self.found()))
    }

    /// The value as an error shows it.
    fn found(&self) -> String {
        match self.value {
            DeValue::String(text) if text.chars().count() > FOUND_CHARS_MAX => {
                let start: String = text.chars().take(FOUND_CHARS_MAX).collect();
                format!("{start:?} and more")
            }
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => format!("{number}"),
            DeValue::Float(number) => format!("{number}"),
            DeValue::Boolean(value) => format!("{value}"),
            DeValue::Datetime(date) => format!("{date}"),
            DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// A table.
    pub(super) fn section(self) -> Result<Section<'a>, PolicyError> {
        match self.value {
            DeValue::Table(table) => Ok(Section { source: self.source, table, field: self.field, span: self.span }),
            _ => Err(self.expected("a table")),
        }
    }

    /// The tables of a list of them, such as `[[route]]`.
    pub(super) fn sections(&self) -> Result<Vec<Section<'a>>, PolicyError> {
        self.list("a list of tables")?.into_iter().map(Self::section).collect()
    }

    /// The values of a list.
    fn list(&self, expected: &str) -> Result<Vec<Self>, PolicyError> {
        let DeValue::Array(list) = self.value else { return Err(self.expected(expected)) };
        let entry = |(at, value): (usize, &'a Spanned<DeValue<'a>>)| Entry {
            source: self.source,
            value: value.get_ref(),
            field: format!("{}[{at}]", self.field),
            span: value.span(),
        };
        Ok(list.iter().enumerate().map(entry).collect())
    }

    /// A list of different texts, at most `max` of them.
    pub(super) fn texts(&self, expected: &str, max: usize) -> Result<Vec<(Self, &'a str)>, PolicyError> {
        let entries = self.list(expected)?;
        if entries.len() > max {
            return Err(self.error(format!("expected at most {max} entries, found {}", entries.len())));
        }
        let mut texts: Vec<(Self, &'a str)> = Vec::new();
        for entry in entries {
            let text = entry.text("a text in quotes")?;
            if texts.iter().any(|(_, earlier)| *earlier == text) {
                return Err(entry.error(format!("\"{text}\" stands here twice")));
            }
            texts.push((entry, text));
        }
        Ok(texts)
    }

    /// A list of words that fit, at least one: an empty one would take nothing at all.
    pub(super) fn words(
        &self,
        expected: &str,
        max: usize,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, PolicyError> {
        let texts = self.texts(expected, max)?;
        if texts.is_empty() {
            return Err(self.expected(expected));
        }
        let word =
            |(entry, text): (Self, &str)| if fits(text) { Ok(text.to_owned()) } else { Err(entry.expected(expected)) };
        texts.into_iter().map(word).collect()
    }

    /// A text; `expected` describes it for the error.
    pub(super) fn text(&self, expected: &str) -> Result<&'a str, PolicyError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.expected(expected)),
        }
    }

    /// Whether it is this text.
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self.value, DeValue::String(value) if value == text)
    }

    /// One of the words `known`, by its place among them.
    pub(super) fn word(&self, known: &[&str]) -> Result<usize, PolicyError> {
        let expected = match known {
            [only] => format!("{only:?}"),
            _ => format!("one of {}", known.join(", ")),
        };
        let word = self.text(&expected)?;
        known.iter().position(|known| *known == word).ok_or_else(|| self.expected(&expected))
    }

    /// A whole number in `range`.
    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Result<u64, PolicyError> {
        let number = match self.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (first, last) = range.into_inner();
            if first == last {
                self.expected(&format!("{first}"))
            } else {
                self.expected(&format!("a whole number from {first} to {last}"))
            }
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, PolicyError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A time in `range`, a whole number of `step`s.
    pub(super) fn time(&self, range: RangeInclusive<Duration>, step: Duration) -> Result<Duration, PolicyError> {
        let time = match self.value {
            DeValue::String(text) => time::parse(text),
            _ => None,
        };
        let fits = |time: &Duration| range.contains(time) && time.as_nanos().is_multiple_of(step.as_nanos());
        time.filter(fits).ok_or_else(|| {
            let (first, last) = (time::format(*range.start()), time::format(*range.end()));
            let what = if step.subsec_nanos() == 0 { "whole seconds" } else { "a time" };
            self.expected(&format!("{what} from \"{first}\" to \"{last}\""))
        })
    }

    /// A name of 1 to 32 letters, digits and hyphens.
    pub(super) fn name(&self) -> Result<Name, PolicyError> {
        let text = self.text("a name in quotes")?;
        Name::try_from(text.to_owned()).map_err(|error| self.expected(&format!("{error}")))
    }
}

/// The finest time that can be written.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// How much of a wrong text an error repeats.
const FOUND_CHARS_MAX: usize = 40;
