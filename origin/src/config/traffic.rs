//! Who counts requests, who is believed, and who is told which pages are old.

use std::ops::RangeInclusive;

use seawall_upstash::Upstash;

use super::{Reader, Secret, http_server, secret, var};

/// Who counts requests, and where.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `RATE_LIMITS`: whether this process counts at all.
    pub on: bool,
    /// `REDIS_URL`: where counters live that all processes share.
    pub redis_url: Option<Secret>,
    /// `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN`: the same at Upstash, where there is no other.
    pub upstash: Option<Upstash>,
    /// `TRUSTED_PROXY_HOPS`: how many entries of `X-Forwarded-For`, from its end, our own proxies have written.
    pub trusted_proxy_hops: usize,
    /// `EDGE_SECRET`: what requests show whose `X-Forwarded-For` is believed.
    pub edge_secret: Option<Secret>,
}

/// The edge, as far as it is told which pages are old.
#[derive(Clone, Debug)]
pub struct Purge {
    /// `PURGE_URL`, without a slash at the end.
    pub url: String,
    /// `PURGE_SECRET`: its control secret.
    pub secret: Secret,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn limits(&mut self) -> Limits {
        Limits {
            on: self.parse(&var::RATE_LIMITS, true, |value| match value {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            }),
            redis_url: self.checked(&var::REDIS_URL, redis_url).map(Secret::new),
            upstash: self.upstash(),
            trusted_proxy_hops: self.number(&var::TRUSTED_PROXY_HOPS, PROXY_HOPS),
            edge_secret: self.checked(&var::EDGE_SECRET, secret),
        }
    }

    fn upstash(&mut self) -> Option<Upstash> {
        let url = self.checked(&var::UPSTASH_REDIS_REST_URL, |url| upstash(url, "token").map(|_| url.to_owned()));
        let token = self.checked(&var::UPSTASH_REDIS_REST_TOKEN, |token| {
            upstash("https://upstash.example", token).map(|_| token.to_owned())
        });
        if url.is_some() != token.is_some() {
            let advice =
                "  UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN need each other: one of them is not set";
            self.refused.push(advice.to_owned());
        }
        upstash(&url?, &token?)
    }

    pub(super) fn purge(&mut self) -> Option<Purge> {
        let url = self.checked(&var::PURGE_URL, http_server);
        let secret = self.checked(&var::PURGE_SECRET, secret);
        if url.is_some() != secret.is_some() {
            self.refused.push("  PURGE_URL and PURGE_SECRET need each other: one of them is not set".to_owned());
        }
        url.zip(secret).map(|(url, secret)| Purge { url, secret })
    }
}

/// More proxies than a request has ever been through.
const PROXY_HOPS: RangeInclusive<usize> = 0..=8;

fn upstash(url: &str, token: &str) -> Option<Upstash> {
    Upstash::new(url, token).ok()
}

fn redis_url(value: &str) -> Option<String> {
    redis::Client::open(value).is_ok().then(|| value.to_owned())
}
