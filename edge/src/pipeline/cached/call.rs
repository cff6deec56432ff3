//! The call to the origin for something stored or to be stored, and what core says of the answer.

use alloc::{borrow::Cow, boxed::Box, string::ToString, vec::Vec};

use seawall_core::{
    cache::{
        Content, HttpDate, Keep, Known, Metadata,
        judge::OnError,
        on_response,
        partial::{Order, Plan},
        purge::{Purged, Selector, Strength},
        range::ContentRange,
        store::{Exchange, Reason},
        validate::{Validators, is_fixed_by_body},
    },
    headers::Fields,
    time::Timestamp,
};

use crate::{
    Body, Platform,
    answer::Conditions,
    failure::CallFailure,
    guard::{self, Asker, Fetched, Unavailable},
    lookup::Found,
    message::{Headers, Request, Response},
};

use super::{Cached, Needed, Ranged};

impl<P: Platform> Cached<'_, P> {
    /// Calls the origin, once more without conditions if its answer is about something else, and decides on what came.
    pub(super) async fn call(&self, needed: Needed<P>, request: Request<P>) -> Called<P> {
        let Needed { on_error, validate, mut portion, mut found, .. } = needed;
        let asked = request.again(&request.method);
        let mut request = Some(request);
        loop {
            let (generation, gone) = {
                let purges = &mut self.edge.state.borrow_mut().purges;
                let check = |metadata| purges.check(&self.key, &asked.target(), metadata);
                let gone = found.as_ref().is_some_and(|found| check(&found.metadata) == Purged::Gone);
                (purges.stamp(self.platform.now()), gone)
            };
            if gone {
                // Nothing that comes is joined with it or compared with it.
                found = None;
                portion = portion.filter(|ranged| !ranged.completes);
            }
            let first = request.take();
            let is_first = first.is_some();
            let mut sent = first.unwrap_or_else(|| asked.again(&asked.method));
            if is_first {
                if let Some(found) = found.as_ref().filter(|_| validate) {
                    set_conditions(&mut sent, &Validators::of(&found.metadata));
                }
                if let Some(Ranged { range, if_range, .. }) = &portion {
                    sent.headers.set("range", range);
                    if let Some(if_range) = if_range {
                        sent.headers.set("if-range", if_range);
                    }
                }
            }
            let fetched = match guard::fetch(&self.edge.edge, self.platform, self.route, sent, Asker::Visitor).await {
                Ok(fetched) => fetched,
                Err(unavailable) => {
                    let found = found.filter(|_| on_error == OnError::Serve);
                    return Called::Failed { found, failure: Failure::Unavailable(unavailable) };
                }
            };
            let Fetched { mut response, request_time, response_time } = fetched;
            let status = response.status;
            if status != 304 && response.headers.field("date").is_none() {
                // RFC 9110 §6.6.1: who receives a response without a Date writes down when.
                response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
            }
            let exchange = Exchange {
                target: asked.target(),
                request: &Heard { sent: &asked.headers, client: self.conditions },
                status,
                response: &response.headers,
                request_time,
                response_time,
                generation,
                random: (self.platform.random() >> 32) as u32,
            };
            let known = found.as_ref().map(|found| Known {
                metadata: &found.metadata,
                fields: &found.response.headers,
                on_error,
            });
            let keep = {
                let state = self.edge.state.borrow();
                on_response(&exchange, known, &self.key, &state.purges, &self.options).keep
            };
            let uncacheable = keep.is_uncacheable();
            let ranged = portion.as_ref().filter(|_| is_first);
            let is_whole = matches!(&keep, Keep::Join(metadata, _) if metadata.status == 200);
            if ranged.is_some_and(|ranged| ranged.completes) && matches!(status, 206 | 416) && !is_whole {
                // Who asked for everything gets no part.
                continue;
            }
            return match (keep, found.take()) {
                (Keep::Refetch, _) if is_first => continue,
                (Keep::Store(_), _) if ranged.is_some_and(|ranged| !is_for_others(status, ranged)) => {
                    Called::Passed { response, status, detail: Reason::Partial, uncacheable: false }
                }
                (Keep::Store(metadata), _) => {
                    if status == 206 {
                        describe(&mut response, &metadata);
                    }
                    Called::Kept { metadata, response, status }
                }
                (Keep::Join(metadata, plan), Some(found)) => {
                    match self.joined(*found, response, response_time, &metadata, plan) {
                        Ok(response) => Called::Kept { metadata, response, status },
                        Err(response) => Called::Passed { response, status, detail: Reason::Partial, uncacheable },
                    }
                }
                (Keep::Update(metadata), Some(found)) => {
                    Called::Kept { metadata, response: self.updated(*found, &response, response_time), status }
                }
                (Keep::Confirm(metadata), Some(found)) => {
                    let mut response = found.response;
                    response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
                    Called::Kept { metadata, response, status }
                }
                (Keep::UpdateUnstored(detail), Some(found)) => {
                    let response = self.updated(*found, &response, response_time);
                    Called::Passed { response, status, detail, uncacheable }
                }
                (Keep::ServeStored, found) => Called::Failed { found, failure: Failure::Status(response) },
                (Keep::Outdate, _) => {
                    let now = self.platform.now();
                    self.edge.state.borrow_mut().purges.change(Selector::Key(self.key), Strength::Soft, now);
                    Called::Passed { response, status, detail: Reason::Method, uncacheable: false }
                }
                (Keep::Refuse(detail), _) => Called::Passed { response, status, detail, uncacheable },
                (Keep::Refetch | Keep::Update(_) | Keep::Confirm(_) | Keep::UpdateUnstored(_) | Keep::Join(..), _) => {
                    Called::Passed { response, status, detail: Reason::Status, uncacheable }
                }
            };
        }
    }

    /// The stored part and the new one as one response (RFC 9111 §3.4); the new one as it came where they cannot be put
    /// together.
    fn joined(
        &self,
        mut found: Found<P>,
        mut new: Response<P>,
        response_time: Timestamp,
        metadata: &Metadata,
        plan: Plan,
    ) -> Result<Response<P>, Response<P>> {
        let (stored, came) = (found.response.body.take(), new.body.take());
        let (Some(stored), Some(came)) = (stored, came) else { return Err(new) };
        let body = match plan.order {
            _ if plan.adds == 0 => {
                if plan.order == Order::StoredFirst {
                    stored
                } else {
                    came
                }
            }
            Order::StoredFirst => match came.slice(plan.overlap, plan.adds) {
                Ok(rest) => stored.join(rest),
                Err(came) => return Err(Response { body: Some(came), ..new }),
            },
            Order::NewFirst => match stored.slice(plan.overlap, plan.adds) {
                Ok(rest) => came.join(rest),
                Err(_) => return Err(Response { body: Some(came), ..new }),
            },
        };
        let mut response = Response { body: Some(body), ..self.updated(found, &new, response_time) };
        describe(&mut response, metadata);
        Ok(response)
    }

    /// The stored response with the fields of the answer that validated it (RFC 9111 §3.2).
    fn updated(&self, found: Found<P>, answer: &Response<P>, response_time: Timestamp) -> Response<P> {
        let mut response = found.response;
        // The date of an answer that has none is when it came.
        response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
        let content_fields = self.options.update_content_fields;
        let mut replaced = Vec::new();
        answer.headers.each(&mut |name, value| {
            let name = name.to_ascii_lowercase();
            if is_fixed_by_body(&name, content_fields) {
                return;
            }
            if replaced.contains(&name) {
                response.headers.append(&name, value);
            } else {
                response.headers.set(&name, value);
                replaced.push(name);
            }
        });
        response
    }
}

/// A request as core hears it: what the origin gets, and what the client says of storing, which the origin may not get.
struct Heard<'a, H> {
    sent: &'a H,
    client: &'a Conditions,
}

impl<H: Fields> Fields for Heard<'_, H> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == "cache-control" { self.client.field(name) } else { self.sent.field(name) }
    }
}

/// What came of a call.
pub(super) enum Called<P: Platform> {
    /// A response to store and to answer with; `status` is what the origin said.
    Kept { metadata: Box<Metadata>, response: Response<P>, status: u16 },
    /// A response for this request alone.
    Passed { response: Response<P>, status: u16, detail: Reason, uncacheable: bool },
    /// The origin failed; what was found may stand in.
    Failed { found: Option<Box<Found<P>>>, failure: Failure<P> },
}

/// How the origin failed.
pub(super) enum Failure<P: Platform> {
    /// With an answer that says so.
    Status(Response<P>),
    /// Without one.
    Unavailable(Unavailable),
}

impl<P: Platform> Failure<P> {
    /// What those who waited are told of it.
    pub(super) const fn shared(&self) -> CallFailure {
        match self {
            Self::Status(response) => CallFailure::Status(response.status),
            Self::Unavailable(unavailable) => CallFailure::Unavailable(*unavailable),
        }
    }
}

/// Whether an answer to a request for a part is what others may get.
///
/// A range counts only where the answer without it would be 200 (RFC 9110 §14.2), so the whole and a redirect are answers to
/// everybody; an error may be about the part alone, whatever it should be. To `If-Range` a part comes without the fields that
/// the client has already (RFC 9110 §15.3.7).
const fn is_for_others(status: u16, ranged: &Ranged) -> bool {
    match status {
        200 | 203 | 300..=303 | 307 | 308 => true,
        206 => ranged.if_range.is_none(),
        _ => false,
    }
}

/// Says of a part, or of what has become whole out of parts, what it is.
fn describe<P: Platform>(response: &mut Response<P>, metadata: &Metadata) {
    response.status = metadata.status;
    response.headers.remove("content-range");
    let length = match metadata.content {
        Content::Part { first, last, complete } => {
            let range = ContentRange { first, last, complete };
            response.headers.set("content-range", &range.to_string());
            Some(range.length())
        }
        Content::Whole { length } => length,
    };
    if let Some(length) = length {
        response.headers.set("content-length", &length.to_string());
    }
}

/// Adds the validators of what is stored, so that an unchanged response costs the origin a 304.
fn set_conditions<P: Platform>(request: &mut Request<P>, validators: &Validators<'_>) {
    if let Some(etag) = validators.etag {
        request.headers.set("if-none-match", etag);
    }
    if let Some(modified) = validators.last_modified {
        request.headers.set("if-modified-since", &modified.to_string());
    }
}
