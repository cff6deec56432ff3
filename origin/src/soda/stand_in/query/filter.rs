//! `$where`: comparisons and `IN`, joined by `AND` and `OR`, with parentheses.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::{Problem, column};
use crate::soda::stand_in::table::{Row, Table};

/// What a row has to be.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    /// One comparison of a field.
    Field(Comparison),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// One comparison of a field.
#[derive(Debug, PartialEq)]
pub(super) struct Comparison {
    field: String,
    test: Test,
}

#[derive(Debug, PartialEq)]
enum Test {
    Compare(Operator, Literal),
    IsNull,
    IsNotNull,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, PartialEq)]
enum Literal {
    /// Compared letter by letter, which orders dates too.
    Text(String),
    Number(f64),
}

impl Condition {
    pub(super) fn equal(field: String, value: &str) -> Self {
        Self::Field(Comparison { field, test: Test::Compare(Operator::Equal, Literal::Text(value.to_owned())) })
    }

    pub(super) fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Field(comparison) => comparison.holds(row),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(row)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(row)),
        }
    }
}

impl Comparison {
    /// As in SQL, a comparison with an absent value does not hold.
    fn holds(&self, row: &Row) -> bool {
        // Most rows fail an equality, and most of those show it without being parsed.
        if let Test::Compare(Operator::Equal, Literal::Text(text)) = &self.test
            && plain(text)
            && !self.field.starts_with(':')
            && !row.json.contains(text)
        {
            return false;
        }
        if let (Test::Compare(operator, literal), Some(text)) = (&self.test, row.system(&self.field)) {
            return literal.compare(&Value::from(text)).is_some_and(|ordering| operator.fits(ordering));
        }
        let fields = row.fields();
        let value = fields.get(&self.field);
        match (&self.test, value) {
            (Test::IsNull, value) => value.is_none(),
            (Test::IsNotNull, value) => value.is_some(),
            (Test::Compare(..), None) => false,
            (Test::Compare(operator, literal), Some(value)) => {
                literal.compare(value).is_some_and(|ordering| operator.fits(ordering))
            }
        }
    }
}

impl Operator {
    const fn fits(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Literal {
    /// How the row's value stands to this one; `None` when they cannot be compared.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Text(literal), Value::String(value)) => Some(value.as_str().cmp(literal)),
            (Self::Text(literal), Value::Bool(value)) => Some(value.to_string().as_str().cmp(literal)),
            (Self::Number(literal), Value::String(value)) => value.parse::<f64>().ok()?.partial_cmp(literal),
            _ => None,
        }
    }
}

/// Whether JSON writes the text as it is.
fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' && byte != b'/')
}

/// The order of two values of one field: by number where both are numbers, otherwise by text.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    let (a, b) = (a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default());
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

/// Parentheses within parentheses: a query of ours has two.
const DEPTH_MAX: usize = 8;

pub(super) fn parse(text: &str, table: &Table) -> Result<Condition, Problem> {
    let mut words = Words { text, chars: text.chars().peekable() };
    let (condition, end) = any(&mut words, table, DEPTH_MAX)?;
    if end.is_some() { Err(words.expected("AND, OR or the end")) } else { Ok(condition) }
}

/// Conditions joined by `OR`, and the word after them.
fn any(words: &mut Words<'_>, table: &Table, depth: usize) -> Result<(Condition, Option<Word>), Problem> {
    let mut conditions = Vec::new();
    loop {
        let (condition, after) = all(words, table, depth)?;
        conditions.push(condition);
        match after {
            Some(word) if word.is("OR") => {}
            after => return Ok((Condition::Any(conditions), after)),
        }
    }
}

/// Conditions joined by `AND`, and the word after them.
fn all(words: &mut Words<'_>, table: &Table, depth: usize) -> Result<(Condition, Option<Word>), Problem> {
    let mut conditions = Vec::new();
    loop {
        conditions.push(one(words, table, depth)?);
        match words.next()? {
            Some(word) if word.is("AND") => {}
            after => return Ok((Condition::All(conditions), after)),
        }
    }
}

fn one(words: &mut Words<'_>, table: &Table, depth: usize) -> Result<Condition, Problem> {
    let name = match words.next()? {
        Some(Word::Open) if depth > 0 => {
            return match any(words, table, depth - 1)? {
                (condition, Some(Word::Close)) => Ok(condition),
                _ => Err(words.expected("a closing parenthesis")),
            };
        }
        Some(Word::Name(name)) => name,
        _ => return Err(words.expected("a field")),
    };
    let after = words.next()?;
    if after.as_ref().is_some_and(|word| word.is("IN")) {
        return one_of(words, &column(&name, table)?);
    }
    let test = match after {
        Some(Word::Operator(operator)) => match words.next()? {
            Some(Word::Text(value)) => Test::Compare(operator, Literal::Text(value)),
            Some(Word::Number(value)) => Test::Compare(operator, Literal::Number(value)),
            _ => return Err(words.expected("a text in single quotes or a number")),
        },
        Some(word) if word.is("IS") => match words.next()? {
            Some(word) if word.is("NULL") => Test::IsNull,
            Some(word) if word.is("NOT") && words.next()?.is_some_and(|word| word.is("NULL")) => Test::IsNotNull,
            _ => return Err(words.expected("NULL or NOT NULL")),
        },
        _ => return Err(words.expected("a comparison")),
    };
    Ok(Condition::Field(Comparison { field: column(&name, table)?, test }))
}

/// The rest of `field IN ('a', 'b')`.
fn one_of(words: &mut Words<'_>, field: &str) -> Result<Condition, Problem> {
    let mut values = Vec::new();
    let mut separator = words.next()?;
    let begins = |word: &Option<Word>, first: bool| match word {
        Some(Word::Open) => first,
        Some(Word::Comma) => !first,
        _ => false,
    };
    while begins(&separator, values.is_empty()) {
        let Some(Word::Text(value)) = words.next()? else { return Err(words.expected("a text in single quotes")) };
        values.push(Condition::equal(field.to_owned(), &value));
        separator = words.next()?;
    }
    match separator {
        Some(Word::Close) if !values.is_empty() => Ok(Condition::Any(values)),
        _ => Err(words.expected("texts in parentheses")),
    }
}

enum Word {
    Name(String),
    Text(String),
    Number(f64),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(keyword))
    }
}

struct Words<'a> {
    text: &'a str,
    chars: Peekable<Chars<'a>>,
}

impl Words<'_> {
    fn expected(&self, what: &str) -> Problem {
        Problem::malformed(self.text, what)
    }

    fn next(&mut self) -> Result<Option<Word>, Problem> {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = self.chars.next() else { return Ok(None) };
        let word = match first {
            '(' => Word::Open,
            ')' => Word::Close,
            ',' => Word::Comma,
            '\'' => Word::Text(self.quoted()?),
            '`' => {
                let name = self.run(String::new(), |c| c != '`');
                self.chars.next().ok_or_else(|| self.expected("a closing `"))?;
                Word::Name(name)
            }
            '0'..='9' | '-' | '+' | '.' => {
                let digits = self.run(first.to_string(), |c| c.is_ascii_alphanumeric() || c == '.');
                Word::Number(digits.parse().map_err(|_| self.expected("a number"))?)
            }
            '=' | '!' | '<' | '>' => {
                let second = self.chars.next_if(|c| matches!(c, '=' | '>'));
                Word::Operator(match (first, second) {
                    ('=', None) => Operator::Equal,
                    ('!', Some('=')) | ('<', Some('>')) => Operator::NotEqual,
                    ('<', None) => Operator::Less,
                    ('<', Some('=')) => Operator::LessOrEqual,
                    ('>', None) => Operator::Greater,
                    ('>', Some('=')) => Operator::GreaterOrEqual,
                    _ => return Err(self.expected("an operator")),
                })
            }
            c if c.is_ascii_alphabetic() || matches!(c, '_' | ':') => {
                Word::Name(self.run(c.to_string(), |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@')))
            }
            _ => return Err(self.expected("a field, a comparison or AND")),
        };
        Ok(Some(word))
    }

    fn run(&mut self, mut word: String, belongs: impl Fn(char) -> bool) -> String {
        while let Some(c) = self.chars.next_if(|c| belongs(*c)) {
            word.push(c);
        }
        word
    }

    /// The rest of a quoted text, in which two quotes stand for one.
    fn quoted(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        loop {
            match self.chars.next() {
                None => return Err(self.expected("a closing quote")),
                Some('\'') if self.chars.next_if_eq(&'\'').is_none() => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }
}
