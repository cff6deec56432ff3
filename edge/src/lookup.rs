//! What is stored for a request, in which tier, and how it is written down.
//!
//! Isolate memory is asked first, then the store nearby, then the far one. The stores are plain: every HTTP caching rule
//! is applied by `seawall-core` on the metadata kept beside each response. A URL whose responses vary, or of which parts
//! are stored, has an index under its own key, which knows the request fields that choose and the parts; the responses are
//! under the keys of their variants and parts.

use alloc::{boxed::Box, format, rc::Rc, string::String, vec::Vec};
use core::time::Duration;

use seawall_core::{
    cache::{
        CacheOptions, Content, Metadata, VaryOptions,
        key::{CacheKey, Target},
        purge::Purged,
        search::{SEARCH_FIELD, SearchRule},
        variants::Variants,
    },
    headers::Fields,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Body, Isolate, Platform,
    limits::{FAR_ENTRY_BYTES_MAX, FAR_KEEP_MAX, FAR_LIFETIME_MIN, GONE_FOR, MEMORY_ENTRY_BYTES_MAX},
    memory::Kept,
    message::{Request, Response},
    record::{Failure, Metric},
    store::{Store, StoreError, Stored},
};

/// What the note beside a stored response says.
#[derive(Clone, Serialize, serde::Deserialize)]
enum Note {
    /// The response serves requests of this key.
    Response(Metadata),
    /// The responses are under the keys of their variants; this body is empty.
    Variants(Variants),
    /// What was here does not count any more; this body is empty.
    Gone,
}

/// A stored response that matches the request.
pub(crate) struct Found<P: Platform> {
    /// The response.
    pub(crate) response: Response<P>,
    /// What is known of it.
    pub(crate) metadata: Metadata,
    /// Its own key and the index that led there, where the URL has variants.
    variant: Option<(CacheKey, Variants)>,
    tier: Tier,
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Memory,
    Near,
    Far,
}

/// A store below memory. Of one type, so that what is done with either is compiled once.
enum Below<P: Platform> {
    Near(P::Near),
    Far(P::Far),
}

impl<P: Platform> Below<P> {
    fn near(platform: &P) -> Self {
        Self::Near(platform.near())
    }

    /// `None` where there is no far store.
    fn far(platform: &P) -> Option<Self> {
        platform.far().map(Self::Far)
    }

    const fn tier(&self) -> Tier {
        match self {
            Self::Near(_) => Tier::Near,
            Self::Far(_) => Tier::Far,
        }
    }
}

impl<P: Platform> Store<P> for Below<P> {
    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<P>>, StoreError> {
        match self {
            Self::Near(near) => near.load(key).await,
            Self::Far(far) => far.load(key).await,
        }
    }

    async fn save(&self, key: &CacheKey, stored: Stored<P>, keep_for: Duration) -> Result<(), StoreError> {
        match self {
            Self::Near(near) => near.save(key, stored, keep_for).await,
            Self::Far(far) => far.save(key, stored, keep_for).await,
        }
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        match self {
            Self::Near(near) => near.remove(key).await,
            Self::Far(far) => far.remove(key).await,
        }
    }
}

/// What the look-up says.
pub(crate) enum Lookup<P: Platform> {
    /// Something is stored.
    Found(Box<Found<P>>),
    /// Variants are stored, and none of them is for this request.
    OtherVariants,
    /// Nothing is stored.
    Nothing,
}

/// Looks a request up. A store that fails, or a note that another release wrote, counts as nothing stored.
pub(crate) async fn look_up<P: Platform>(
    isolate: &Isolate<P>,
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    range: Option<&str>,
    options: &CacheOptions,
) -> Lookup<P> {
    if let Some(found) = recall(isolate, platform, key, request, &options.vary) {
        return Lookup::Found(Box::new(found));
    }
    if let Some(lookup) = look_below(platform, key, request, range, options).await {
        return lookup;
    }
    // The origin may have said that another query is the same one (No-Vary-Search §6): the URL itself came first.
    match same_as(isolate, &request.target()) {
        Some(same) if options.no_vary_search => {
            look_below(platform, &same, request, range, options).await.unwrap_or(Lookup::Nothing)
        }
        _ => Lookup::Nothing,
    }
}

/// Looks into the stores; `None` when they have nothing under the key.
async fn look_below<P: Platform>(
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    range: Option<&str>,
    options: &CacheOptions,
) -> Option<Lookup<P>> {
    let (request, options) = (&request.headers, &options.vary);
    let near = look_in(platform, &Below::near(platform), key, request, range, options).await;
    match Below::far(platform) {
        Some(far) if near.is_none() => look_in(platform, &far, key, request, range, options).await,
        _ => near,
    }
}

/// What isolate memory has, if it is fresh and not purged: of anything else another isolate may have stored a newer one.
fn recall<P: Platform>(
    isolate: &Isolate<P>,
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    options: &VaryOptions,
) -> Option<Found<P>> {
    let now = platform.now();
    let memory = &mut isolate.memory.borrow_mut().responses;
    memory.see(key);
    let (metadata, ready) = memory.find(key, &request.headers, options, now)?;
    let is_fresh = metadata.current_age(now) < metadata.freshness_lifetime;
    let purged = isolate.state.borrow().purges.check(key, &request.target(), metadata);
    (is_fresh && purged != Purged::Gone).then(|| Found {
        response: platform.revive(ready),
        metadata: metadata.clone(),
        variant: None,
        tier: Tier::Memory,
    })
}

/// Looks into one store; `None` when it has nothing under the key.
async fn look_in<P: Platform>(
    platform: &P,
    store: &Below<P>,
    key: &CacheKey,
    request: &P::Headers,
    range: Option<&str>,
    options: &VaryOptions,
) -> Option<Lookup<P>> {
    let tier = store.tier();
    let found = |response, metadata, variant| Lookup::Found(Box::new(Found { response, metadata, variant, tier }));
    match load(platform, store, key).await? {
        (response, Note::Response(metadata)) => Some(found(response, metadata, None)),
        (_, Note::Variants(variants)) => {
            let Some(variant) = variants.select(key, request, range, options) else {
                return Some(Lookup::OtherVariants);
            };
            match load(platform, store, &variant).await {
                Some((response, Note::Response(metadata))) => {
                    Some(found(response, metadata, Some((variant, variants))))
                }
                Some((_, Note::Variants(_) | Note::Gone)) | None => Some(Lookup::OtherVariants),
            }
        }
        (_, Note::Gone) => Some(Lookup::Nothing),
    }
}

/// Copies what was found, and is about to be served, into the tiers before the one where it was found: into memory when
/// it is small and asked for often, into the near store when it came from far away.
pub(crate) fn promote<P: Platform>(isolate: &Rc<Isolate<P>>, platform: &P, key: &CacheKey, found: &mut Found<P>) {
    let now = platform.now();
    let Content::Whole { length: Some(length) } = found.metadata.content else { return };
    let kept_as = found.variant.as_ref().map_or(*key, |(variant, _)| *variant);
    // Memory does not answer with what is stale.
    let is_fresh = found.metadata.current_age(now) < found.metadata.freshness_lifetime;
    let into_memory =
        is_fresh && found.tier != Tier::Memory && isolate.memory.borrow().responses.wants(key, &kept_as, length, now);
    let into_near = found.tier == Tier::Far;
    if !into_memory && !into_near {
        return;
    }
    let (metadata, variant) = (found.metadata.clone(), found.variant.clone());
    if into_memory {
        // With all of its fields: a call may validate it, and those it is stored with come from here then.
        let response = copy(&mut found.response);
        let ready = platform.ready(response, MEMORY_ENTRY_BYTES_MAX);
        let (isolate, platform_, key) = (Rc::clone(isolate), platform.clone(), *key);
        let (metadata, variant) = (metadata.clone(), variant.clone());
        platform.spawn(async move {
            let Some((ready, bytes)) = ready.await else { return };
            let memory = &mut isolate.memory.borrow_mut().responses;
            let now = platform_.now();
            memory.keep(&key, kept_as, Kept::Response(Box::new(metadata), ready), bytes, now);
            if let Some((_, variants)) = variant {
                let bytes = variants.bytes();
                if !memory.keep(&key, key, Kept::Variants(variants), bytes, now) {
                    // Nobody finds the one without the other.
                    memory.forget(&kept_as);
                }
            }
        });
    }
    if into_near {
        let response = copy(&mut found.response);
        let (platform_, key) = (platform.clone(), *key);
        platform.spawn(async move {
            let now = platform_.now();
            let near = Below::near(&platform_);
            // There was nothing. What is there by now is newer, or says that this does not count any more, unless it is the
            // index that came with another variant.
            match (load(&platform_, &near, &key).await, &variant) {
                (None, _) => {}
                (Some((_, Note::Variants(there))), Some((own, variants)))
                    if there == *variants && load(&platform_, &near, own).await.is_none() => {}
                (Some(_), _) => return,
            }
            let stored = Stored { response, note: to_hex(&Note::Response(metadata.clone())) };
            let mut saved = near.save(&kept_as, stored, metadata.keep_for(now)).await;
            if let (Ok(()), Some((_, variants))) = (&saved, variant) {
                let keep_for = variants.keep_for(now);
                saved = near.save(&key, note(&Note::Variants(variants)), keep_for).await;
            }
            if let Err(error) = saved {
                platform_.log(&format!("edge.cache.save failed: {error}"));
            }
        });
    }
}

/// Stores a response under its key, or under the key of its variant behind an index: nearby, and far away if there is
/// such a place and it is worth it.
pub(crate) async fn save<P: Platform>(
    isolate: &Isolate<P>,
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    options: &CacheOptions,
    metadata: &Metadata,
    mut response: Response<P>,
) -> Result<(), StoreError> {
    if let Some(rule) = same_for(&response, options) {
        isolate.state.borrow_mut().searches.learn(&request.target(), rule.clone());
        if let Some(same) = rule.key(&request.target()) {
            let copy = copy(&mut response);
            save_under(isolate, platform, &same, request, &options.vary, metadata, copy).await?;
        }
    }
    save_under(isolate, platform, key, request, &options.vary, metadata, response).await
}

/// What a response says of the queries that are the same as its own.
fn same_for<P: Platform>(response: &Response<P>, options: &CacheOptions) -> Option<SearchRule> {
    let said = response.headers.field(SEARCH_FIELD).filter(|_| options.no_vary_search)?;
    SearchRule::parse(&said)
}

/// Learns from a stored response that is served which queries are the same, as the isolate that stored it did.
pub(crate) fn learn<P: Platform>(isolate: &Isolate<P>, target: &Target<'_>, found: &Found<P>, options: &CacheOptions) {
    if target.query.is_empty() || found.tier == Tier::Memory || isolate.state.borrow().searches.rule(target).is_some() {
        return;
    }
    if let Some(rule) = same_for(&found.response, options) {
        isolate.state.borrow_mut().searches.learn(target, rule);
    }
}

/// A second response of the same body.
pub(crate) fn copy<P: Platform>(response: &mut Response<P>) -> Response<P> {
    let (ours, theirs) = response.body.take().map(Body::tee).unzip();
    response.body = theirs;
    Response::new(response.status, response.headers.clone(), ours)
}

async fn save_under<P: Platform>(
    isolate: &Isolate<P>,
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    options: &VaryOptions,
    metadata: &Metadata,
    mut response: Response<P>,
) -> Result<(), StoreError> {
    if is_part(metadata) && has_whole(isolate, platform, key, request, options, metadata).await {
        return Ok(());
    }
    let request = &request.headers;
    let far = Below::far(platform).filter(|_| is_worth_the_way(metadata));
    let copy = far.as_ref().map(|_| copy(&mut response));
    let saved =
        save_in(platform, &Below::near(platform), key, request, options, metadata, response, Duration::MAX).await;
    // Whatever became of it: what memory has is not what is stored now.
    isolate.memory.borrow_mut().responses.forget(key);
    saved?;
    if let (Some(far), Some(copy)) = (far, copy)
        && let Err(error) = save_in(platform, &far, key, request, options, metadata, copy, FAR_KEEP_MAX).await
    {
        // It is nearby, which is what was asked for.
        platform.log(&format!("edge.cache.far failed: {error}"));
    }
    Ok(())
}

/// Whether all of a response is stored by now of which this is a part: it came while the part was under way.
async fn has_whole<P: Platform>(
    isolate: &Isolate<P>,
    platform: &P,
    key: &CacheKey,
    request: &Request<P>,
    options: &VaryOptions,
    part: &Metadata,
) -> bool {
    match look_in(platform, &Below::near(platform), key, &request.headers, None, options).await {
        Some(Lookup::Found(found)) if !is_part(&found.metadata) => {
            let whole = &found.metadata;
            let is_same = whole.etag.is_some() && whole.etag == part.etag;
            let is_usable = isolate.state.borrow().purges.check(key, &request.target(), whole) == Purged::No;
            is_usable && (is_same || whole.date >= part.date)
        }
        _ => false,
    }
}

const fn is_part(metadata: &Metadata) -> bool {
    matches!(metadata.content, Content::Part { .. })
}

/// Whether a response goes to the far store: it lives long enough to be read there, and is small enough.
fn is_worth_the_way(metadata: &Metadata) -> bool {
    let fits = matches!(metadata.content, Content::Whole { length: Some(length) } if length <= FAR_ENTRY_BYTES_MAX);
    fits && metadata.freshness_lifetime >= FAR_LIFETIME_MIN
}

#[expect(clippy::too_many_arguments, reason = "a response and all that says where it goes")]
async fn save_in<P: Platform>(
    platform: &P,
    store: &Below<P>,
    key: &CacheKey,
    request: &P::Headers,
    options: &VaryOptions,
    metadata: &Metadata,
    response: Response<P>,
    keep_max: Duration,
) -> Result<(), StoreError> {
    let now = platform.now();
    let keep_for = metadata.keep_for(now).min(keep_max);
    let stored = Stored { response, note: to_hex(&Note::Response(metadata.clone())) };
    if metadata.vary.is_empty() && !is_part(metadata) {
        return store.save(key, stored, keep_for).await;
    }
    let mut variants = match load(platform, store, key).await {
        Some((_, Note::Variants(variants))) => variants,
        Some((_, Note::Response(_) | Note::Gone)) | None => Variants::default(),
    };
    let variant = variants.insert(key, metadata, request, options, now);
    let keep_index_for = variants.keep_for(now).min(keep_max);
    store.save(&variant, stored, keep_for).await?;
    store.save(key, note(&Note::Variants(variants)), keep_index_for).await
}

/// Makes what is stored for a URL count for nothing, with all of its variants: under its key, and under the name that it
/// shares with equal queries, as far as that is known here.
pub(crate) async fn forget<P: Platform>(isolate: &Isolate<P>, platform: &P, target: &Target<'_>, key: &CacheKey) {
    for key in [Some(*key), same_as(isolate, target)].into_iter().flatten() {
        isolate.memory.borrow_mut().responses.forget(&key);
        // The far store may go on answering for a while, so the near one says that it is not asked.
        let mut forgotten = Below::near(platform).save(&key, note(&Note::Gone), GONE_FOR).await;
        if let Some(far) = Below::far(platform) {
            forgotten = forgotten.and(far.remove(&key).await);
        }
        if let Err(error) = forgotten {
            platform.log(&format!("edge.cache.invalidate failed: {error}"));
        }
    }
}

/// The name that a URL shares with those that the origin has called the same.
fn same_as<P: Platform>(isolate: &Isolate<P>, target: &Target<'_>) -> Option<CacheKey> {
    isolate.state.borrow().searches.rule(target)?.key(target)
}

fn note<P: Platform>(note: &Note) -> Stored<P> {
    Stored { response: Response::new(200, P::Headers::default(), None), note: to_hex(note) }
}

async fn load<P: Platform>(platform: &P, store: &Below<P>, key: &CacheKey) -> Option<(Response<P>, Note)> {
    match store.load(key).await {
        Ok(stored) => stored.and_then(|Stored { response, note }| Some((response, from_hex(&note)?))),
        Err(error) => {
            platform.log(&format!("edge.cache.load failed: {error}"));
            platform.measure(&Metric::Failure(Failure::CacheLoad));
            None
        }
    }
}

/// A value as visible ASCII, for a header field or a URL.
pub(crate) fn to_hex(value: &impl Serialize) -> String {
    // Plain data into a growing vector: nothing in it can fail.
    digits(&postcard::to_allocvec(value).expect("plain data serialises"))
}

/// The inverse of [`to_hex`]; `None` when the text is something else.
pub(crate) fn from_hex<T: DeserializeOwned>(text: &str) -> Option<T> {
    postcard::from_bytes(&bytes(text)?).ok()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
        text
    })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    bytes.collect()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_anything_else_does_not() {
        let variants = Variants::default();
        let text = to_hex(&Note::Variants(variants.clone()));
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(matches!(from_hex::<Note>(&text), Some(Note::Variants(read)) if read == variants));
        for wrong in ["", "0", "zz", "ff", "é1"] {
            assert!(from_hex::<Note>(wrong).is_none(), "{wrong}");
        }
        assert!(from_hex::<Note>(&text[..text.len() - 1]).is_none());
    }
}
