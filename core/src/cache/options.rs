//! What a cache is free to choose. Everything else is given by the specifications.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::policy::Lifetime;

/// The choices of one route. [`CacheOptions::default`] is the safe end of each: what no response asked for is not
/// stored, and nothing that a client says changes what the cache does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CacheOptions {
    /// The lifetime of a 200 that states none; `None` (the default): it is not stored, unless `heuristics` finds one.
    pub fresh: Option<Duration>,
    /// `stale-while-revalidate` of a response that states none and does not forbid it; default zero.
    pub stale_while_revalidate: Duration,
    /// `stale-if-error` of a response that states none and does not forbid it; default zero.
    pub stale_if_error: Duration,
    /// Longest lifetime, whatever a response states; default one year ([`LIFETIME_MAX`]).
    pub lifetime_max: Duration,
    /// Longest lifetime of an error (a status from 400); default ten seconds ([`NEGATIVE_LIFETIME_MAX`]): long enough
    /// to take the weight off an origin, short enough that a mistake or an attack is soon forgotten.
    pub negative_lifetime_max: Duration,
    /// Whether a response without a lifetime gets a tenth of its age since `Last-Modified` (RFC 9111 §4.2.2), rather than
    /// `fresh`; default off: sites that never thought about caching are not cached.
    pub heuristics: bool,
    /// How much of a lifetime chance may take off, in thousandths; at most [`JITTER_PERMILLE_MAX`], default zero.
    pub jitter_permille: u16,
    /// Which statuses are stored when they state a lifetime; default those whose caching is understood.
    pub statuses: Statuses,
    /// What becomes of the request's own cache directives; default ignored.
    pub request_directives: RequestDirectiveUse,
    /// What becomes of requests with `Authorization`; default past the cache.
    pub authorization: AuthorizationUse,
    /// What becomes of `If-Match` and `If-Unmodified-Since` in a request for a stored response; default ignored.
    pub origin_preconditions: OriginPreconditions,
    /// What `no-cache="a"` and `private="a"` mean; default as if they listed nothing.
    pub qualified: Qualified,
    /// What becomes of a response with `Set-Cookie`; default never stored.
    pub set_cookie: SetCookieUse,
    /// What becomes of a 206; default not stored.
    pub partial: PartialUse,
    /// Whether a 304 may change the `Content-Type` of the stored body; default no, because a forged or mistaken one would
    /// change what a browser does with it.
    pub update_content_fields: bool,
    /// Whether targeted fields are read (RFC 9213); default yes.
    pub targeted: bool,
    /// Whether `Surrogate-Control` is read too, after the targeted fields; default no.
    pub surrogate_control: bool,
    /// Whether `No-Vary-Search` is obeyed; default yes, since only the origin can send it.
    pub no_vary_search: bool,
    /// Whether `Cache-Groups` and `Cache-Group-Invalidation` are obeyed (RFC 9875); default yes. Off where several
    /// tenants answer under one host.
    pub groups: bool,
    /// Which fields of a request reach the origin; default those that state preferences.
    pub request_fields: RequestFields,
    /// How requests are sorted into variants.
    pub vary: VaryOptions,
    /// Who shares one call to the origin; default the requests of one isolate.
    pub collapse: CollapseScope,
    /// Longest body that the host's store takes; no choice of a policy. Default: any.
    #[cfg_attr(feature = "serde", serde(skip, default = "any_length"))]
    pub body_bytes_max: u64,
}

const fn any_length() -> u64 {
    u64::MAX
}

/// Who shares one call to the origin for the same response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CollapseScope {
    /// The requests of one isolate.
    #[default]
    Isolate,
    /// Those of all isolates of a point of presence.
    Pop,
}

/// Which fields of a request reach the origin on a route that is cached. What reaches it may come back in a response
/// that others get, unless `Vary` names it, so that it is in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RequestFields {
    /// `Accept` and `Accept-Language`: an origin has no reason to repeat them.
    #[default]
    Preferences,
    /// These, in lower case.
    Only(Vec<String>),
    /// All but those that the cache answers itself: the word of the origin about what may be shared is trusted.
    All,
}

impl RequestFields {
    /// The fields that a list may not name, since the cache acts on them itself or they belong to one visitor.
    pub const NEVER: [&str; 10] = [
        "accept-encoding",
        "authorization",
        "cookie",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    ];
}

/// Which statuses may be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Statuses {
    /// Those of [`UNDERSTOOD`](super::store::UNDERSTOOD).
    #[default]
    Understood,
    /// Every final one but 206 and 304, if the response states a lifetime or `public` (RFC 9111 §3).
    Any,
}

/// What a request's `Cache-Control` and `Pragma` do. They are advice (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RequestDirectiveUse {
    /// Nothing: otherwise anybody could send every request to the origin.
    #[default]
    Ignore,
    /// What they ask for. Count such requests under a limit.
    Honour,
}

/// What a cache does for a request with `Authorization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AuthorizationUse {
    /// Forwards it, and stores nothing of the answer.
    #[default]
    Bypass,
    /// Treats it like any other, and stores what RFC 9111 §3.5 allows.
    Share,
}

/// What a cache does with preconditions that only an origin server may evaluate (RFC 9111 §4.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OriginPreconditions {
    /// Answers as if they were absent, which a cache may.
    #[default]
    Ignore,
    /// Sends the request to the origin. A client can then pass by the cache at will.
    Forward,
    /// Evaluates them on the stored response, and answers 412. For a gateway that is the origin server to its
    /// clients (RFC 9110 §3.7) and whose site never changes a response before its lifetime ends.
    Evaluate,
}

/// What the qualified forms of `no-cache` and `private` mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Qualified {
    /// The same as without a list: less is stored or reused than was allowed, which is always correct.
    #[default]
    Whole,
    /// The response is stored without the listed fields.
    Strip,
}

/// What becomes of a response that sets a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SetCookieUse {
    /// It is not stored.
    #[default]
    Refuse,
    /// It is stored without the cookie when `no-cache` or `private` lists `set-cookie`; otherwise not at all.
    StripWhenListed,
}

/// What becomes of partial content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PartialUse {
    /// It is passed on and not stored.
    #[default]
    Ignore,
    /// A single range is stored, combined with what is there, and serves requests inside it.
    Store,
}

/// How requests are sorted into variants. The lists are allow-lists: a request's value is reduced to one of theirs,
/// for the key and for the request that goes to the origin alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VaryOptions {
    /// Fields that a response may vary on, in lower case; empty (the default): all but the personal ones.
    pub fields: Vec<String>,
    /// Content codings the origin offers, best first; empty (the default): `Accept-Encoding` counts as it is.
    pub encodings: Vec<String>,
    /// Languages the origin offers, the first for everybody else; empty (the default): as it is.
    pub languages: Vec<String>,
    /// Media types the origin offers, the first for everybody else; empty (the default): as it is.
    pub types: Vec<String>,
    /// Most variants of one URL; zero (the default) stands for [`VARIANTS_MAX`](super::variants::VARIANTS_MAX).
    pub variants_max: u16,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            fresh: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            lifetime_max: LIFETIME_MAX,
            negative_lifetime_max: NEGATIVE_LIFETIME_MAX,
            heuristics: false,
            jitter_permille: 0,
            statuses: Statuses::default(),
            request_directives: RequestDirectiveUse::default(),
            authorization: AuthorizationUse::default(),
            origin_preconditions: OriginPreconditions::default(),
            qualified: Qualified::default(),
            set_cookie: SetCookieUse::default(),
            partial: PartialUse::default(),
            update_content_fields: false,
            targeted: true,
            surrogate_control: false,
            collapse: CollapseScope::Isolate,
            body_bytes_max: any_length(),
            no_vary_search: true,
            groups: true,
            request_fields: RequestFields::default(),
            vary: VaryOptions::default(),
        }
    }
}

/// The lifetimes of a policy's route, and the default of everything else. Allocates nothing.
impl From<&Lifetime> for CacheOptions {
    fn from(lifetime: &Lifetime) -> Self {
        Self {
            fresh: Some(lifetime.fresh),
            stale_while_revalidate: lifetime.stale_while_revalidate,
            stale_if_error: lifetime.stale_if_error,
            ..Self::default()
        }
    }
}

/// The year that HTTP calls forever.
pub const LIFETIME_MAX: Duration = Duration::from_secs(365 * 86_400);

/// The default for the longest lifetime of an error.
pub const NEGATIVE_LIFETIME_MAX: Duration = Duration::from_secs(10);

/// A tenth: enough to spread what was stored together, too little to notice in a hit ratio. More counts as this.
pub const JITTER_PERMILLE_MAX: u16 = 100;
