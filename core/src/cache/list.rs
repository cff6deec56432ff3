//! Lists separated by commas, as fields carry them (RFC 9110 §5.6.1). What separates is ASCII, which is part of no other
//! character, so a list is read byte by byte, text or not.

/// The members of a list, trimmed, empty ones left out. A comma inside a quoted string does not separate.
pub(super) fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = First::of(rest.as_bytes()).end;
            let member = trim(&rest[..end]);
            // Behind the comma, where there is one.
            rest = rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

/// Name and argument of each directive, in one pass over the value. A space beside the `=` is not in the grammar; the
/// argument is then read as it stands, and a lifetime so written is no number.
pub(super) struct EachDirective<'a> {
    rest: &'a [u8],
    /// Whether what was read last ended before its quoted string did.
    pub(super) ended_inside_quotes: bool,
}

impl<'a> EachDirective<'a> {
    pub(super) const fn of(value: &'a [u8]) -> Self {
        Self { rest: value, ended_inside_quotes: false }
    }
}

impl<'a> Iterator for EachDirective<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let before = self.rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        self.rest = &self.rest[before..];
        // Nearly every directive is a name, or a name and a number.
        let (name, behind) = self.rest.split_at(plain(self.rest));
        let (argument, behind) = match behind {
            [b'=', argument @ ..] => {
                let (argument, behind) = argument.split_at(plain(argument));
                (Some(argument), behind)
            }
            _ => (None, behind),
        };
        match behind {
            [] => self.rest = behind,
            [b',', rest @ ..] => self.rest = rest,
            _ => return Some(self.any()),
        }
        Some((name, argument))
    }
}

impl<'a> EachDirective<'a> {
    /// The next directive, with spaces and quotes wherever they are.
    #[cold]
    fn any(&mut self) -> (&'a [u8], Option<&'a [u8]>) {
        let (rest, first) = (self.rest, First::of(self.rest));
        // Behind the comma, where there is one.
        self.rest = rest.get(first.end + 1..).unwrap_or_default();
        self.ended_inside_quotes = first.ended_inside_quotes;
        let Some(equals) = first.equals else { return (without(&rest[..first.end], is_space), None) };
        let (name, argument) = (&rest[..equals], without_behind(&rest[equals + 1..first.end], is_space));
        let is_spaced = name.last().is_some_and(|byte| is_space(*byte));
        (without(name, is_space), Some(if is_spaced { b"" } else { argument }))
    }
}

/// How many bytes there are before one that means something in a list.
#[inline]
fn plain(list: &[u8]) -> usize {
    let mut length = 0;
    while list.get(length).is_some_and(|byte| PLAIN[usize::from(*byte)]) {
        length += 1;
    }
    length
}

/// For each byte, whether it is part of a name or a number and nothing else.
static PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let others = b",=\"\\ \t";
    let mut at = 0;
    while at < others.len() {
        plain[others[at] as usize] = false;
        at += 1;
    }
    plain
};

/// Where the first member of a list ends, and what was seen on the way there.
struct First {
    /// The place of the comma behind it, or the length of the list.
    end: usize,
    /// The place of the first `=` in it.
    equals: Option<usize>,
    ended_inside_quotes: bool,
}

impl First {
    fn of(list: &[u8]) -> Self {
        let (mut equals, mut quoted, mut escaped) = (None, false, false);
        for (at, byte) in list.iter().enumerate() {
            // Letters first: they say nothing.
            if *byte > b'=' && *byte != b'\\' || escaped {
                escaped = false;
                continue;
            }
            match byte {
                b',' if !quoted => return Self { end: at, equals, ended_inside_quotes: false },
                b'"' => quoted = !quoted,
                b'\\' => escaped = quoted,
                b'=' if equals.is_none() => equals = Some(at),
                _ => {}
            }
        }
        Self { end: list.len(), equals, ended_inside_quotes: quoted }
    }
}

/// A text without the spaces and tabs around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// What is left without such bytes before and behind it.
pub(super) fn without(bytes: &[u8], is_taken: impl Fn(u8) -> bool) -> &[u8] {
    let mut rest = bytes;
    while let [first, inner @ ..] = rest
        && is_taken(*first)
    {
        rest = inner;
    }
    without_behind(rest, is_taken)
}

fn without_behind(bytes: &[u8], is_taken: impl Fn(u8) -> bool) -> &[u8] {
    let mut rest = bytes;
    while let [inner @ .., last] = rest
        && is_taken(*last)
    {
        rest = inner;
    }
    rest
}

/// Whether a byte is one of those that may stand around a member.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
