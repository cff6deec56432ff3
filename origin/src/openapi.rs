//! The description of `/api/v1` (OpenAPI 3.1): which addresses there are, what they take and what they answer.
//!
//! Shapes come from the very types that are serialised, with their documentation, so no field is missing or misnamed;
//! addresses and parameters are listed in [`operations`], and a test holds that list to the router. OpenAPI 3.1 takes
//! JSON Schema 2020-12 as it is, which is what the types give.

mod operations;

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::operations::{Operation, Parameter};
use crate::http::errors::Problem;

/// Where the shapes are.
const SCHEMAS: &str = "/components/schemas";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&operations::all()));

/// `GET /api/v1/openapi.json`
pub(crate) async fn json() -> Response {
    static BODY: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], BODY.clone()).into_response()
}

/// The document, for the page that shows it.
pub(crate) fn whole() -> &'static Value {
    &DOCUMENT
}

fn document(operations: &[Operation]) -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = SCHEMAS.into();
    let mut shapes = settings.into_generator();
    let problem = shapes.subschema_for::<Problem<'static>>();
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation, &mut shapes);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "San Francisco permits",
            "version": "1",
            "description": "What the pages of this site show, as JSON. Fields of the city's rows carry the names that \
                            DataSF gives them; what is null there is absent here. Dates and times are the city's local \
                            ones, without an offset, unless they say otherwise. New fields may be added at any time.",
        },
        "paths": paths,
        "components": {
            "schemas": shapes.take_definitions(true),
            "responses": { "Problem": {
                "description": "What was wrong, and what to do (RFC 9457).",
                "content": { "application/problem+json": { "schema": problem } },
            } },
        },
    })
}

fn describe(operation: &Operation, shapes: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let content = json!({ operation.media_type: { "schema": (operation.answer)(shapes) } });
    responses.insert(operation.status.to_string(), json!({ "description": operation.gives, "content": content }));
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    json!({
        "summary": operation.summary,
        "parameters": operation.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.means,
        "schema": { "type": parameter.kind },
        "example": parameter.example,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Addresses of the router below `/api/v1`.
    fn routed() -> BTreeSet<&'static str> {
        let server = include_str!("server.rs");
        let paths = server.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        paths.filter(|path| path.starts_with("/api/v1/")).collect()
    }

    #[test]
    fn every_address_is_described_and_every_description_has_an_address() {
        let described: BTreeSet<&str> = whole()["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, routed());
    }

    #[test]
    fn parameters_of_paths_are_those_in_the_path() {
        for operation in operations::all() {
            let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let said = operation.parameters.iter().filter(|parameter| parameter.place == "path");
            assert!(in_path.eq(said.map(|parameter| parameter.name)), "{}", operation.path);
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let text = whole().to_string();
        let references: BTreeSet<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 10, "{references:?}");
        for reference in references {
            assert!(whole().pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_may_be_left_out_is_not_required() {
        let schemas = &whole()["components"]["schemas"];
        assert_eq!(schemas["Contact"]["required"], json!(["permit_number", "role", "source"]));
        let history = &schemas["PermitHistory"]["properties"];
        // The permit's own fields stand beside what belongs to it, under the city's names.
        assert!(history["record_id"].is_object() && history["contacts"].is_object());
        assert!(history["neighborhoods_analysis_boundaries"].is_object() && history["neighborhood"].is_null());
    }
}
