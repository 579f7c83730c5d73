//! Making and removing bridges, idempotently.

use std::io;
use std::net::Ipv4Addr;

use fs_err::File;
use ipnet::Ipv4Net;

use super::netlink::{Interface, Netlink, mac_of};
use super::{BridgeSpec, During, NetworkError, firewall};

const LOCK: &str = "/run/howdah/network.lock";

/// Held by who chooses addresses or changes bridges and rules, one on the whole machine, so that two stacks coming up do
/// not take each other's network or table.
#[derive(Debug)]
pub struct NetworkLock {
    _file: File,
}

impl NetworkLock {
    /// Waits until nobody else has it.
    pub fn acquire() -> Result<NetworkLock, NetworkError> {
        let open = || -> io::Result<File> {
            fs_err::create_dir_all("/run/howdah")?;
            let file = File::create(LOCK)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok(file)
        };
        let file = open().during(|| "lock the network".to_owned())?;
        Ok(NetworkLock { _file: file })
    }
}

/// Makes the bridge what `spec` says, or leaves it as it is when it is that already. Turns IPv4 forwarding on, as any
/// network with a way out needs.
pub fn ensure_bridge(_lock: &NetworkLock, spec: &BridgeSpec) -> Result<(), NetworkError> {
    validate(spec)?;
    let mut netlink = Netlink::open().during(|| "open a netlink socket".to_owned())?;
    let interface = ensure_interface(&mut netlink, spec)?;
    ensure_address(&mut netlink, spec, interface)?;
    if !interface.is_up {
        netlink
            .set_up(interface.index)
            .during(|| format!("bring bridge `{}` up", spec.name))?;
    }
    enable_forwarding()?;
    firewall::ensure(spec)
}

/// Removes the bridge and its rules. Nothing happens when there is none.
pub fn remove_bridge(_lock: &NetworkLock, name: &str) -> Result<(), NetworkError> {
    validate_name(name)?;
    let mut netlink = Netlink::open().during(|| "open a netlink socket".to_owned())?;
    let interface = netlink
        .interface(name)
        .during(|| format!("look for bridge `{name}`"))?;
    if let Some(interface) = interface.filter(|interface| interface.is_bridge) {
        netlink
            .delete(interface.index)
            .during(|| format!("remove bridge `{name}`"))?;
    }
    firewall::remove(name)
}

fn validate(spec: &BridgeSpec) -> Result<(), NetworkError> {
    validate_name(&spec.name)?;
    let usable = |address: Ipv4Addr| {
        spec.subnet.contains(&address)
            && address != spec.subnet.network()
            && address != spec.subnet.broadcast()
    };
    if spec.subnet.prefix_len() > 30 {
        return Err(NetworkError::Invalid(format!(
            "network {} is too small for containers",
            spec.subnet
        )));
    }
    if !usable(spec.gateway) {
        return Err(NetworkError::Invalid(format!(
            "gateway {} is no address of {}",
            spec.gateway, spec.subnet
        )));
    }
    Ok(())
}

/// The name ends up in firewall rules and in /proc paths, so only harmless characters are let through.
fn validate_name(name: &str) -> Result<(), NetworkError> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty()
        || name.len() > 15
        || name == "."
        || name == ".."
        || !name.bytes().all(harmless)
    {
        return Err(NetworkError::Invalid(format!(
            "`{name}` is no bridge name: 1 to 15 letters, digits, `-`, `_`, `.`"
        )));
    }
    Ok(())
}

fn ensure_interface(netlink: &mut Netlink, spec: &BridgeSpec) -> Result<Interface, NetworkError> {
    let looking = || format!("look for bridge `{}`", spec.name);
    if let Some(interface) = netlink.interface(&spec.name).during(looking)? {
        if !interface.is_bridge {
            return Err(NetworkError::Invalid(format!(
                "interface `{}` exists and is no bridge",
                spec.name
            )));
        }
        return Ok(interface);
    }
    netlink
        .add_bridge(&spec.name, mac_of(spec.gateway))
        .during(|| format!("add bridge `{}`", spec.name))?;
    let interface = netlink.interface(&spec.name).during(looking)?;
    interface.ok_or_else(|| {
        NetworkError::Invalid(format!(
            "bridge `{}` vanished while it was set up",
            spec.name
        ))
    })
}

/// Leaves exactly the gateway's address on the bridge.
fn ensure_address(
    netlink: &mut Netlink,
    spec: &BridgeSpec,
    interface: Interface,
) -> Result<(), NetworkError> {
    let invalid = |_| {
        NetworkError::Invalid(format!(
            "gateway {} is no address of {}",
            spec.gateway, spec.subnet
        ))
    };
    let wanted = Ipv4Net::new(spec.gateway, spec.subnet.prefix_len()).map_err(invalid)?;
    let addresses = netlink.addresses().during(|| "list addresses".to_owned())?;
    let mut present = false;
    for (index, address) in addresses {
        if index == interface.index {
            if address == wanted {
                present = true;
            } else {
                netlink
                    .delete_address(index, address)
                    .during(|| format!("remove address {address} from bridge `{}`", spec.name))?;
            }
        } else if address.contains(&spec.subnet) || spec.subnet.contains(&address) {
            return Err(NetworkError::Invalid(format!(
                "network {} clashes with the host's address {address}",
                spec.subnet
            )));
        }
    }
    if present {
        return Ok(());
    }
    netlink
        .add_address(interface.index, wanted)
        .during(|| format!("give bridge `{}` the address {wanted}", spec.name))
}

fn enable_forwarding() -> Result<(), NetworkError> {
    const SETTING: &str = "/proc/sys/net/ipv4/ip_forward";
    let current =
        fs_err::read_to_string(SETTING).during(|| "read net.ipv4.ip_forward".to_owned())?;
    if current.trim() == "1" {
        return Ok(());
    }
    fs_err::write(SETTING, "1").during(|| "turn net.ipv4.ip_forward on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, subnet: &str, gateway: &str) -> BridgeSpec {
        BridgeSpec {
            name: name.to_owned(),
            subnet: subnet.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
            internal: false,
        }
    }

    #[test]
    fn names_that_could_break_out_of_a_rule_are_refused() {
        for name in ["", "a b", "a\";drop", "../x", "1234567890123456", ".."] {
            assert!(
                validate(&spec(name, "10.0.0.0/24", "10.0.0.1")).is_err(),
                "{name:?}"
            );
        }
        validate(&spec("howdah-1.a_b", "10.0.0.0/24", "10.0.0.1")).unwrap();
    }

    #[test]
    fn the_gateway_must_be_a_host_of_the_network() {
        for gateway in ["10.0.0.0", "10.0.0.255", "10.0.1.1"] {
            assert!(
                validate(&spec("b", "10.0.0.0/24", gateway)).is_err(),
                "{gateway}"
            );
        }
        assert!(validate(&spec("b", "10.0.0.0/31", "10.0.0.1")).is_err());
    }
}
