//! The description of `/api/v1` as a page, made from the same document that programs read.

use std::sync::LazyLock;

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::text::encode;
use super::{Frame, render};
use crate::error::Error;
use crate::openapi;

#[derive(Template)]
#[template(path = "api.html")]
struct ApiPage {
    frame: Frame,
    about: &'static str,
    operations: &'static [OperationView],
    shapes: &'static [ShapeView],
}

struct OperationView {
    method: String,
    path: &'static str,
    summary: &'static str,
    parameters: Vec<Field>,
    gives: &'static str,
    answer: Kind,
    /// The address with the examples of its parameters; empty for what is more than a link.
    example: String,
}

struct ShapeView {
    name: &'static str,
    about: &'static str,
    fields: Vec<Field>,
    /// The values of a shape without fields.
    kind: Kind,
}

struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
    about: &'static str,
}

/// What a value is, in words, and the shape that the words name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kind {
    text: String,
    shape: Option<&'static str>,
}

static OPERATIONS: LazyLock<Vec<OperationView>> = LazyLock::new(|| {
    let document = openapi::whole();
    let paths = entries(&document["paths"]);
    let methods = paths.flat_map(|(path, methods)| entries(methods).map(move |entry| (path, entry)));
    methods.map(|(path, (method, operation))| OperationView::of(path, method, operation)).collect()
});

static SHAPES: LazyLock<Vec<ShapeView>> = LazyLock::new(|| {
    let schemas = entries(&openapi::whole()["components"]["schemas"]);
    schemas.map(|(name, schema)| ShapeView::of(name, schema)).collect()
});

/// `GET /api`
pub(crate) async fn api() -> Result<Response, Error> {
    render(&ApiPage {
        frame: Frame::new("The same as JSON").at("/api"),
        about: text(&openapi::whole()["info"]["description"]),
        operations: &OPERATIONS,
        shapes: &SHAPES,
    })
}

impl OperationView {
    fn of(path: &'static str, method: &'static str, operation: &'static Value) -> Self {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let answers = entries(&operation["responses"]).find(|(status, _)| *status != "default");
        let answer = answers.map_or(&Value::Null, |(_, answer)| answer);
        let schema = entries(&answer["content"]).next().map_or(&Value::Null, |(_, content)| &content["schema"]);
        Self {
            method: method.to_ascii_uppercase(),
            path,
            summary: text(&operation["summary"]),
            parameters: parameters.iter().map(Field::of_parameter).collect(),
            gives: text(&answer["description"]),
            answer: Kind::of(schema),
            example: if method == "get" { example(path, parameters) } else { String::new() },
        }
    }
}

/// The path with the examples of its parameters, and those of its query that are required.
fn example(path: &str, parameters: &[Value]) -> String {
    let mut filled = path.to_owned();
    let mut query = Vec::new();
    for parameter in parameters {
        let (name, value) = (text_of(&parameter["name"]), encode(text_of(&parameter["example"])));
        match text_of(&parameter["in"]) {
            "path" => filled = filled.replace(&format!("{{{name}}}"), &value),
            _ if parameter["required"] == true => query.push(format!("{name}={value}")),
            _ => {}
        }
    }
    if query.is_empty() { filled } else { format!("{filled}?{}", query.join("&")) }
}

impl ShapeView {
    fn of(name: &'static str, schema: &'static Value) -> Self {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = entries(&schema["properties"]).map(|(name, field)| Field {
            name,
            kind: Kind::of(field),
            required: required.contains(&name),
            about: text(&field["description"]),
        });
        Self { name, about: text(&schema["description"]), fields: fields.collect(), kind: Kind::of(schema) }
    }
}

impl Field {
    fn of_parameter(parameter: &'static Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            kind: Kind {
                text: format!("{}, in the {}", text(&parameter["schema"]["type"]), text(&parameter["in"])),
                shape: None,
            },
            required: parameter["required"] == true,
            about: text(&parameter["description"]),
        }
    }
}

impl Kind {
    fn of(schema: &'static Value) -> Self {
        let named = |text: &str, shape: Option<&'static str>| Self { text: text.to_owned(), shape };
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            return named(name, Some(name));
        }
        let options = ["anyOf", "oneOf"].iter().find_map(|key| schema[key].as_array());
        if let Some(options) = options {
            let mut kinds: Vec<Self> = options.iter().map(Self::of).collect();
            kinds.dedup();
            let shape = kinds.iter().find_map(|kind| kind.shape);
            let texts: Vec<&str> = kinds.iter().map(|kind| kind.text.as_str()).collect();
            return named(&texts.join(" or "), shape);
        }
        if let Some(values) = schema["enum"].as_array() {
            return named(&values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "), None);
        }
        if !schema["const"].is_null() {
            return named(&schema["const"].to_string(), None);
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => vec!["any value"],
        };
        if types.contains(&"array") {
            let item = Self::of(&schema["items"]);
            return Self { text: format!("list of {}", item.text), shape: item.shape };
        }
        let format = match text(&schema["format"]) {
            "date" => ", a date",
            "date-time" => ", a time with its offset",
            "partial-date-time" => ", a local time",
            _ => "",
        };
        Self { text: format!("{}{format}", types.join(" or ")), shape: None }
    }
}

fn entries(object: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    object.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap_or_default()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::PAGE_BYTES_MAX;

    fn kind(schema: Value) -> (String, Option<&'static str>) {
        let Kind { text, shape } = Kind::of(Box::leak(Box::new(schema)));
        (text, shape)
    }

    #[test]
    fn kinds_read_as_words() {
        for (schema, text, shape) in [
            (json!({ "type": "string" }), "string", None),
            (json!({ "type": ["string", "null"], "format": "date" }), "string or null, a date", None),
            (json!({ "$ref": "#/components/schemas/Hit" }), "Hit", Some("Hit")),
            (json!({ "type": "array", "items": { "$ref": "#/components/schemas/Hit" } }), "list of Hit", Some("Hit")),
            (json!({ "anyOf": [{ "$ref": "#/x/Kind" }, { "type": "null" }] }), "Kind or null", Some("Kind")),
            (json!({ "enum": ["a", "b"] }), "\"a\" or \"b\"", None),
            (json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] }), "\"a\" or \"b\"", None),
            (json!(true), "any value", None),
        ] {
            assert_eq!(kind(schema), (text.to_owned(), shape));
        }
    }

    #[test]
    fn examples_fill_the_path_and_what_is_required() {
        let by_path = |path: &str| OPERATIONS.iter().find(|operation| operation.path == path).unwrap();
        assert_eq!(by_path("/api/v1/search").example, "/api/v1/search?q=1455%20Market%20St");
        assert_eq!(by_path("/api/v1/report/{block}/{lot}").example, "/api/v1/report/3507/004");
        assert_eq!(by_path("/api/v1/velocity").example, "/api/v1/velocity");
    }

    #[tokio::test]
    async fn every_link_of_the_page_leads_to_a_shape_of_it() {
        let body = api().await.unwrap().into_body();
        let html = axum::body::to_bytes(body, PAGE_BYTES_MAX).await.expect("the page stays within its bytes");
        let html = String::from_utf8(html.to_vec()).unwrap();
        let targets: Vec<&str> = html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(targets.len() > 20, "{targets:?}");
        for target in targets {
            assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}
