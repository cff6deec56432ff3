//! What is stored for a request, and how it is written down.
//!
//! The platform's cache is a plain store here: every HTTP caching rule is applied by `seawall-core` on the
//! metadata kept beside each response. A URL whose responses vary has an index under its own key, which knows the
//! request fields that choose; the responses are under the keys of their variants.

use core::time::Duration;

use seawall_core::cache::{Metadata, VaryOptions, key::CacheKey, variants::Variants};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Platform,
    message::Response,
    platform::{StoreError, Stored},
    record::{Failure, Metric},
};

/// What the note beside a stored response says.
#[derive(Serialize, serde::Deserialize)]
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

/// Looks a request up. A cache that fails, or a note that another release wrote, counts as nothing stored.
pub(crate) async fn look_up<P: Platform>(
    platform: &P,
    key: &CacheKey,
    request: &P::Headers,
    options: &VaryOptions,
) -> Lookup<P> {
    let found = |response, metadata| Lookup::Found(Box::new(Found { response, metadata }));
    match load(platform, key).await {
        Some((response, Note::Response(metadata))) => found(response, metadata),
        Some((_, Note::Variants(variants))) => {
            let Some(variant) = variants.select(key, request, options) else { return Lookup::OtherVariants };
            match load(platform, &variant).await {
                Some((response, Note::Response(metadata))) => found(response, metadata),
                Some((_, Note::Variants(_) | Note::Gone)) | None => Lookup::OtherVariants,
            }
        }
        Some((_, Note::Gone)) | None => Lookup::Nothing,
    }
}

/// Stores a response under its key, or under the key of its variant behind an index.
pub(crate) async fn save<P: Platform>(
    platform: &P,
    key: &CacheKey,
    request: &P::Headers,
    options: &VaryOptions,
    metadata: &Metadata,
    response: Response<P>,
) -> Result<(), StoreError> {
    let now = platform.now();
    let keep_for = metadata.keep_for(now);
    let stored = Stored { response, note: to_hex(&Note::Response(metadata.clone())) };
    if metadata.vary.is_empty() {
        return platform.save(key, stored, keep_for).await;
    }
    let mut variants = match load(platform, key).await {
        Some((_, Note::Variants(variants))) => variants,
        Some((_, Note::Response(_) | Note::Gone)) | None => Variants::default(),
    };
    let variant = variants.insert(key, metadata, request, options, now);
    let keep_index_for = variants.keep_for(now);
    platform.save(&variant, stored, keep_for).await?;
    platform.save(key, note(&Note::Variants(variants)), keep_index_for).await
}

/// Makes what is stored under a key count for nothing, with all of its variants.
pub(crate) async fn forget<P: Platform>(platform: &P, key: &CacheKey) -> Result<(), StoreError> {
    platform.save(key, note(&Note::Gone), GONE_FOR).await
}

fn note<P: Platform>(note: &Note) -> Stored<P> {
    Stored { response: Response::new(200, P::Headers::default(), None), note: to_hex(note) }
}

async fn load<P: Platform>(platform: &P, key: &CacheKey) -> Option<(Response<P>, Note)> {
    match platform.load(key).await {
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
    let bytes = postcard::to_allocvec(value).expect("plain data serialises");
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
        text
    })
}

/// The inverse of [`to_hex`]; `None` when the text is something else.
pub(crate) fn from_hex<T: DeserializeOwned>(text: &str) -> Option<T> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    postcard::from_bytes(&bytes.collect::<Option<Vec<u8>>>()?).ok()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How long the mark of something forgotten stays: long enough to take its place in every store.
const GONE_FOR: Duration = Duration::from_secs(60);

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
