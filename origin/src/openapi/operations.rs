//! The addresses below `/api/v1`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::brief::Contents;
use crate::jobs::api::JobAnswer;
use crate::permits::api::Suggestions;
use crate::permits::firm::Firm;
use crate::permits::permit::PermitFile;
use crate::permits::report::Report;
use crate::permits::search::Found;
use crate::permits::stuck::Stuck;
use crate::permits::velocity::Velocity;

/// One address and what it answers.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The status when all is well, and what comes with it.
    pub(super) status: u16,
    pub(super) gives: &'static str,
    pub(super) media_type: &'static str,
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
}

/// What an operation takes.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `path` or `query`.
    pub(super) place: &'static str,
    pub(super) required: bool,
    pub(super) kind: &'static str,
    pub(super) means: &'static str,
    pub(super) example: &'static str,
}

const fn in_path(name: &'static str, means: &'static str, example: &'static str) -> Parameter {
    Parameter { name, place: "path", required: true, kind: "string", means, example }
}

const BLOCK: Parameter = in_path("block", "The block, with its letter if it has one.", "3507");
const LOT: Parameter = in_path("lot", "The lot, with its letter if it has one.", "004");

const PERMIT_NUMBER: Parameter = in_path("permit_number", "The number, as the city writes it.", "201508053399");

const JOB: Parameter = in_path("job_id", "What the answer to the order called it.", "0123456789abcdef0123456789abcdef");
const TEXT: Parameter = Parameter {
    name: "q",
    place: "query",
    required: true,
    kind: "string",
    means: "What is looked for, as one would type it; up to 120 characters.",
    example: "1455 Market St",
};

const fn narrowing(name: &'static str, kind: &'static str, means: &'static str, example: &'static str) -> Parameter {
    Parameter { name, place: "query", required: false, kind, means, example }
}

const AFTER: Parameter =
    narrowing("after", "string", "Where the page begins: next of the page before.", "2015-08-05T11:06:52_201508053399");
const STATUS: Parameter = narrowing("status", "string", "Only permits of this status.", "issued");
const KIND: Parameter = narrowing("type", "string", "Only permits of this kind.", "otc alterations permit");
const YEAR: Parameter = narrowing("year", "integer", "Only permits that were filed in this year.", "2015");
const LOOKBACK: Parameter = narrowing("lookback", "integer", "Days to look back, from 1 to 90; 1 unless told.", "7");
const ENTITY: Parameter = in_path("id", "The identifier in team and similar terms.", "0123456789abcdef");

/// `GET path`, which answers 200 with a `T`.
fn get<T: JsonSchema>(
    path: &'static str,
    summary: &'static str,
    gives: &'static str,
    parameters: &'static [Parameter],
) -> Operation {
    Operation {
        method: "get",
        path,
        summary,
        parameters,
        status: 200,
        gives,
        media_type: "application/json",
        answer: SchemaGenerator::subschema_for::<T>,
    }
}

/// Every operation.
pub(super) fn all() -> Vec<Operation> {
    vec![
        get::<Found>(
            "/api/v1/search",
            "Permits by number, address, block and lot, street, neighborhood, person or firm, or words",
            "One page of permits, the newest first.",
            &[TEXT, AFTER, STATUS, KIND, YEAR],
        ),
        get::<Suggestions>(
            "/api/v1/suggest",
            "Streets, neighborhoods and names that begin like a text",
            "At most eight terms, the most used first.",
            &[TEXT],
        ),
        get::<Firm>(
            "/api/v1/firm/{id}",
            "A person or firm",
            "Who it is, its newest permits, and whom it works with.",
            &[ENTITY],
        ),
        get::<Report>(
            "/api/v1/report/{block}/{lot}",
            "Everything about a parcel",
            "The parcel's permits with contacts, inspections and plan review, complaints and notices of violation.",
            &[BLOCK, LOT],
        ),
        get::<PermitFile>(
            "/api/v1/permit/{permit_number}",
            "Everything about a permit",
            "Every address of the permit, its contacts, inspections and steps of plan review.",
            &[PERMIT_NUMBER],
        ),
        get::<Velocity>(
            "/api/v1/velocity",
            "How long plan review takes",
            "Percentiles of the days between arrival and finish, for each station with at least ten reviews.",
            &[],
        ),
        get::<Stuck>(
            "/api/v1/stuck",
            "Which permits wait too long",
            "Waits in plan review beyond what their stations usually take, by station, and the longest of up to a year.",
            &[],
        ),
        get::<Contents>(
            "/api/v1/brief",
            "What happened to what you watch",
            "The brief of whoever is signed in by the site's cookie; 401 for everyone else.",
            &[LOOKBACK],
        ),
        Operation {
            method: "post",
            status: 202,
            ..get::<JobAnswer>(
                "/api/v1/exports",
                "Order everything that a search finds with its filters, as CSV",
                "The job, whose address is in Location. With an Idempotency-Key, the same order gets the same job.",
                &[TEXT, STATUS, KIND, YEAR],
            )
        },
        Operation {
            method: "post",
            status: 202,
            ..get::<JobAnswer>(
                "/api/v1/report/{block}/{lot}/whole",
                "Order a report of more rows than one answer holds",
                "The job, whose address is in Location; 303 to the report where that is whole already.",
                &[BLOCK, LOT],
            )
        },
        get::<JobAnswer>(
            "/api/v1/jobs/{job_id}",
            "How an order is coming on",
            "The job; Retry-After says when to ask again.",
            &[JOB],
        ),
        Operation {
            method: "delete",
            ..get::<JobAnswer>(
                "/api/v1/jobs/{job_id}",
                "Take an order back",
                "The job, which is cancelled; 202 when it will be, 409 when it has ended.",
                &[JOB],
            )
        },
        Operation {
            method: "get",
            path: "/api/v1/jobs/{job_id}/result",
            summary: "Fetch what was ordered",
            parameters: &[JOB],
            status: 200,
            gives: "The file: CSV for an export, JSON for a report; 409 while there is none.",
            media_type: "text/csv",
            answer: |_| json_schema!({ "type": "string" }),
        },
        Operation {
            method: "get",
            path: "/api/v1/openapi.json",
            summary: "This description",
            parameters: &[],
            status: 200,
            gives: "An OpenAPI 3.1 document.",
            media_type: "application/json",
            answer: |_| json_schema!({ "type": "object" }),
        },
    ]
}
