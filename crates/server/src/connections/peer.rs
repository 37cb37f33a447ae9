//! Who is at the other end, as far as connections are counted.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// The part of an IPv6 address that one caller usually has to itself: whoever has one address of
/// a /64 has all of them.
const IPV6_PREFIX: u8 = 64;

/// A caller: an IPv4 address, or a network of IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                Self(Ipv6Addr::from(prefix_v6(address.to_bits(), IPV6_PREFIX)).into())
            }
            address => Self(address),
        }
    }
}

/// A network such as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PeerNetwork {
    address: IpAddr,
    prefix: u8,
}

/// A string that is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as \"10.0.0.0/8\"")]
pub struct PeerNetworkError(String);

impl PeerNetwork {
    /// Returns whether an address belongs to this network.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let prefix = |bits: u32| bits.checked_shr(32 - u32::from(self.prefix));
                prefix(network.to_bits()) == prefix(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                prefix_v6(network.to_bits(), self.prefix)
                    == prefix_v6(address.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

fn prefix_v6(bits: u128, prefix: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix));
    bits & mask.unwrap_or_default()
}

impl FromStr for PeerNetwork {
    type Err = PeerNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PeerNetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let address = address.to_canonical();
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| error())?,
            None => longest,
        };
        if prefix > longest {
            return Err(error());
        }
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for PeerNetwork {
    type Error = PeerNetworkError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: PeerNetwork = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_with_its_prefix() {
        assert!(contains("10.1.0.0/16", "10.1.2.3"));
        assert!(!contains("10.1.0.0/16", "10.2.2.3"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("0.0.0.0/0", "192.168.0.1") && !contains("0.0.0.0/0", "::2"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db9::1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        let peer = |address: &str| Peer::of(address.parse().unwrap());
        assert_eq!(peer("::ffff:10.1.2.3"), peer("10.1.2.3"));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_peer() {
        let peer = |address: &str| Peer::of(address.parse().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "proxy",
            "10.0.0.1/",
        ] {
            let error = text.parse::<PeerNetwork>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
