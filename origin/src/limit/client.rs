//! Who is asking, as limits count it.

use std::net::IpAddr;

use http::HeaderMap;
use seawall_core::limit::LimitId;

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A client as limits count it: one IPv4 address, or one IPv6 /64, which is what one household or host gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client(u64);

/// Above every IPv6 unicast prefix: ffff::/16 is multicast and never a client.
const IPV4: u64 = 0xffff << 48;

impl Client {
    /// The client behind `hops` proxies that we trust. Each of them has added the address it was asked from to
    /// `X-Forwarded-For`, so the last `hops` entries are true and what stands before them is the client's own word. A
    /// request with fewer entries did not come through all of them: its peer counts.
    pub(super) fn of(peer: Option<IpAddr>, headers: &HeaderMap, hops: usize) -> Self {
        let named = hops.checked_sub(1).and_then(|skipped| {
            let values = headers.get_all("x-forwarded-for").iter().rev();
            let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
            std::str::from_utf8(entries.nth(skipped)?).ok()?.trim().parse::<IpAddr>().ok()
        });
        match named.or(peer).map(|address| address.to_canonical()) {
            None => Self(0),
            Some(IpAddr::V4(address)) => Self(IPV4 | u64::from(address.to_bits())),
            // The upper half is the network.
            Some(IpAddr::V6(address)) => Self((address.to_bits() >> 64) as u64),
        }
    }

    /// The key of this client under one limit.
    pub(super) const fn key(self, limit: LimitId) -> u128 {
        (self.0 as u128) << 64 | limit.0 as u128
    }

    /// What all keys of this client have in common.
    pub(super) const fn partition(self) -> u128 {
        self.0 as u128
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(address: &str) -> Client {
        Client::of(Some(address.parse().unwrap()), &HeaderMap::new(), 0)
    }

    #[test]
    fn only_what_trusted_proxies_added_counts() {
        for (fields, hops, expected) in [
            (&["198.51.100.1"][..], 0, "203.0.113.9"),
            (&["198.51.100.1"], 1, "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1"], 1, "198.51.100.1"),
            (&["6.6.6.6,198.51.100.1 ,192.0.2.7"], 2, "198.51.100.1"),
            (&["6.6.6.6", "198.51.100.1", "192.0.2.7"], 2, "198.51.100.1"),
            (&["198.51.100.1"], 2, "203.0.113.9"),
            (&["not an address"], 1, "203.0.113.9"),
            (&[""], 1, "203.0.113.9"),
            (&[], 1, "203.0.113.9"),
        ] {
            let fields =
                fields.iter().map(|field| ("x-forwarded-for".parse().unwrap(), HeaderValue::from_static(field)));
            let headers: HeaderMap = fields.collect();
            let peer = Some("203.0.113.9".parse().unwrap());
            assert_eq!(Client::of(peer, &headers, hops), client(expected), "{headers:?} {hops}");
        }
    }

    #[test]
    fn an_ipv6_household_is_one_client_and_an_ipv4_address_is_one() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("::1"), client("0.0.0.1"));
        assert_eq!(Client::of(None, &HeaderMap::new(), 1), Client::of(None, &HeaderMap::new(), 0));
    }
}
