//! The cache decisions of both sides, on the same exchanges and asked for the same.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use http::header::{AGE, HeaderName, HeaderValue};
use http_cache_semantics::{BeforeRequest, CachePolicy};
use seawall_core::cache::judge::Origin;
use seawall_core::cache::key::{CacheKey, Target};
use seawall_core::cache::purge::{Purges, Selector, Strength};
use seawall_core::cache::variants::Variants;
use seawall_core::cache::{
    Ask, AuthorizationUse, CacheOptions, Decision, Keep, Known, Metadata, RequestDirectiveUse, Serve, Stored, decide,
    on_response, store,
};
use seawall_core::time::Timestamp;

use crate::corpus::Exchange;

/// When the responses of the corpus arrived: the second of their `Date`.
const ARRIVED: u64 = 784_111_777;

/// Core's side.
pub struct Seawall {
    options: CacheOptions,
    purges: Purges,
    generation: u64,
}

/// What core keeps of one response.
pub struct Kept {
    url: CacheKey,
    variants: Variants,
    metadata: Box<Metadata>,
}

impl Default for Seawall {
    /// Set to what the other side does: heuristic lifetimes, `Cache-Control` of requests, `Authorization` as
    /// RFC 9111 §3.5 says.
    fn default() -> Self {
        let options = CacheOptions {
            heuristics: true,
            request_directives: RequestDirectiveUse::Honour,
            authorization: AuthorizationUse::Share,
            ..CacheOptions::default()
        };
        let mut purges = Purges::default();
        // A purge of something else, so that there is something to compare with.
        let other =
            Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/purged", query: "" };
        let now = Timestamp::from_unix_seconds(ARRIVED - 60);
        purges.purge(Selector::Key(CacheKey::new(&other)), Strength::Hard, now);
        let generation = purges.stamp(Timestamp::from_unix_seconds(ARRIVED));
        Self { options, purges, generation }
    }
}

impl Seawall {
    /// The name of what is stored for the URL. The other side leaves it to its host, so it is no part of a decision
    /// that is compared.
    #[must_use]
    pub fn key(exchange: &Exchange) -> CacheKey {
        CacheKey::new(&target(exchange))
    }

    /// Before the call, with nothing stored: whether to make it. The other side is not asked then.
    #[must_use]
    pub fn first(&self, url: &CacheKey, exchange: &Exchange) -> bool {
        let ask = Ask {
            target: target(exchange),
            key: url,
            request: exchange.request.headers(),
            purges: &self.purges,
            origin: Origin::Reachable,
            now: Timestamp::from_unix_seconds(ARRIVED),
        };
        matches!(decide(&ask, Stored::Nothing, &self.options), Decision::Fetch(_))
    }

    /// After the call: what is kept, if anything, and under which name.
    #[must_use]
    pub fn store(&self, url: CacheKey, exchange: &Exchange) -> Option<Kept> {
        let target = target(exchange);
        let now = Timestamp::from_unix_seconds(ARRIVED);
        let answered = store::Exchange {
            target,
            request: exchange.request.headers(),
            status: exchange.response.status().as_u16(),
            response: exchange.response.headers(),
            request_time: now,
            response_time: now,
            generation: self.generation,
            random: 0,
        };
        let known: Option<Known<'_, http::HeaderMap>> = None;
        let Keep::Store(metadata) = on_response(&answered, known, &url, &self.purges, &self.options).keep else {
            return None;
        };
        let mut variants = Variants::default();
        variants.insert(&url, &metadata, exchange.request.headers(), &self.options.vary, now);
        Some(Kept { url, variants, metadata })
    }

    /// The same request again: the variant that fits, the decision, and the two fields of the answer that are new,
    /// `Age` and `Cache-Status`, written to `fields`. `None` when it goes to the origin.
    pub fn again(&self, kept: &Kept, exchange: &Exchange, fields: &mut Line) -> Option<Serve> {
        kept.variants.select(&kept.url, exchange.request.headers(), None, &self.options.vary)?;
        let ask = Ask {
            target: target(exchange),
            key: &kept.url,
            request: exchange.request.headers(),
            purges: &self.purges,
            origin: Origin::Reachable,
            now: Timestamp::from_unix_seconds(ARRIVED).after(exchange.again_after),
        };
        let Decision::Serve(serve) = decide(&ask, Stored::Response(&kept.metadata), &self.options) else {
            return None;
        };
        if serve.ttl.is_zero() {
            return None;
        }
        fields.clear();
        // The line is longer than the two fields can be.
        write!(fields, "{}\n{}", serve.age.as_secs(), serve.status()).ok()?;
        Some(serve)
    }

    /// The same, and all fields of the answer in a map of their own, as the other side gives them.
    pub fn again_copied(&self, kept: &Kept, exchange: &Exchange, fields: &mut Line) -> Option<http::HeaderMap> {
        self.again(kept, exchange, fields)?;
        let (age, status) = fields.as_str().split_once('\n')?;
        let mut answer = exchange.response.headers().clone();
        answer.insert(AGE, HeaderValue::from_str(age).ok()?);
        answer.insert(HeaderName::from_static("cache-status"), HeaderValue::from_str(status).ok()?);
        Some(answer)
    }
}

/// The side of `http-cache-semantics`.
pub struct Semantics;

impl Semantics {
    /// What is kept of a response.
    #[must_use]
    pub fn store(exchange: &Exchange) -> Option<CachePolicy> {
        let policy = CachePolicy::new_options(
            &exchange.request,
            &exchange.response,
            time(Duration::ZERO),
            http_cache_semantics::CacheOptions::default(),
        );
        // How long it is fresh is part of what a host keeps it by.
        let lifetime = policy.time_to_live(time(Duration::ZERO));
        (policy.is_storable() && lifetime > Duration::ZERO).then_some(policy)
    }

    /// The same request again: the answer's fields, or `None` when it goes to the origin.
    #[must_use]
    pub fn again(policy: &CachePolicy, exchange: &Exchange) -> Option<http::HeaderMap> {
        match policy.before_request(&exchange.request, time(exchange.again_after)) {
            BeforeRequest::Fresh(answer) => Some(answer.headers),
            BeforeRequest::Stale { .. } => None,
        }
    }
}

/// The exchanges that both sides answer from the store, with what each keeps of them.
#[must_use]
pub fn hits<'a>(seawall: &Seawall, exchanges: &'a [Exchange]) -> Vec<(&'a Exchange, Kept, CachePolicy)> {
    let both = |exchange: &'a Exchange| {
        let kept = seawall.store(Seawall::key(exchange), exchange)?;
        let policy = Semantics::store(exchange)?;
        seawall.again(&kept, exchange, &mut Line::default())?;
        Semantics::again(&policy, exchange)?;
        Some((exchange, kept, policy))
    };
    exchanges.iter().filter_map(both).collect()
}

/// A short text in place, so that writing allocates nothing.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE_BYTES], length: 0 }
    }
}

impl Line {
    fn clear(&mut self) {
        self.length = 0;
    }

    /// What was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole texts are written.
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

fn target(exchange: &Exchange) -> Target<'_> {
    let uri = exchange.request.uri();
    Target {
        method: exchange.request.method().as_str(),
        tenant: "",
        scheme: "https",
        host: &exchange.host,
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
    }
}

fn time(after: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(ARRIVED) + after
}

/// Two fields of at most twenty digits each, and the words around them.
const LINE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    /// What is compared is the same work only when both come to the same decisions; where they do not, the corpus says
    /// something that one of them does differently on purpose.
    #[test]
    fn both_decide_alike() {
        let seawall = Seawall::default();
        let mut differ = Vec::new();
        for exchange in &corpus::read().expect("the corpus can be read") {
            let key = Seawall::key(exchange);
            let kept = seawall.first(&key, exchange).then(|| seawall.store(key, exchange)).flatten();
            let policy = Semantics::store(exchange);
            let own = kept.as_ref().and_then(|kept| seawall.again(kept, exchange, &mut Line::default())).is_some();
            let other = policy.as_ref().and_then(|policy| Semantics::again(policy, exchange)).is_some();
            if own != other {
                differ.push((exchange.request.uri().to_string(), own, other));
            }
        }
        let expect: [(String, bool, bool); 0] = [];
        assert_eq!(differ, expect);
    }
}
