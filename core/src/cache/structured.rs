//! Structured fields (RFC 9651), as far as caching fields use them: read from the text, without allocating.
//!
//! A field that breaks the grammar anywhere is as if it were absent (RFC 9651 §4.2), so callers gather what they
//! see and throw it away when the end is an error.

use alloc::string::String;

/// The text is not a structured field of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidStructure;

/// A value without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare<'a> {
    /// An Integer.
    Integer(i64),
    /// A Decimal, as it was written.
    Decimal(&'a str),
    /// A String.
    String(Text<'a>),
    /// A Token.
    Token(&'a str),
    /// A Byte Sequence: the base64 between the colons.
    Bytes(&'a str),
    /// A Boolean.
    Boolean(bool),
    /// A Date, in seconds.
    Date(i64),
    /// A Display String, as it was written between the quotes.
    Display(&'a str),
}

/// The inside of a String, its escapes still in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a>(&'a str);

/// A member of a List or a Dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// What it says.
    pub value: Value<'a>,
    /// What it says beside that.
    pub parameters: Parameters<'a>,
}

/// One value, or a list in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// One value.
    Item(Bare<'a>),
    /// A list in parentheses.
    Inner(InnerList<'a>),
}

/// The inside of a list in parentheses; known to be well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerList<'a>(&'a str);

/// Parameters from the first `;` to the last; known to be well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a>(&'a str);

impl<'a> Text<'a> {
    /// The bytes it means.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let mut escaped = false;
        self.0.bytes().filter(move |byte| {
            escaped = *byte == b'\\' && !escaped;
            !escaped
        })
    }

    /// The text it means.
    #[must_use]
    pub fn to_text(self) -> String {
        self.bytes().map(char::from).collect()
    }

    /// The text between the quotes, when it holds no escape.
    #[must_use]
    pub fn plain(self) -> Option<&'a str> {
        (!self.0.contains('\\')).then_some(self.0)
    }
}

impl<'a> InnerList<'a> {
    /// Its items, without their parameters.
    pub fn items(self) -> impl Iterator<Item = Bare<'a>> {
        let mut cursor = Cursor(self.0);
        core::iter::from_fn(move || {
            cursor.skip(b" ");
            let bare = cursor.bare().ok()?;
            cursor.parameters().ok()?;
            Some(bare)
        })
    }
}

impl<'a> Parameters<'a> {
    /// The value of the parameter `name`; of several the last counts.
    #[must_use]
    pub fn value(self, name: &str) -> Option<Bare<'a>> {
        let mut cursor = Cursor(self.0);
        let mut found = None;
        while let Ok(Some((key, value))) = cursor.parameter() {
            if key == name {
                found = Some(value);
            }
        }
        found
    }
}

/// Reads a Dictionary. `visit` sees each member in order, a repeated key again: the last one counts.
///
/// # Errors
/// When the text is not a Dictionary; what `visit` saw until then counts for nothing.
pub fn dictionary<'a>(text: &'a str, mut visit: impl FnMut(&'a str, Member<'a>)) -> Result<(), InvalidStructure> {
    members(text, |cursor| {
        let key = cursor.key()?;
        let member = if cursor.take(b'=') {
            cursor.member()?
        } else {
            Member { value: Value::Item(Bare::Boolean(true)), parameters: cursor.parameters()? }
        };
        visit(key, member);
        Ok(())
    })
}

/// Reads a List. `visit` sees each member in order.
///
/// # Errors
/// When the text is not a List; what `visit` saw until then counts for nothing.
pub fn list<'a>(text: &'a str, mut visit: impl FnMut(Member<'a>)) -> Result<(), InvalidStructure> {
    members(text, |cursor| {
        visit(cursor.member()?);
        Ok(())
    })
}

fn members<'a>(
    text: &'a str,
    mut member: impl FnMut(&mut Cursor<'a>) -> Result<(), InvalidStructure>,
) -> Result<(), InvalidStructure> {
    let mut cursor = Cursor(text);
    cursor.skip(b" ");
    if cursor.0.is_empty() {
        return Ok(());
    }
    loop {
        member(&mut cursor)?;
        cursor.skip(b" \t");
        if cursor.0.is_empty() {
            return Ok(());
        }
        cursor.expect(b',')?;
        cursor.skip(b" \t");
        if cursor.0.is_empty() {
            // A comma with nothing behind it.
            return Err(InvalidStructure);
        }
    }
}

/// What is left to read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.as_bytes().first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), InvalidStructure> {
        if self.take(byte) { Ok(()) } else { Err(InvalidStructure) }
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.0 = self.0.trim_start_matches(|character| u8::try_from(character).is_ok_and(|byte| bytes.contains(&byte)));
    }

    /// The longest run of ASCII bytes that fit.
    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|byte| !byte.is_ascii() || !fits(byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Result<&'a str, InvalidStructure> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*') {
            return Err(InvalidStructure);
        }
        Ok(self.run(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    fn member(&mut self) -> Result<Member<'a>, InvalidStructure> {
        let value =
            if self.peek() == Some(b'(') { Value::Inner(self.inner_list()?) } else { Value::Item(self.bare()?) };
        Ok(Member { value, parameters: self.parameters()? })
    }

    fn inner_list(&mut self) -> Result<InnerList<'a>, InvalidStructure> {
        self.expect(b'(')?;
        let start = self.0;
        loop {
            self.skip(b" ");
            let inside = &start[..start.len() - self.0.len()];
            if self.take(b')') {
                return Ok(InnerList(inside));
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(InvalidStructure);
            }
        }
    }

    fn parameters(&mut self) -> Result<Parameters<'a>, InvalidStructure> {
        let start = self.0;
        while self.parameter()?.is_some() {}
        Ok(Parameters(&start[..start.len() - self.0.len()]))
    }

    fn parameter(&mut self) -> Result<Option<(&'a str, Bare<'a>)>, InvalidStructure> {
        if !self.take(b';') {
            return Ok(None);
        }
        self.skip(b" ");
        let key = self.key()?;
        let value = if self.take(b'=') { self.bare()? } else { Bare::Boolean(true) };
        Ok(Some((key, value)))
    }

    fn bare(&mut self) -> Result<Bare<'a>, InvalidStructure> {
        match self.peek().ok_or(InvalidStructure)? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b':' => {
                self.expect(b':')?;
                let base64 = self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
                self.expect(b':')?;
                Ok(Bare::Bytes(base64))
            }
            b'?' => {
                self.expect(b'?')?;
                match self.run(|byte| byte.is_ascii_digit()) {
                    "0" => Ok(Bare::Boolean(false)),
                    "1" => Ok(Bare::Boolean(true)),
                    _ => Err(InvalidStructure),
                }
            }
            b'@' => {
                self.expect(b'@')?;
                match self.number()? {
                    Bare::Integer(seconds) => Ok(Bare::Date(seconds)),
                    _ => Err(InvalidStructure),
                }
            }
            b'%' => self.display(),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                Ok(Bare::Token(self.run(|byte| byte.is_ascii_alphanumeric() || TOKEN_PUNCTUATION.contains(&byte))))
            }
            _ => Err(InvalidStructure),
        }
    }

    fn number(&mut self) -> Result<Bare<'a>, InvalidStructure> {
        let start = self.0;
        let negative = self.take(b'-');
        let whole = self.run(|byte| byte.is_ascii_digit());
        if whole.is_empty() {
            return Err(InvalidStructure);
        }
        if self.take(b'.') {
            let fraction = self.run(|byte| byte.is_ascii_digit());
            let fits = whole.len() <= 12 && (1..=3).contains(&fraction.len());
            let written = &start[..start.len() - self.0.len()];
            return if fits { Ok(Bare::Decimal(written)) } else { Err(InvalidStructure) };
        }
        if whole.len() > 15 {
            return Err(InvalidStructure);
        }
        let number: i64 = whole.parse().map_err(|_| InvalidStructure)?;
        Ok(Bare::Integer(if negative { -number } else { number }))
    }

    fn string(&mut self) -> Result<Bare<'a>, InvalidStructure> {
        self.expect(b'"')?;
        let start = self.0;
        loop {
            self.run(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\');
            let inside = &start[..start.len() - self.0.len()];
            if self.take(b'"') {
                return Ok(Bare::String(Text(inside)));
            }
            self.expect(b'\\')?;
            if !self.take(b'"') {
                self.expect(b'\\')?;
            }
        }
    }

    /// Reads a Display String's form; that its bytes are UTF-8 is left unchecked, as no field here shows one.
    fn display(&mut self) -> Result<Bare<'a>, InvalidStructure> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        let start = self.0;
        loop {
            self.run(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'%');
            let inside = &start[..start.len() - self.0.len()];
            if self.take(b'"') {
                return Ok(Bare::Display(inside));
            }
            self.expect(b'%')?;
            for _ in 0..2 {
                match self.peek() {
                    Some(b'0'..=b'9' | b'a'..=b'f') => self.0 = &self.0[1..],
                    _ => return Err(InvalidStructure),
                }
            }
        }
    }
}

/// What else a Token may hold: `tchar` of RFC 9110 §5.6.2, and `:` and `/`.
const TOKEN_PUNCTUATION: &[u8] = b"!#$%&'*+-.^_`|~:/";

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec, vec::Vec};

    use super::*;

    fn keys(text: &str) -> Result<Vec<(String, Value<'_>)>, InvalidStructure> {
        let mut seen = Vec::new();
        dictionary(text, |key, member| seen.push((key.to_string(), member.value))).map(|()| seen)
    }

    #[test]
    fn a_dictionary_is_read_whole_or_not_at_all() {
        let item = Value::Item;
        for (text, expect) in [
            ("", Ok(vec![])),
            ("a", Ok(vec![("a".to_string(), item(Bare::Boolean(true)))])),
            ("a=?0", Ok(vec![("a".to_string(), item(Bare::Boolean(false)))])),
            (
                " a=1 ,\tb=-2",
                Ok(vec![("a".to_string(), item(Bare::Integer(1))), ("b".to_string(), item(Bare::Integer(-2)))]),
            ),
            ("a=\"x\\\"y\"", Ok(vec![("a".to_string(), item(Bare::String(Text("x\\\"y"))))])),
            ("a=tok/en:1;p=1", Ok(vec![("a".to_string(), item(Bare::Token("tok/en:1")))])),
            ("a=1.5", Ok(vec![("a".to_string(), item(Bare::Decimal("1.5")))])),
            ("a=:aGk=:", Ok(vec![("a".to_string(), item(Bare::Bytes("aGk=")))])),
            ("a=@12", Ok(vec![("a".to_string(), item(Bare::Date(12)))])),
            ("a=%\"f%c3%bc\"", Ok(vec![("a".to_string(), item(Bare::Display("f%c3%bc")))])),
            ("a, &&&&&", Err(InvalidStructure)),
            ("a,", Err(InvalidStructure)),
            ("A=1", Err(InvalidStructure)),
            ("a =1", Err(InvalidStructure)),
            ("a= 1", Err(InvalidStructure)),
            ("a=1.", Err(InvalidStructure)),
            ("a=1.2345", Err(InvalidStructure)),
            ("a=1234567890123456", Err(InvalidStructure)),
            ("a=\"x", Err(InvalidStructure)),
            ("a=\"\\x\"", Err(InvalidStructure)),
            ("a=\"é\"", Err(InvalidStructure)),
            ("a=?2", Err(InvalidStructure)),
            ("a=(1 2", Err(InvalidStructure)),
            ("a=(1,2)", Err(InvalidStructure)),
            ("a=%\"%C3\"", Err(InvalidStructure)),
            ("a b", Err(InvalidStructure)),
        ] {
            assert_eq!(keys(text), expect, "{text}");
        }
    }

    #[test]
    fn lists_and_parameters_show_their_parts() {
        let mut seen = Vec::new();
        list("\"a\\\\b\";x;y=2, (\"c\" d;q=1  3);z=\"e\"", |member| seen.push(member)).unwrap();
        let Value::Item(Bare::String(text)) = seen[0].value else { panic!("a string") };
        assert_eq!((text.to_text().as_str(), text.plain()), ("a\\b", None));
        assert_eq!(seen[0].parameters.value("x"), Some(Bare::Boolean(true)));
        assert_eq!(seen[0].parameters.value("y"), Some(Bare::Integer(2)));
        assert_eq!(seen[0].parameters.value("z"), None);
        let Value::Inner(inner) = seen[1].value else { panic!("an inner list") };
        let items: Vec<Bare<'_>> = inner.items().collect();
        assert_eq!(items, [Bare::String(Text("c")), Bare::Token("d"), Bare::Integer(3)]);
        assert_eq!(seen[1].parameters.value("z"), Some(Bare::String(Text("e"))));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~\té]{0,40}") {
            let _ = list(&text, |member| if let Value::Inner(inner) = member.value { inner.items().for_each(drop) });
            let _ = dictionary(&text, |_, member| assert_eq!(member.parameters.value("-"), None));
        }
    }
}
