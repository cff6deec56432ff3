//! May this response be stored? RFC 9111 §3, as a shared cache.

use alloc::boxed::Box;
use core::time::Duration;

use crate::{
    headers::{Fields, Names, as_text},
    time::Timestamp,
};

use super::{
    date::HttpDate,
    directives::{Directives, Reach, forbids_storing, listed_fields},
    fields::ResponseFields,
    freshness::{Source, Stated, TARGETED, heuristic, is_heuristically_cacheable, jittered},
    groups,
    invalidate::resolve,
    key::Target,
    list::{is_space, members, without},
    metadata::{Content, Metadata, initial_age},
    options::{AuthorizationUse, CacheOptions, PartialUse, Qualified, RequestDirectiveUse, SetCookieUse, Statuses},
    partial::{self, part_bytes_max},
    range::ContentRange,
    search::SearchRule,
    vary::{UnusableVary, VaryBy},
};

/// A request and the response it got.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a, Request, Response> {
    /// What was asked for.
    pub target: Target<'a>,
    /// The fields of the request as the origin got it, with the `Cache-Control` of the client beside them where that has not
    /// reached the origin.
    pub request: &'a Request,
    /// The status of the response.
    pub status: u16,
    /// The fields of the response.
    pub response: &'a Response,
    /// When the request was sent.
    pub request_time: Timestamp,
    /// When the header of the response arrived.
    pub response_time: Timestamp,
    /// The purge generation of the request ([`Purges::stamp`](super::purge::Purges::stamp)).
    pub generation: u64,
    /// A number that nobody can foresee, for the jitter.
    pub random: u32,
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Store it with this beside it, without the fields of [`unstored`].
    Store(Box<Metadata>, Source),
    /// Pass it on and keep nothing.
    Refuse(Reason),
}

/// Why a response is not stored. The word is the same in the header, the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Only `GET` is stored.
    Method,
    /// The status is not final, not one that is stored, or an error that must not outlive its cause.
    Status,
    /// The response must be understood, and its status is not (RFC 9111 §5.2.2.3).
    NotUnderstood,
    /// `Cache-Control: no-store`.
    NoStore,
    /// The same of what stands in for what the origin cannot make or look at now; what is stored is no less right for it.
    StandIn,
    /// The request said `no-store`, and the policy honours that.
    RequestNoStore,
    /// `Cache-Control: private`.
    Private,
    /// The request carried `Authorization`, and the policy or the response does not allow sharing (RFC 9111 §3.5).
    Authorization,
    /// The response sets a cookie, which belongs to one visitor.
    SetCookie,
    /// It varies on something that no other request can match, or on too much.
    Vary,
    /// It is compressed with a dictionary that only some clients have (RFC 9842).
    Dictionary,
    /// It names more groups than can be kept.
    Groups,
    /// It redirects to its own address.
    RedirectLoop,
    /// It is partial, and the policy stores none, or it is not one readable range, or one of unknown place or length, or a
    /// very long one.
    Partial,
    /// It is longer than the host's store takes.
    TooLong,
    /// Nobody says how long it is fresh.
    NoLifetime,
    /// It is stale already and has no validator, so it could never be used.
    Useless,
    /// What it was asked for has been purged since.
    Purged,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "not-understood",
            Self::NoStore => "no-store",
            Self::StandIn => "stand-in",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Dictionary => "dictionary",
            Self::Groups => "groups",
            Self::RedirectLoop => "redirect-loop",
            Self::Partial => "partial",
            Self::TooLong => "too-long",
            Self::NoLifetime => "no-lifetime",
            Self::Useless => "useless",
            Self::Purged => "purged",
        }
    }
}

/// Decides whether a response is stored, and for how long it serves.
///
/// The response's own directives decide: those of a targeted field, else `Cache-Control` and `Expires` (RFC 9213 §2.2).
/// `options` fills in what they leave open. Goes through the fields of the response once and allocates only what
/// [`Metadata`] keeps. The host must not keep a body that broke off before its `Content-Length` (RFC 9111 §3.3).
pub fn decide<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    options: &CacheOptions,
) -> Decision {
    let Exchange { target, request, status, response, request_time, response_time, generation, random } = *exchange;
    if target.method != "GET" {
        return Decision::Refuse(Reason::Method);
    }
    let fields = ResponseFields::read(response);
    let asked = request.fields(&REQUEST_FIELDS);
    let [authorization, cache_control] = asked.all();
    let heard = Heard {
        target,
        authorized: authorization.is_some(),
        forbids_storing: options.request_directives == RequestDirectiveUse::Honour
            && cache_control.is_some_and(forbids_storing),
        status,
        fields: &fields,
        request_time,
        response_time,
        generation,
        random,
    };
    match metadata(&heard, options) {
        Ok((metadata, source)) => Decision::Store(metadata, source),
        Err(reason) => Decision::Refuse(reason),
    }
}

/// An [`Exchange`] whose fields were read: what decides is then the same code for every host's types, once in a program.
struct Heard<'a> {
    target: Target<'a>,
    /// Whether the request carried `Authorization`.
    authorized: bool,
    /// Whether the request said `no-store`, and the policy honours that.
    forbids_storing: bool,
    status: u16,
    fields: &'a ResponseFields<'a>,
    request_time: Timestamp,
    response_time: Timestamp,
    generation: u64,
    random: u32,
}

fn metadata(heard: &Heard<'_>, options: &CacheOptions) -> Result<(Box<Metadata>, Source), Reason> {
    let Heard { target, mut status, fields, request_time, response_time, .. } = *heard;
    let stated = Stated::read(fields, options);
    let directives = &stated.directives;
    let listed = Listed::of(&stated, options);
    may_share(heard, directives, listed, options)?;
    let vary = fields.vary().map(as_text);
    let vary = VaryBy::parse(vary.as_deref(), &options.vary).map_err(|_: UnusableVary| Reason::Vary)?;
    let content = content(status, fields, options)?;
    if status == 206 && matches!(content, Content::Whole { .. }) {
        // All of it, to a request for a part.
        status = 200;
    }
    let cache_groups = fields.cache_groups().filter(|_| options.groups).map(as_text);
    let cache_tag = fields.cache_tag().map(as_text);
    let groups = groups::of_response(&target, cache_groups.as_deref(), cache_tag.as_deref());
    let groups = groups.map_err(|_| Reason::Groups)?;
    let no_vary_search = fields.no_vary_search().filter(|_| options.no_vary_search);
    let search = no_vary_search.and_then(|value| SearchRule::parse(&as_text(value))).is_some();
    let location = fields.location().filter(|_| (300..400).contains(&status)).map(as_text);
    if location.is_some_and(|location| resolve(&target, &location).is_some_and(|place| place.is(&target))) {
        return Err(Reason::RedirectLoop);
    }

    let date = fields.date().and_then(HttpDate::read);
    let modified = fields.last_modified().and_then(HttpDate::read).map(HttpDate::timestamp);
    let base = date.map_or(response_time, HttpDate::timestamp);
    let guess = || {
        let may_guess =
            options.heuristics && (is_heuristically_cacheable(status, options.statuses) || directives.public);
        heuristic(modified, base).filter(|_| may_guess).map(|lifetime| (lifetime, Source::Heuristic))
    };
    let (lifetime, source) = stated
        .lifetime(fields.expires(), date, response_time)
        .or_else(guess)
        .or_else(|| options.fresh.filter(|_| matches!(status, 200 | 206)).map(|lifetime| (lifetime, Source::Policy)))
        .ok_or(Reason::NoLifetime)?;
    let longest =
        if status >= 400 { options.lifetime_max.min(options.negative_lifetime_max) } else { options.lifetime_max };
    let no_cache = listed.covers(directives.no_cache);
    let forbids_stale = directives.forbids_stale() || no_cache;
    let stale = |own: Option<Duration>, policy: Duration| match own {
        _ if forbids_stale || status >= 400 => Duration::ZERO,
        own => own.unwrap_or(policy).min(options.lifetime_max),
    };
    let metadata = Box::new(Metadata {
        status,
        response_time,
        date: base,
        initial_age: initial_age(date, fields.age(), request_time, response_time),
        // RFC 9111 §5.2.2.4: no use without validation, so it is stale from the start.
        freshness_lifetime: if no_cache {
            Duration::ZERO
        } else {
            jittered(lifetime.min(longest), options, heard.random)
        },
        stale_while_revalidate: stale(directives.stale_while_revalidate, options.stale_while_revalidate),
        stale_if_error: stale(directives.stale_if_error, options.stale_if_error),
        forbids_stale,
        no_cache,
        immutable: directives.immutable,
        etag: fields.etag().map(|etag| as_text(etag).into_owned()),
        last_modified: modified,
        vary,
        content,
        search,
        groups,
        generation: heard.generation,
    });
    if metadata.keep_for(response_time).is_zero() { Err(Reason::Useless) } else { Ok((metadata, source)) }
}

/// The conditions of RFC 9111 §3, and what this cache adds to them.
fn may_share(heard: &Heard<'_>, directives: &Directives, listed: Listed, options: &CacheOptions) -> Result<(), Reason> {
    let Heard { status, fields, .. } = *heard;
    let understood = UNDERSTOOD.contains(&status) || (status == 206 && options.partial == PartialUse::Store);
    let storable = match options.statuses {
        _ if status == 206 && !understood => return Err(Reason::Partial),
        Statuses::Understood => understood,
        Statuses::Any => understood || ((200..600).contains(&status) && status != 304),
    };
    if !storable {
        return Err(Reason::Status);
    }
    // RFC 9111 §5.2.2.3: what is understood may be stored in spite of a no-store beside it.
    if directives.must_understand && !UNDERSTOOD.contains(&status) && status != 206 {
        return Err(Reason::NotUnderstood);
    }
    if directives.no_store && !directives.must_understand {
        return Err(if directives.stand_in { Reason::StandIn } else { Reason::NoStore });
    }
    if listed.covers(directives.private) {
        return Err(Reason::Private);
    }
    if fields.set_cookie().is_some() && !(options.set_cookie == SetCookieUse::StripWhenListed && listed.set_cookie) {
        return Err(Reason::SetCookie);
    }
    // RFC 9111 §3.5: only a response that says so may be shared.
    let sharing_stated = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    let shares = options.authorization == AuthorizationUse::Share && sharing_stated;
    if !shares && heard.authorized {
        return Err(Reason::Authorization);
    }
    // RFC 9842 §6: only a client that has the dictionary can read it.
    let codings = fields.content_encoding().map(as_text);
    if codings.is_some_and(|codings| {
        members(&codings).any(|coding| coding.eq_ignore_ascii_case("dcb") || coding.eq_ignore_ascii_case("dcz"))
    }) {
        return Err(Reason::Dictionary);
    }
    // Last: it says nothing of the response, which may be unfit for everybody.
    if heard.forbids_storing { Err(Reason::RequestNoStore) } else { Ok(()) }
}

fn content(status: u16, fields: &ResponseFields<'_>, options: &CacheOptions) -> Result<Content, Reason> {
    if status != 206 {
        let digits = fields.content_length().map(|value| without(value, is_space));
        let length = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        let fits = length.is_none_or(|length: u64| length <= options.body_bytes_max);
        return if fits { Ok(Content::Whole { length }) } else { Err(Reason::TooLong) };
    }
    let range = fields.content_range().map(as_text);
    let range = range.and_then(|range| ContentRange::parse(&range)).ok_or(Reason::Partial)?;
    // Of a part of unknown place nothing could be served, and a very long one is no part to keep.
    if range.complete.is_none() || range.length() > part_bytes_max(options) {
        return Err(Reason::Partial);
    }
    Ok(partial::content(range.first, range.last, range.complete))
}

/// What the qualified directives of a response list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Whether the listed fields are taken out, so that the rest is free.
    strip: bool,
    /// Whether `set-cookie` is among them.
    set_cookie: bool,
}

impl Listed {
    fn of(stated: &Stated<'_>, options: &CacheOptions) -> Self {
        let text = stated.text;
        if (stated.directives.no_cache, stated.directives.private) == (Reach::Absent, Reach::Absent) {
            // Most responses: nothing that could list something.
            return Self { strip: options.qualified == Qualified::Strip, set_cookie: false };
        }
        let is_cookie = |name: &[u8]| name.eq_ignore_ascii_case(b"set-cookie");
        let set_cookie = listed_fields(text).any(is_cookie);
        let only_cookie = set_cookie && listed_fields(text).all(is_cookie);
        let strip = options.qualified == Qualified::Strip
            || (options.set_cookie == SetCookieUse::StripWhenListed && only_cookie);
        Self { strip, set_cookie }
    }

    /// Whether a directive of this reach speaks of the whole response.
    fn covers(self, reach: Reach) -> bool {
        match reach {
            Reach::Absent => false,
            Reach::Fields => !self.strip,
            Reach::Response => true,
        }
    }
}

/// Names the fields that must not be stored with a response (RFC 9111 §3.1): those of one connection, those that
/// `Connection` lists, those of one answer, cookies, and what `no-cache` and `private` list. In lower case, some perhaps
/// twice.
pub fn unstored(response: &impl Fields, options: &CacheOptions, mut visit: impl FnMut(&str)) {
    UNSTORED.iter().for_each(|name| visit(name));
    if let Some(connection) = response.field("connection") {
        members(&connection).for_each(|name| visit(&name.to_ascii_lowercase()));
    }
    let stating = response.fields(&STATING_FIELDS);
    let [own, cdn, surrogate, cache_control] = stating.all();
    let stated = Stated::of([own, cdn, surrogate], cache_control, options);
    listed_fields(stated.text).for_each(|name| visit(&as_text(name).to_ascii_lowercase()));
}

/// The final statuses whose caching is understood, so that `must-understand` is met. Errors that a client can provoke
/// by the form of its request (400, 405, 414, 431) are left out: they poison a cache.
pub const UNDERSTOOD: [u16; 10] = [200, 203, 204, 300, 301, 302, 307, 308, 404, 410];

/// What of a request decides whether its response is stored.
static REQUEST_FIELDS: Names<2> = Names::new(["authorization", "cache-control"]);

/// Where a response may say what must not be stored with it.
static STATING_FIELDS: Names<4> = Names::new([TARGETED[0], TARGETED[1], TARGETED[2], "cache-control"]);

const UNSTORED: [&str; 19] = [
    "age",
    "cache-status",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "server-timing",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "retry-after",
    "x-request-id",
    "x-response-time",
];

#[cfg(test)]
mod tests;
