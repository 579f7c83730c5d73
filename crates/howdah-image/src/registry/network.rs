//! Hosts as addresses: with or without a port, on this machine or in a network.

use std::net::IpAddr;

/// The host without its port.
pub(super) fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => &host[..rest.find(']').map_or(host.len(), |end| end + 2)],
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether the host is this machine by its loopback interface.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = name_of(host).trim_matches(['[', ']']);
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A network in CIDR notation (RFC 4632).
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        Some(Self {
            address: address.parse().ok()?,
            bits: bits.parse().ok()?,
        })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (address, self.address) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let mask = u32::MAX
                    .checked_shl(32_u32.saturating_sub(self.bits))
                    .unwrap_or(0);
                address.to_bits() & mask == network.to_bits() & mask
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let mask = u128::MAX
                    .checked_shl(128_u32.saturating_sub(self.bits))
                    .unwrap_or(0);
                address.to_bits() & mask == network.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let contains = |network: &str, address: &str| {
            Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("10.1.0.0/16", "10.1.255.1") && !contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8") && contains("10.0.0.1/32", "10.0.0.1"));
        assert!(contains("fd00::/8", "fd12::1") && !contains("fd00::/8", "10.0.0.1"));
        assert!(Network::parse("10.0.0.1").is_none() && Network::parse("a/8").is_none());
    }

    #[test]
    fn a_port_is_no_part_of_the_name() {
        assert_eq!(name_of("[::1]:5000"), "[::1]");
        assert_eq!(name_of("a.io:5000"), "a.io");
        assert_eq!(name_of("a.io"), "a.io");
    }
}
