//! A titled list of short lines, as several pages have them.

use askama::Template;

use super::text::clip;

/// Characters of a line's head, and of its text.
const HEAD_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 200;

/// A titled list.
#[derive(Template)]
#[template(path = "section.html")]
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    intro: &'static str,
    lines: Vec<Line>,
    /// Names and values, rather than lines.
    facts: bool,
    /// Lines that are not shown, and where they are.
    left: usize,
    rest: String,
}

/// One line of it.
#[derive(Default)]
pub(super) struct Line {
    head: String,
    href: String,
    chip: String,
    alarm: bool,
    text: String,
}

impl Section {
    /// A section, unless it has no lines.
    pub(super) fn of(
        id: &'static str,
        title: &'static str,
        intro: &'static str,
        lines: impl IntoIterator<Item = Line>,
    ) -> Option<Self> {
        let lines: Vec<_> = lines.into_iter().collect();
        (!lines.is_empty()).then(|| Self { id, title, intro, lines, facts: false, left: 0, rest: String::new() })
    }

    /// The same as a list of names and values.
    pub(super) fn into_facts(self) -> Self {
        Self { facts: true, ..self }
    }

    /// The same with so many lines at most; `rest` is where all of them are. Names and values stay.
    pub(super) fn up_to(mut self, lines_max: usize, rest: &str) -> Self {
        if self.facts {
            return self;
        }
        self.left = self.lines.len().saturating_sub(lines_max);
        self.lines.truncate(lines_max);
        rest.clone_into(&mut self.rest);
        self
    }

    /// What links within the page need: the identifier and the title.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        (self.id, self.title)
    }
}

impl Line {
    /// A line with a head; both are cut.
    pub(super) fn new(head: &str, text: &str) -> Self {
        Self { head: clip(head, HEAD_CHARS_MAX), text: clip(text, TEXT_CHARS_MAX), ..Self::default() }
    }

    /// The same, leading somewhere.
    pub(super) fn to(self, href: impl Into<String>) -> Self {
        Self { href: href.into(), ..self }
    }

    /// The same with a word at its end.
    pub(super) fn chip(self, word: &str, alarm: bool) -> Self {
        Self { chip: clip(word, HEAD_CHARS_MAX), alarm, ..self }
    }
}
