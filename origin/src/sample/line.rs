//! One row as SODA writes it: every value is text, and what is absent is left out.

use std::fmt::{Display, Write as _};

/// A row in the making.
pub(super) struct Line(String);

impl Line {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A field with a value.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        let start = self.begin(name);
        let _ = write!(self.0, "{value}");
        // Values that need it are rare, and then serde_json knows how.
        if self.0[start + 1..].contains(|c: char| c == '"' || c == '\\' || c.is_control()) {
            let escaped = serde_json::Value::from(&self.0[start + 1..]).to_string();
            self.0.truncate(start);
            self.0.push_str(&escaped);
        } else {
            self.0.push('"');
        }
        self
    }

    /// A field that may be absent.
    pub(super) fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A GeoJSON point, in millionths of a degree.
    pub(super) fn point(mut self, name: &str, longitude: i32, latitude: i32) -> Self {
        self.begin(name);
        self.0.pop();
        let degrees = |millionths: i32| {
            let sign = if millionths < 0 { "-" } else { "" };
            let size = millionths.unsigned_abs();
            format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
        };
        let _ = write!(self.0, r#"{{"type":"Point","coordinates":[{},{}]}}"#, degrees(longitude), degrees(latitude));
        self
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Writes the name and an opening quote; returns where the quote is.
    fn begin(&mut self, name: &str) -> usize {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, r#""{name}":""#);
        self.0.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_of_text() {
        let line = Line::new().with("a", 1).maybe("b", None::<u32>).with("c", "two\n\"x\"").point(
            "d",
            -122_400_001,
            37_000_002,
        );
        let value: serde_json::Value = serde_json::from_str(&line.end()).unwrap();
        let point = serde_json::json!({"type": "Point", "coordinates": [-122.400001, 37.000002]});
        assert_eq!(value, serde_json::json!({"a": "1", "c": "two\n\"x\"", "d": point}));
        assert_eq!(Line::new().end(), "{}");
    }
}
