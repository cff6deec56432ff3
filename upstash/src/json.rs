//! As much JSON as travels here: lists of texts out, answers in. A parser for all of JSON would be a tenth of the
//! Worker.

use alloc::{string::String, vec::Vec};

use crate::{DEPTH_MAX, Error, Value};

/// A JSON value, without what Upstash never sends: numbers with a part, booleans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Integer(i64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// The `result` or `error` of an answer.
    pub(crate) fn into_result(self) -> Result<Value, Error> {
        let Self::Object(fields) = self else { return Err(Error::Malformed) };
        for (name, value) in fields {
            match (&*name, value) {
                ("result", value) => return value.into_value().ok_or(Error::Malformed),
                ("error", Self::Text(words)) => return Err(Error::Redis(words)),
                _ => {}
            }
        }
        Err(Error::Malformed)
    }

    fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Nil,
            Self::Integer(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(text),
            Self::List(values) => Value::List(values.into_iter().map(Self::into_value).collect::<Option<_>>()?),
            Self::Object(_) => return None,
        })
    }
}

/// Appends a list of texts.
pub(crate) fn append_list<'a>(json: &mut String, words: impl Iterator<Item = &'a str>) {
    json.push('[');
    for (at, word) in words.enumerate() {
        if at > 0 {
            json.push(',');
        }
        append_text(json, word);
    }
    json.push(']');
}

fn append_text(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            // RFC 8259 §7: control characters must be escaped.
            '\u{0}'..='\u{1f}' => {
                json.push_str("\\u00");
                let code = letter as u32;
                // Below 32, so both digits are hexadecimal digits.
                json.extend([code >> 4, code & 15].iter().filter_map(|digit| char::from_digit(*digit, 16)));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
}

/// Reads one value and nothing after it; `None` when that is not what is there.
pub(crate) fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader { rest: text };
    let json = reader.value(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(json)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.take("null") {
            Some(Json::Null)
        } else if self.take("[") {
            self.list(depth).map(Json::List)
        } else if self.take("{") {
            self.object(depth).map(Json::Object)
        } else if self.take("\"") {
            self.text().map(Json::Text)
        } else {
            let end = self.rest.find(|letter: char| !matches!(letter, '0'..='9' | '-')).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            self.rest = rest;
            digits.parse().ok().map(Json::Integer)
        }
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Json>> {
        let mut values = Vec::new();
        if self.take("]") {
            return Some(values);
        }
        loop {
            values.push(self.value(depth + 1)?);
            if self.take("]") {
                return Some(values);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Vec<(String, Json)>> {
        let mut fields = Vec::new();
        if self.take("}") {
            return Some(fields);
        }
        loop {
            if !self.take("\"") {
                return None;
            }
            let name = self.text()?;
            if !self.take(":") {
                return None;
            }
            fields.push((name, self.value(depth + 1)?));
            if self.take("}") {
                return Some(fields);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    /// The rest of a text, after its first quotation mark.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let end = self.rest.find(['"', '\\'])?;
            let (plain, rest) = self.rest.split_at(end);
            text.push_str(plain);
            if let Some(rest) = rest.strip_prefix('"') {
                self.rest = rest;
                return Some(text);
            }
            // A backslash and what it stands for.
            let mut letters = rest.chars();
            let escaped = (letters.next(), letters.next()?);
            self.rest = letters.as_str();
            text.push(match escaped.1 {
                letter @ ('"' | '\\' | '/') => letter,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.code_point()?,
                _ => return None,
            });
        }
    }

    /// The character of `\uXXXX`, or of two of them: JSON has the code units of UTF-16.
    fn code_point(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let second = self.code_unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
    }

    fn code_unit(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}
