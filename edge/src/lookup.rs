//! What is stored for a request, and how it is written down.
//!
//! The platform's cache is a plain store here: every HTTP caching rule is applied by `seawall-core` on the
//! metadata kept beside each response. A URL whose responses vary has an index under its own key, which names the
//! request fields that choose; the responses are under the keys of their variants.

use seawall_core::{
    cache::{ForwardReason, Metadata, Reuse, key::CacheKey, vary::VaryBy},
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Platform,
    message::Response,
    platform::{StoreError, Stored},
};

/// What the note beside a stored response says.
#[derive(Serialize, serde::Deserialize)]
enum Note {
    /// The response serves requests of this key.
    Response(Metadata),
    /// The responses are under the keys of their variants; this body is empty.
    Index(VaryBy),
}

/// A stored response that matches the request.
pub(crate) struct Found<P: Platform> {
    /// The response.
    pub(crate) response: Response<P>,
    /// What is known of it.
    pub(crate) metadata: Metadata,
    /// What may be done with it.
    pub(crate) reuse: Reuse,
}

/// What the look-up says.
pub(crate) enum Lookup<P: Platform> {
    /// Something is stored.
    Found(Found<P>),
    /// Nothing usable is stored, for this reason.
    Missing(ForwardReason),
}

/// Looks a request up. A cache that fails, or a note that another release wrote, counts as nothing stored.
pub(crate) async fn look_up<P: Platform>(platform: &P, key: &CacheKey, request: &P::Headers) -> Lookup<P> {
    match load(platform, key).await {
        Some((response, Note::Response(metadata))) => found(platform.now(), response, metadata),
        Some((_, Note::Index(vary))) => {
            let variant = key.variant(vary.names(), &vary.select(request));
            match load(platform, &variant).await {
                Some((response, Note::Response(metadata))) => found(platform.now(), response, metadata),
                Some((_, Note::Index(_))) | None => Lookup::Missing(ForwardReason::VaryMiss),
            }
        }
        None => Lookup::Missing(ForwardReason::UriMiss),
    }
}

/// Stores a response under its key, or under the key of its variant behind an index.
pub(crate) async fn save<P: Platform>(
    platform: &P,
    key: &CacheKey,
    request: &P::Headers,
    metadata: &Metadata,
    response: Response<P>,
) -> Result<(), StoreError> {
    let keep_for = metadata.keep_for(platform.now());
    let stored = Stored { response, note: to_hex(&Note::Response(metadata.clone())) };
    if metadata.vary.is_empty() {
        return platform.save(key, stored, keep_for).await;
    }
    let variant = key.variant(metadata.vary.names(), &metadata.vary.select(request));
    platform.save(&variant, stored, keep_for).await?;
    let index = Stored {
        response: Response::new(200, P::Headers::default(), None),
        note: to_hex(&Note::Index(metadata.vary.clone())),
    };
    platform.save(key, index, keep_for).await
}

fn found<P: Platform>(now: Timestamp, response: Response<P>, metadata: Metadata) -> Lookup<P> {
    let reuse = metadata.reuse(now);
    Lookup::Found(Found { response, metadata, reuse })
}

async fn load<P: Platform>(platform: &P, key: &CacheKey) -> Option<(Response<P>, Note)> {
    match platform.load(key).await {
        Ok(stored) => stored.and_then(|Stored { response, note }| Some((response, from_hex(&note)?))),
        Err(error) => {
            platform.log(&format!("edge.cache.load failed: {error}"));
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

/// Whether a stored response may be served although the origin cannot be asked.
pub(crate) fn usable_on_error<P: Platform>(found: &Found<P>) -> bool {
    match found.reuse {
        Reuse::Fresh { .. } | Reuse::StaleWhileRevalidate { .. } => true,
        Reuse::Validate { serve_if_error, .. } => serve_if_error,
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_anything_else_does_not() {
        let note = Note::Index(VaryBy::parse(Some("accept")).unwrap());
        let text = to_hex(&note);
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(matches!(from_hex::<Note>(&text), Some(Note::Index(vary)) if vary.names().eq(["accept"])));
        for wrong in ["", "0", "zz", "ff", "é1"] {
            assert!(from_hex::<Note>(wrong).is_none(), "{wrong}");
        }
        assert!(from_hex::<Note>(&text[..text.len() - 1]).is_none());
    }
}
