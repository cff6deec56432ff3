//! Writing a line, and reading it back.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Display, str::FromStr, time::Duration};

use crate::time::{Timestamp, nanos};

use super::InvalidLine;

/// A line being written.
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn new(kind: &str, policy: &str) -> Self {
        let mut line = Self(kind.to_owned());
        line.text("policy", policy);
        line
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    pub(crate) fn word(&mut self, name: &str, word: &str) -> &mut Self {
        self.0.push_str(&format!(" {name}={word}"));
        self
    }

    pub(crate) fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.word(name, if flag { "yes" } else { "no" })
    }

    pub(crate) fn time(&mut self, name: &str, time: Option<Duration>) -> &mut Self {
        match time {
            Some(time) => self.word(name, &format!("{}ns", nanos(time))),
            None => self,
        }
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.0.push_str(&format!(" {name}=\""));
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                ' '..='~' => self.0.push(character),
                // Unprintable, and in nothing that decides.
                _ => self.0.push('?'),
            }
        }
        self.0.push('"');
        self
    }
}

/// A line being read.
pub(crate) struct Inputs<'a> {
    pub(crate) kind: &'a str,
    values: BTreeMap<&'a str, String>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn read(line: &'a str) -> Self {
        let (kind, mut rest) = line.trim().split_once(' ').unwrap_or_else(|| (line.trim(), ""));
        let mut values = BTreeMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let mut value = String::new();
            let mut quoted = false;
            let mut characters = after.char_indices();
            let mut end = after.len();
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' => quoted = !quoted,
                    '\\' if quoted => value.extend(characters.next().map(|(_, escaped)| escaped)),
                    ' ' if !quoted => {
                        end = at;
                        break;
                    }
                    character => value.push(character),
                }
            }
            values.insert(name.trim(), value);
            rest = &after[end..];
        }
        Self { kind, values }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, InvalidLine> {
        self.values.get(name).cloned().ok_or_else(|| InvalidLine::of(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, InvalidLine> {
        match self.text(name)?.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(InvalidLine::of(name)),
        }
    }

    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<N, InvalidLine> {
        self.text(name)?.parse().map_err(|_| InvalidLine::of(name))
    }

    pub(crate) fn time(&self, name: &str) -> Result<Duration, InvalidLine> {
        let text = self.text(name)?;
        let number = text.strip_suffix("ns").and_then(|number| number.parse().ok());
        number.map(Duration::from_nanos).ok_or_else(|| InvalidLine::of(name))
    }

    pub(crate) fn optional_time(&self, name: &str) -> Result<Option<Duration>, InvalidLine> {
        if self.values.contains_key(name) { self.time(name).map(Some) } else { Ok(None) }
    }
}

/// The inputs of a decision, written into a line or read back from one. One list of them serves both, so that none is
/// forgotten.
pub(crate) struct Record<'a> {
    side: Side<'a>,
    /// What stands before each name.
    prefix: String,
}

enum Side<'a> {
    Write(&'a mut Line),
    Read(&'a Inputs<'a>),
}

impl<'a> Record<'a> {
    pub(crate) fn write(line: &'a mut Line) -> Self {
        Self { side: Side::Write(line), prefix: String::new() }
    }

    pub(crate) fn read(inputs: &'a Inputs<'a>) -> Self {
        Self { side: Side::Read(inputs), prefix: String::new() }
    }

    pub(crate) fn under(self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..self }
    }

    pub(crate) fn number<N: Display + FromStr>(&mut self, name: &str, number: &mut N) -> Result<(), InvalidLine> {
        let name = format!("{}{name}", self.prefix);
        match &mut self.side {
            Side::Write(line) => drop(line.word(&name, &number.to_string())),
            Side::Read(inputs) => *number = inputs.number(&name)?,
        }
        Ok(())
    }

    pub(crate) fn numbers(&mut self, name: &str, numbers: &mut Vec<u64>) -> Result<(), InvalidLine> {
        let mut text = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        self.number(name, &mut text)?;
        let split = text.split(',').filter(|number| !number.is_empty());
        *numbers = split.map(|number| number.parse().ok()).collect::<Option<_>>().ok_or_else(|| self.invalid(name))?;
        Ok(())
    }

    pub(crate) fn flag(&mut self, name: &str, flag: &mut bool) -> Result<(), InvalidLine> {
        self.word(name, flag, &[(true, "yes"), (false, "no")])
    }

    pub(crate) fn time(&mut self, name: &str, time: &mut Duration) -> Result<(), InvalidLine> {
        let mut some = Some(*time);
        self.optional_time(name, &mut some)?;
        *time = some.ok_or_else(|| self.invalid(name))?;
        Ok(())
    }

    pub(crate) fn optional_time(&mut self, name: &str, time: &mut Option<Duration>) -> Result<(), InvalidLine> {
        let name = format!("{}{name}", self.prefix);
        match &mut self.side {
            Side::Write(line) => drop(line.time(&name, *time)),
            Side::Read(inputs) => *time = inputs.optional_time(&name)?,
        }
        Ok(())
    }

    /// A point in time, in nanoseconds.
    pub(crate) fn at(&mut self, name: &str, at: &mut Timestamp) -> Result<(), InvalidLine> {
        let mut number = at.as_unix_nanos();
        self.number(name, &mut number)?;
        *at = Timestamp::from_unix_nanos(number);
        Ok(())
    }

    /// One of a few values that have words.
    pub(crate) fn word<W: Copy + PartialEq>(
        &mut self,
        name: &str,
        value: &mut W,
        words: &[(W, &str)],
    ) -> Result<(), InvalidLine> {
        let known = words.iter().find(|(known, _)| known == value);
        let mut word = known.map_or_else(String::new, |(_, word)| (*word).to_owned());
        self.number(name, &mut word)?;
        let found = words.iter().find(|(_, known)| *known == word);
        *value = found.map(|(value, _)| *value).ok_or_else(|| self.invalid(name))?;
        Ok(())
    }

    pub(crate) fn invalid(&self, name: &str) -> InvalidLine {
        InvalidLine::of(&format!("{}{name}", self.prefix))
    }
}
