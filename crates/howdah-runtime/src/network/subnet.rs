//! Choosing a network that clashes with nothing on this machine.

use ipnet::Ipv4Net;

use super::netlink::Netlink;
use super::{During, NetworkError, NetworkLock};

/// Used when the caller names no pool: Docker's, without the network of its default bridge.
const DEFAULT_POOLS: [&str; 4] = [
    "172.18.0.0/15",
    "172.20.0.0/14",
    "172.24.0.0/13",
    "192.168.0.0/16",
];

/// A private /24 from `pools` that clashes with no route and no address of this machine and with none of `taken`.
/// Without pools: 172.18.0.0 to 172.31.255.255, then 192.168.0.0/16, as Docker has them. Free as long as the lock is
/// held; whoever makes the bridge under it keeps the subnet.
pub fn free_subnet(
    _lock: &NetworkLock,
    pools: &[Ipv4Net],
    taken: &[Ipv4Net],
) -> Result<Ipv4Net, NetworkError> {
    let mut netlink = Netlink::open().during(|| "open a netlink socket".to_owned())?;
    let mut used = netlink
        .route_destinations()
        .during(|| "list routes".to_owned())?;
    let addresses = netlink.addresses().during(|| "list addresses".to_owned())?;
    used.extend(addresses.into_iter().map(|(_, address)| address.trunc()));
    used.extend_from_slice(taken);
    let defaults: Vec<Ipv4Net> = DEFAULT_POOLS
        .iter()
        .filter_map(|pool| pool.parse().ok())
        .collect();
    let pools = if pools.is_empty() { &defaults } else { pools };
    first_free(pools, &used).ok_or_else(|| {
        let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
        NetworkError::PoolExhausted {
            pools: pools.join(", "),
        }
    })
}

fn first_free(pools: &[Ipv4Net], used: &[Ipv4Net]) -> Option<Ipv4Net> {
    let clashes = |subnet: &Ipv4Net| {
        used.iter()
            .any(|other| other.contains(subnet) || subnet.contains(other))
    };
    // A pool smaller than /24 is itself the only candidate.
    pools
        .iter()
        .flat_map(|pool| {
            pool.trunc()
                .subnets(pool.prefix_len().max(24))
                .into_iter()
                .flatten()
        })
        .find(|subnet| !clashes(subnet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_wider_or_narrower_neighbour_is_a_clash() {
        let pool = nets(&["10.0.0.0/22"]);
        assert_eq!(first_free(&pool, &[]), Some("10.0.0.0/24".parse().unwrap()));
        assert_eq!(
            first_free(&pool, &nets(&["10.0.0.0/23"])),
            Some("10.0.2.0/24".parse().unwrap())
        );
        assert_eq!(
            first_free(&pool, &nets(&["10.0.0.128/32", "10.0.1.7/32"])),
            Some("10.0.2.0/24".parse().unwrap())
        );
        assert_eq!(first_free(&pool, &nets(&["10.0.0.0/8"])), None);
    }

    #[test]
    fn a_pool_smaller_than_a_subnet_is_taken_whole() {
        assert_eq!(
            first_free(&nets(&["10.0.0.64/26"]), &[]),
            Some("10.0.0.64/26".parse().unwrap())
        );
    }
}
