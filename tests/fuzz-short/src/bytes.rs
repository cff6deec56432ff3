//! Bytes that are read back: what a build embedded, and what a store gave.

use std::time::Duration;

use seawall_core::cache::conditional::evaluate;
use seawall_core::cache::{Metadata, OriginPreconditions};
use seawall_core::policy::Policy;
use seawall_core::time::Timestamp;

use crate::fields::stored;

/// Broken bytes are refused, or are a policy in which every name leads somewhere.
pub(crate) fn policy(input: &[u8]) {
    for bytes in [input.to_vec(), damaged(EXAMPLE_POLICY, input)] {
        let Ok(policy) = postcard::from_bytes::<Policy>(&bytes) else { continue };
        for route in policy.routes() {
            let _ = policy.upstream_of(route);
            assert!(policy.limits_of(route).all(|(id, limit)| policy.limit(id) == Some(limit)));
        }
        let _ = policy.route("GET", "/search");
        let again = postcard::to_allocvec(&policy).expect("a policy serialises");
        assert_eq!(postcard::from_bytes(&again), Ok(policy), "written again it is the same");
    }
}

/// Broken bytes are refused, or are metadata whose arithmetic holds at every time.
pub(crate) fn metadata(input: &[u8]) {
    let fields = [("etag", "\"a\""), ("vary", "accept"), ("cache-groups", "\"g\"")];
    let whole = stored(&fields).and_then(|metadata| postcard::to_allocvec(&metadata).ok()).unwrap_or_default();
    for bytes in [input.to_vec(), exchanged(whole, input)] {
        let Ok(metadata) = postcard::from_bytes::<Metadata>(&bytes) else { continue };
        let later = metadata.response_time.after(Duration::from_secs(1));
        for now in [Timestamp::UNIX_EPOCH, metadata.response_time, later, Timestamp::from_unix_nanos(u64::MAX)] {
            assert!(metadata.current_age(now) >= metadata.initial_age, "nothing is younger than it came");
            let _ = metadata.keep_for(now);
        }
        assert!(metadata.current_age(later) >= metadata.current_age(metadata.response_time));
        let _ = evaluate(&metadata, "GET", &[("range", "bytes=0-5")], OriginPreconditions::Evaluate);
        let again = postcard::to_allocvec(&metadata).expect("metadata serialises");
        assert_eq!(postcard::from_bytes(&again), Ok(metadata), "written again it is the same");
    }
}

/// The compiled form of `source`, with bytes changed as `input` says.
fn damaged(source: &str, input: &[u8]) -> Vec<u8> {
    let policy = Policy::compile(source).ok();
    exchanged(policy.and_then(|policy| postcard::to_allocvec(&policy).ok()).unwrap_or_default(), input)
}

/// `bytes` with some of them exchanged: the input is pairs of a place and a value.
fn exchanged(mut bytes: Vec<u8>, input: &[u8]) -> Vec<u8> {
    for pair in input.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place) {
            *byte = pair[1];
        }
    }
    bytes
}

const EXAMPLE_POLICY: &str = include_str!("../../../policy.toml");
