//! Who is asking, as limits count it.

use core::net::IpAddr;

use seawall_core::limit::LimitId;
use serde::{Deserialize, Serialize};

/// A client as limits count it: one IPv4 address, or one IPv6 /64, which is what one household or host gets.
///
/// The encoding is exact: two clients never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client(u64);

impl Client {
    /// The client behind `address`. Requests whose address the platform does not know count as one client.
    #[must_use]
    pub fn new(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self(0),
            Some(IpAddr::V4(address)) => Self(IPV4 | u64::from(address.to_bits())),
            Some(IpAddr::V6(address)) => Self((address.to_bits() >> 64) as u64),
        }
    }

    /// The number, for keys elsewhere.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The key of this client under one limit.
    #[must_use]
    pub const fn key(self, limit: LimitId) -> u128 {
        (self.0 as u128) << 64 | limit.0 as u128
    }

    /// Which of `shards` authorities keeps this client. All limits of a client have one authority, so that they
    /// are decided together.
    #[must_use]
    pub const fn shard(self, shards: u64) -> u64 {
        // Neighbouring addresses must not crowd one shard, so their differences are spread first.
        (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (shards - 1)
    }
}

/// Above every IPv6 unicast prefix: ffff::/16 is multicast and never a client.
const IPV4: u64 = 0xffff << 48;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn client(address: &str) -> Client {
        Client::new(Some(address.parse().unwrap()))
    }

    #[test]
    fn an_ipv6_household_is_one_client_and_an_ipv4_address_is_one() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("::1"), client("0.0.0.1"));
        assert_eq!(Client::new(None), Client::new(None));
    }

    #[test]
    fn neighbours_spread_over_the_shards() {
        let shards: HashSet<u64> = (0..=255).map(|last| client(&format!("192.0.2.{last}")).shard(32)).collect();
        assert_eq!(shards.len(), 32);
        assert!(shards.iter().all(|shard| *shard < 32));
    }
}
