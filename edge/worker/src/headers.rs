//! Header fields on this side of the border with JavaScript.
//!
//! Each call across it costs about as much as looking through a dozen fields, and a request looks for many. So the
//! fields come over in one call, are read and changed here, and go back in one.

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
    vec::Vec,
};

use seawall_core::headers::Fields;
use seawall_edge::message::Headers;

use crate::glue;

/// Header fields in the order in which they came, their names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderList(Vec<(String, String)>);

impl HeaderList {
    /// All fields of a request or response.
    pub(crate) fn read(headers: &web_sys::Headers) -> Self {
        Self::parse(&glue::fields(headers))
    }

    /// What [`glue::fields`] wrote: a line for each name, and one for its value. Neither can hold a line break.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.split('\n');
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            fields.push((name.to_owned(), value.to_owned()));
        }
        Self(fields)
    }

    /// The fields as JavaScript has them. A value that it refuses (a line break in it, say) is left out: no field is
    /// better than a forged one.
    pub(crate) fn to_js(&self) -> web_sys::Headers {
        glue::headers(&self.to_text())
    }

    /// The fields as the functions of [`glue`] take them.
    pub(crate) fn to_text(&self) -> String {
        let sane = |text: &str| !text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let fields = self.0.iter().filter(|(name, value)| sane(name) && sane(value));
        let mut text = String::with_capacity(self.0.iter().map(|(name, value)| name.len() + value.len() + 2).sum());
        for (name, value) in fields {
            for line in [name, value] {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let value = self.field(name).map(Cow::into_owned)?;
        self.remove(name);
        Some(value)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| known == name)
    }
}

impl Fields for HeaderList {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next()?;
        match values.next() {
            None => Some(Cow::Borrowed(first)),
            // RFC 9110 §5.3: the lines of one field are one list.
            Some(second) => {
                let all = [first, second].into_iter().chain(values);
                Some(Cow::Owned(all.collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

impl Headers for HeaderList {
    fn set(&mut self, name: &str, value: &str) {
        match self.place(name) {
            None => self.append(name, value),
            Some(place) => {
                value.clone_into(&mut self.0[place].1);
                let mut at = 0;
                self.0.retain(|(known, _)| {
                    at += 1;
                    at <= place + 1 || known != name
                });
            }
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        if self.place(name).is_some() {
            self.0.retain(|(known, _)| known != name);
        }
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}
