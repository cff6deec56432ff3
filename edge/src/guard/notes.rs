//! A note of what has opened, for isolates that have no authority for their breakers.
//!
//! It says of each upstream until when its breaker is open somewhere, and nothing else: an isolate that reads it waits as
//! long, and finds out by its own probes whether the upstream is well. Of two isolates that write at the same moment one
//! is not heard, which costs others a few calls.

use alloc::{borrow::ToOwned, format, rc::Rc, string::String, vec::Vec};
use core::time::Duration;

use seawall_core::{policy::UpstreamId, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Edge, Platform,
    limits::PURGE_DEADLINE,
    lookup::{from_hex, to_hex},
};

/// What the note says of one upstream.
#[derive(Serialize, Deserialize)]
struct Open {
    /// The upstream's name in the policy.
    upstream: String,
    until: Timestamp,
}

/// Believes what the note says.
pub(crate) async fn learn<P: Platform>(edge: &Edge, platform: &P) {
    let Some(noted) = read(platform).await else { return };
    let now = platform.now();
    let mut state = edge.state.borrow_mut();
    for (upstream, breaker) in edge.policy.upstreams().iter().zip(&mut state.breakers) {
        let of_it = noted.iter().filter(|open| open.upstream == upstream.name.as_str());
        if let Some(until) = of_it.map(|open| open.until).max() {
            breaker.warn(&upstream.breaker, until.since(now), now);
        }
    }
}

/// Notes, without anyone waiting, that this isolate's breaker of an upstream is open for `wait`.
pub(super) fn tell<P: Platform>(edge: &Rc<Edge>, platform: &P, id: UpstreamId, wait: Duration) {
    let Some(upstream) = edge.policy.upstreams().get(usize::from(id.0)) else { return };
    let (upstream, host) = (upstream.name.as_str().to_owned(), platform.clone());
    platform.spawn(async move {
        let mut noted = read(&host).await.unwrap_or_default();
        let now = host.now();
        // What is over says nothing any more, so the note is as long as the policy has upstreams, and no longer.
        noted.retain(|open| open.until > now && open.upstream != upstream);
        noted.truncate(UPSTREAMS_MAX);
        noted.push(Open { upstream, until: now.after(wait) });
        if let Err(error) = host.write_note(NOTE, to_hex(&noted), PURGE_DEADLINE).await {
            host.log(&format!("edge.breaker.note failed: {error}"));
        }
    });
}

/// The note; `None` when it is not there, cannot be read, or is of another release.
async fn read<P: Platform>(platform: &P) -> Option<Vec<Open>> {
    match platform.read_note(NOTE, PURGE_DEADLINE).await {
        Ok(text) => from_hex(&text?),
        Err(error) => {
            platform.log(&format!("edge.breaker.note failed: {error}"));
            None
        }
    }
}

/// The note's name.
const NOTE: &str = "breakers";
/// Upstreams of other releases that the note keeps at most: a policy has fewer.
const UPSTREAMS_MAX: usize = 64;
