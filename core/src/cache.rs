//! May this response be stored, and may a stored one be used for this request? RFC 9111 as a shared cache.
//!
//! A host asks two questions. After a response: [`store::decide`], which answers with the [`Metadata`] to
//! keep beside it or with the reason to keep nothing. Before a request goes out: [`Metadata::reuse`], which
//! says whether what is stored is fresh, may be served while it is revalidated (RFC 5861), or must be
//! validated first. [`conditional`] answers a client's own validators from what is stored, [`key`] names
//! an entry so that no two requests share one by accident, and [`CacheStatus`] tells the client (RFC 9211).
//!
//! This slice leaves out on purpose: ranges (a `Range` is ignored, which RFC 9110 §14.2 allows), heuristic
//! freshness (a response without an explicit lifetime is stored only when the policy gives one), request
//! directives (advisory, RFC 9111 §5.2.1; a client must not be able to bypass a shared cache), and
//! invalidation.

pub(crate) mod date;
mod directives;
mod metadata;
mod status;

pub mod conditional;
pub mod key;
pub mod query;
pub mod store;
pub mod vary;

pub use self::{
    date::HttpDate,
    directives::Directives,
    metadata::{Metadata, Reuse, VALIDATABLE_FOR},
    status::{CacheStatus, ForwardReason},
};
