//! What must hold for every input of core's parsers, whoever sent it.
//!
//! Each [`Property`] takes any bytes and panics when something does not hold. `fuzz/` hands them to a coverage-guided
//! fuzzer; the test beside this file tries the kept inputs of `fuzz/corpus` and mutations of them, drawn from a seed.

mod answers;
mod bytes;
mod fields;
mod slow;
mod texts;

/// Something that holds for every input.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name: that of the fuzz target and of the folder of kept inputs.
    pub name: &'static str,
    /// Panics when it does not hold.
    pub check: fn(&[u8]),
}

/// All of them.
pub const PROPERTIES: [Property; 18] = [
    Property { name: "cache_control", check: fields::cache_control },
    Property { name: "http_date", check: fields::http_date },
    Property { name: "vary", check: fields::vary },
    Property { name: "conditionals", check: fields::conditionals },
    Property { name: "ranges", check: fields::ranges },
    Property { name: "structured", check: fields::structured },
    Property { name: "cache_status", check: fields::cache_status },
    Property { name: "no_vary_search", check: fields::no_vary_search },
    Property { name: "cache_groups", check: fields::cache_groups },
    Property { name: "query_keep", check: texts::query_keep },
    Property { name: "policy_toml", check: texts::policy_toml },
    Property { name: "policy_bytes", check: bytes::policy },
    Property { name: "lua_reply", check: texts::lua_reply },
    Property { name: "metadata_bytes", check: bytes::metadata },
    Property { name: "explain_line", check: answers::explain_line },
    Property { name: "rate_limit", check: answers::rate_limit },
    Property { name: "reference", check: answers::reference },
    Property { name: "accept", check: answers::accept },
];

/// Checks one input against the property `name`.
///
/// # Panics
/// When the property does not hold, or there is none of that name.
pub fn check(name: &str, input: &[u8]) {
    let property = PROPERTIES.iter().find(|property| property.name == name);
    (property.unwrap_or_else(|| panic!("no property is called {name}")).check)(input);
}

/// The input as text, as a host hands field values on: what is no UTF-8 is replaced.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}
