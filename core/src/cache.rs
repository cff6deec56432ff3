//! May this response be stored, and may a stored one be used for this request? RFC 9111 as a shared cache.
//!
//! A host asks twice. Before a request goes out, [`decide()`] says whether what is stored answers it: in full, in part,
//! as a 304, stale while it is revalidated, or not, and then with which conditions the origin is asked and what happens
//! when it fails. After a response came, [`on_response()`] says what becomes of it and of what is stored. Neither reads
//! a body, a clock or a store.
//!
//! The parts stand alone too: [`key`] names an entry so that no two requests share one by accident, [`variants`] finds
//! the one that fits the request's fields, [`purge`] makes entries invalid without touching them, [`collapse`] lets one
//! call serve many requests, [`search`] finds entries whose query differs where the origin says that makes no
//! difference, [`CacheStatus`] tells the client what was done (RFC 9211), and [`explain`] writes a decision down so that
//! it can be taken again.
//!
//! [`CacheOptions`] holds what a cache is free to choose; its default is the safe end of each choice.
//! docs/rfc9111.md maps each requirement to its function and test.
//!
//! Left out on purpose: storing answers to `POST`, private caches, multipart ranges, and bodies.

pub(crate) mod date;

mod directives;
mod fields;
mod freshness;
mod list;
mod metadata;
mod name;
mod options;
mod status;

pub mod collapse;
pub mod conditional;
pub mod decide;
pub mod explain;
pub mod groups;
pub mod invalidate;
pub mod judge;
pub mod key;
pub mod negotiate;
pub mod partial;
pub mod purge;
pub mod query;
pub mod range;
pub mod response;
pub mod search;
pub mod store;
pub mod structured;
pub mod validate;
pub mod variants;
pub mod vary;

#[cfg(test)]
mod tests;

pub use self::{
    date::HttpDate,
    decide::{Ask, Decision, Fetch, Serve, Stored, decide},
    directives::{Directives, Reach, RequestDirectives},
    freshness::{CONSUMED, HEURISTIC_MAX, SURROGATE_DEVICE, Source},
    metadata::{Content, Metadata, VALIDATABLE_FOR},
    options::{
        AuthorizationUse, CacheOptions, CollapseScope, JITTER_PERMILLE_MAX, LIFETIME_MAX, NEGATIVE_LIFETIME_MAX,
        OriginPreconditions, PartialUse, Qualified, RequestDirectiveUse, RequestFields, SetCookieUse, Statuses,
        VaryOptions,
    },
    response::{Keep, Known, Outcome, on_response},
    status::{CacheStatus, ForwardReason, ReadStatus, append as append_status, read as read_status},
};
