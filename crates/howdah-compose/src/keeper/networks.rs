//! Networks: a bridge for each, and an address for each container that stays the same as long as the container's name.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use howdah_image::Digest;
use howdah_runtime::network::{self, BridgeSpec, NetworkError, NetworkLock};
use ipnet::Ipv4Net;

use crate::model::{NetworkDefinition, NetworkMode};
use crate::stack::{Container, Goal, NetworkState, Stack};

/// A network that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackNetworkError {
    /// The kernel or the firewall refused.
    #[error("cannot make network `{name}`")]
    Make {
        /// The network.
        name: String,
        /// Why.
        source: NetworkError,
    },
    /// Networks of other stacks cannot be joined.
    #[error("network `{name}` is external, which is not supported yet")]
    External {
        /// The network.
        name: String,
    },
    /// No address left.
    #[error("no free address left in network `{name}` ({subnet})")]
    Full {
        /// The network.
        name: String,
        /// Its addresses.
        subnet: Ipv4Net,
    },
    /// A fixed address outside of the network, or taken.
    #[error("address {address} of service `{service}` {why} network `{name}` ({subnet})")]
    Address {
        /// The address.
        address: Ipv4Addr,
        /// The service.
        service: String,
        /// What is wrong with it.
        why: &'static str,
        /// The network.
        name: String,
        /// Its addresses.
        subnet: Ipv4Net,
    },
}

/// Waits for the machine's networks to be ours alone; `name` is the network it is for.
pub(crate) fn lock(name: &str) -> Result<NetworkLock, StackNetworkError> {
    NetworkLock::acquire().map_err(make_error(name))
}

/// Chooses a network's addresses; the bridge's name follows from the store and the network's name, so that it is found again.
pub(crate) fn choose(
    lock: &NetworkLock,
    definition: &NetworkDefinition,
    root: &Path,
    taken: &[Ipv4Net],
) -> Result<NetworkState, StackNetworkError> {
    let name = definition.name.clone();
    if definition.external {
        return Err(StackNetworkError::External { name });
    }
    let subnet = match definition.subnet {
        Some(subnet) => subnet.trunc(),
        None => network::free_subnet(lock, &[], taken).map_err(make_error(&name))?,
    };
    let gateway = definition
        .gateway
        .or_else(|| subnet.hosts().next())
        .unwrap_or(subnet.network());
    let digest = Digest::of(format!("{}\0{name}", root.display())).hex();
    Ok(NetworkState {
        name,
        bridge: format!("hd-{}", &digest[..12]),
        subnet,
        gateway,
        internal: definition.internal,
    })
}

/// Makes the bridge, or finds that it is there.
pub(crate) fn ensure(lock: &NetworkLock, state: &NetworkState) -> Result<(), StackNetworkError> {
    let spec = BridgeSpec {
        name: state.bridge.clone(),
        subnet: state.subnet,
        gateway: state.gateway,
        internal: state.internal,
    };
    network::ensure_bridge(lock, &spec).map_err(make_error(&state.name))
}

/// Removes the bridge and its rules.
pub(crate) fn remove(state: &NetworkState) -> Result<(), StackNetworkError> {
    let lock = lock(&state.name)?;
    network::remove_bridge(&lock, &state.bridge).map_err(make_error(&state.name))
}

fn make_error(name: &str) -> impl FnOnce(NetworkError) -> StackNetworkError + use<> {
    let name = name.to_owned();
    move |source| StackNetworkError::Make { name, source }
}

/// Gives every container an address on each of its networks: the fixed one, the one it had, or the lowest free one.
pub(crate) fn assign(stack: &mut Stack) -> Result<(), StackNetworkError> {
    let keys: Vec<String> = stack.networks.keys().cloned().collect();
    for key in keys {
        let network = stack.networks[&key].clone();
        let mut used: BTreeSet<Ipv4Addr> = BTreeSet::from([network.gateway]);
        let all = || stack.containers.values().map(newest);
        used.extend(all().filter_map(|container| container.addresses.get(&key)));
        used.extend(all().filter_map(|container| fixed(container, &key)));
        for container in stack.containers.values_mut() {
            let container = match &mut container.goal {
                Goal::Replace(next) => next.as_mut(),
                _ => container,
            };
            let NetworkMode::Networks(wanted) = &container.plan.service.container.network else {
                continue;
            };
            if !wanted.contains_key(&key) || container.addresses.contains_key(&key) {
                continue;
            }
            let address = match fixed(container, &key) {
                Some(address) => checked(address, container, &network)?,
                None => network
                    .subnet
                    .hosts()
                    .find(|address| !used.contains(address))
                    .ok_or_else(|| StackNetworkError::Full {
                        name: network.name.clone(),
                        subnet: network.subnet,
                    })?,
            };
            used.insert(address);
            container.addresses.insert(key.clone(), address);
        }
    }
    Ok(())
}

fn newest(container: &Container) -> &Container {
    match &container.goal {
        Goal::Replace(next) => next,
        _ => container,
    }
}

fn fixed(container: &Container, key: &str) -> Option<Ipv4Addr> {
    match &container.plan.service.container.network {
        NetworkMode::Networks(wanted) => wanted.get(key)?.address,
        _ => None,
    }
}

fn checked(
    address: Ipv4Addr,
    container: &Container,
    network: &NetworkState,
) -> Result<Ipv4Addr, StackNetworkError> {
    let why = if !network.subnet.contains(&address) {
        "is not in"
    } else if address == network.gateway {
        "is the gateway of"
    } else {
        return Ok(address);
    };
    let (name, subnet, service) = (
        network.name.clone(),
        network.subnet,
        container.service().to_owned(),
    );
    Err(StackNetworkError::Address {
        address,
        service,
        why,
        name,
        subnet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkAttachment;
    use crate::stack::testing::{make, plan, service};

    fn stack(fixed: &[(&str, Option<[u8; 4]>)]) -> Stack {
        let network = NetworkState {
            name: "p_net".to_owned(),
            bridge: "br".to_owned(),
            subnet: "10.0.0.0/29".parse().unwrap(),
            gateway: [10, 0, 0, 1].into(),
            internal: false,
        };
        let mut stack = Stack::default();
        stack.networks.insert("net".to_owned(), network);
        for (name, address) in fixed {
            let mut service = service(name);
            let attachment = NetworkAttachment {
                address: address.map(Into::into),
                ..NetworkAttachment::default()
            };
            service.container.network =
                NetworkMode::Networks([("net".to_owned(), attachment)].into());
            stack
                .containers
                .insert((*name).to_owned(), make(name, &plan(&service, false), 1));
        }
        stack
    }

    fn addresses(stack: &Stack) -> Vec<String> {
        stack
            .containers
            .values()
            .map(|container| container.addresses["net"].to_string())
            .collect()
    }

    #[test]
    fn the_lowest_free_one_and_never_one_that_is_fixed() {
        let mut stack = stack(&[("a", None), ("b", Some([10, 0, 0, 2])), ("c", None)]);
        assign(&mut stack).unwrap();
        assert_eq!(addresses(&stack), ["10.0.0.3", "10.0.0.2", "10.0.0.4"]);
        stack.containers.remove("a");
        assign(&mut stack).unwrap();
        assert_eq!(addresses(&stack), ["10.0.0.2", "10.0.0.4"]);
    }

    #[test]
    fn faults_name_the_service_and_the_network() {
        let fault =
            |fixed: &[(&str, Option<[u8; 4]>)]| assign(&mut stack(fixed)).unwrap_err().to_string();
        assert_eq!(
            fault(&[("a", Some([10, 0, 1, 2]))]),
            "address 10.0.1.2 of service `a` is not in network `p_net` (10.0.0.0/29)"
        );
        assert_eq!(
            fault(&[("a", Some([10, 0, 0, 1]))]),
            "address 10.0.0.1 of service `a` is the gateway of network `p_net` (10.0.0.0/29)"
        );
        let six: Vec<(&str, Option<[u8; 4]>)> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .map(|name| (*name, None))
            .collect();
        assert_eq!(
            fault(&six),
            "no free address left in network `p_net` (10.0.0.0/29)"
        );
    }
}
