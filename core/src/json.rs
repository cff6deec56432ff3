//! What is needed to write JSON, where a serialiser would be larger than what it writes.

use alloc::string::String;
use core::fmt::Write;

/// Appends a JSON string (RFC 8259 §7): quote, backslash and control characters are escaped.
///
/// ```
/// let mut json = String::from("{\"name\":");
/// seawall_core::json::append_string(&mut json, "a \"b\"");
/// assert_eq!(json + "}", r#"{"name":"a \"b\""}"#);
/// ```
pub fn append_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..='\u{1f}' => {
                // Writing a number to a String does not fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_reserves_is_escaped() {
        for (detail, json) in [
            ("", r#""""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("a\nb\rc\td", r#""a\nb\rc\td""#),
            ("\0\u{8}\u{1f}\u{7f}", "\"\\u0000\\u0008\\u001f\u{7f}\""),
            ("</script> \u{e9}\u{1f30a}", "\"</script> \u{e9}\u{1f30a}\""),
        ] {
            let mut seen = String::new();
            append_string(&mut seen, detail);
            assert_eq!(seen, json);
        }
    }
}
