//! What an operator wants purged: a flat JSON object (RFC 8259) of texts, lists of texts and booleans.
//!
//! A reader of our own: it knows this one shape, and a general one is larger than all of it.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// A value of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Boolean(bool),
    Text(String),
    Texts(Vec<String>),
}

/// Reads the members of an object, in their order.
///
/// # Errors
/// With what was expected, and at which byte.
pub(super) fn read(json: &str) -> Result<Vec<(String, Value)>, String> {
    let mut reader = Reader { rest: json, whole: json.len() };
    let mut members: Vec<(String, Value)> = Vec::new();
    reader.take('{')?;
    if !reader.takes('}') {
        loop {
            let name = reader.text()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(reader.expected("each member once"));
            }
            reader.take(':')?;
            members.push((name, reader.value()?));
            if !reader.takes(',') {
                break;
            }
        }
        reader.take('}')?;
    }
    reader.skip_space();
    if reader.rest.is_empty() { Ok(members) } else { Err(reader.expected("nothing more")) }
}

struct Reader<'a> {
    rest: &'a str,
    whole: usize,
}

impl Reader<'_> {
    fn expected(&self, what: &str) -> String {
        ["expected ", what, " at byte ", &(self.whole - self.rest.len()).to_string()].concat()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a character, if it is next.
    fn takes(&mut self, wanted: char) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(wanted);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn take(&mut self, wanted: char) -> Result<(), String> {
        if self.takes(wanted) { Ok(()) } else { Err(self.expected(&String::from(wanted))) }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_space();
        for (word, value) in [("true", true), ("false", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(Value::Boolean(value));
            }
        }
        if self.rest.starts_with('"') {
            return self.text().map(Value::Text);
        }
        if !self.takes('[') {
            return Err(self.expected("a text, a list of texts, true or false"));
        }
        let mut texts = Vec::new();
        if !self.takes(']') {
            loop {
                texts.push(self.text()?);
                if !self.takes(',') {
                    break;
                }
            }
            self.take(']')?;
        }
        Ok(Value::Texts(texts))
    }

    fn text(&mut self) -> Result<String, String> {
        self.take('"')?;
        let mut text = String::new();
        loop {
            let mut characters = self.rest.chars();
            let character = characters.next().ok_or_else(|| self.expected("the end of a text"))?;
            self.rest = characters.as_str();
            match character {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\u{1f}' => return Err(self.expected("no control character in a text")),
                character => text.push(character),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        Ok(match character {
            Some(plain @ ('"' | '\\' | '/')) => plain,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.unit()?;
                let code = match first {
                    0xd800..=0xdbff if self.rest.starts_with("\\u") => {
                        self.rest = &self.rest[2..];
                        let second = self.unit()?;
                        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                        low.map_or(first, |low| 0x1_0000 + ((first - 0xd800) << 10) + low)
                    }
                    first => first,
                };
                char::from_u32(code).ok_or_else(|| self.expected("the other half of a character"))?
            }
            _ => return Err(self.expected("an escape")),
        })
    }

    /// The four digits of an escape.
    fn unit(&mut self) -> Result<u32, String> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.rest = &self.rest[4..];
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_object_reads_back() {
        let texts = |texts: &[&str]| Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
        let name = |name: &str, value| (name.to_owned(), value);
        for (json, expect) in [
            ("{}", vec![]),
            (" { \"all\" : true } ", vec![name("all", Value::Boolean(true))]),
            (
                "{\"tags\":[\"a\",\"b\"],\"soft\":false}",
                vec![name("tags", texts(&["a", "b"])), name("soft", Value::Boolean(false))],
            ),
            ("{\"tags\":[]}", vec![name("tags", texts(&[]))]),
            ("{\"origin\":\"a\\\"\\\\\\/\\n\"}", vec![name("origin", Value::Text("a\"\\/\n".into()))]),
            ("{\"x\":\"\\u00e9\\ud83c\\udf0a\"}", vec![name("x", Value::Text("\u{e9}\u{1f30a}".into()))]),
        ] {
            assert_eq!(read(json).as_ref(), Ok(&expect), "{json}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        for (json, place) in [
            ("", "expected { at byte 0"),
            ("{", "expected \" at byte 1"),
            ("[]", "expected { at byte 0"),
            ("{\"a\":1}", "expected a text, a list of texts, true or false at byte 5"),
            ("{\"a\":null}", "expected a text, a list of texts, true or false at byte 5"),
            ("{\"a\":{\"b\":true}}", "expected a text, a list of texts, true or false at byte 5"),
            ("{\"a\":[[\"b\"]]}", "expected \" at byte 6"),
            ("{\"a\":true,}", "expected \" at byte 10"),
            ("{\"a\":true}x", "expected nothing more at byte 10"),
            ("{\"a\":true,\"a\":true}", "expected each member once at byte 13"),
            ("{\"a\":\"x", "expected the end of a text at byte 7"),
            ("{\"a\":\"\n\"}", "expected no control character in a text at byte 7"),
            ("{\"a\":\"\\x\"}", "expected an escape at byte 8"),
            ("{\"a\":\"\\u12\"}", "expected four hexadecimal digits at byte 8"),
            ("{\"a\":\"\\ud800\"}", "expected the other half of a character at byte 12"),
        ] {
            assert_eq!(read(json), Err(place.to_owned()), "{json}");
        }
    }
}
