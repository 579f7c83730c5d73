//! Joining a container to its bridges, from the outside, between its creation and its start.

use std::io;
use std::os::fd::AsFd;

use fs_err::File;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink::{Cable, Netlink, mac_of};
use super::{During, NetworkError};
use crate::Endpoint;

/// Gives the network namespace of process `pid` its loopback interface and one interface per endpoint.
///
pub(crate) fn attach(pid: u32, endpoints: &[Endpoint]) -> Result<(), NetworkError> {
    for (number, endpoint) in endpoints.iter().enumerate() {
        connect(pid, number, endpoint)?;
    }
    let mut netlink = open_inside(pid).during(|| "enter the container's network".to_owned())?;
    bring_up(&mut netlink, "lo")?;
    for (number, endpoint) in endpoints.iter().enumerate() {
        let name = format!("eth{number}");
        let index = bring_up(&mut netlink, &name)?;
        netlink
            .add_address(index, endpoint.address)
            .during(|| format!("give `{name}` the address {}", endpoint.address))?;
    }
    if let Some(gateway) = endpoints.iter().find_map(|endpoint| endpoint.gateway) {
        netlink
            .add_default_route(gateway)
            .during(|| format!("set the default route to {gateway}"))?;
    }
    Ok(())
}

fn connect(pid: u32, number: usize, endpoint: &Endpoint) -> Result<(), NetworkError> {
    let mut netlink = Netlink::open().during(|| "open a netlink socket".to_owned())?;
    let bridge = netlink
        .interface(&endpoint.bridge)
        .during(|| format!("look for bridge `{}`", endpoint.bridge))?;
    let bridge = bridge.filter(|bridge| bridge.is_bridge).ok_or_else(|| {
        NetworkError::Invalid(format!("there is no bridge `{}`", endpoint.bridge))
    })?;
    // Named after the process, so the name is free; the kernel removes the cable with the container's namespace.
    let host_name = format!("hv{pid}.{number}");
    let cable = Cable {
        host_name: &host_name,
        bridge: bridge.index,
        container_name: &format!("eth{number}"),
        container_mac: mac(endpoint)?,
        container_pid: pid,
    };
    netlink
        .add_cable(&cable)
        .during(|| format!("connect the container to bridge `{}`", endpoint.bridge))
}

fn bring_up(netlink: &mut Netlink, name: &str) -> Result<u32, NetworkError> {
    let interface = netlink
        .interface(name)
        .during(|| format!("look for the container's `{name}`"))?;
    let interface = interface
        .ok_or_else(|| NetworkError::Invalid(format!("the container has no interface `{name}`")))?;
    netlink
        .set_up(interface.index)
        .during(|| format!("bring the container's `{name}` up"))?;
    Ok(interface.index)
}

/// A netlink socket keeps the namespace in which it was opened. It is opened by a thread that ends inside: in a user
/// namespace there is no way back to the host's network, which belongs to the first one (setns(2)).
fn open_inside(pid: u32) -> io::Result<Netlink> {
    let inside = File::open(format!("/proc/{pid}/ns/net"))?;
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network))?;
            Netlink::open()
        });
        opened
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn mac(endpoint: &Endpoint) -> Result<[u8; 6], NetworkError> {
    match &endpoint.mac {
        Some(text) => parse_mac(text)
            .ok_or_else(|| NetworkError::Invalid(format!("`{text}` is no hardware address"))),
        None => Ok(mac_of(endpoint.address.addr())),
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // The lowest bit of the first byte marks a group address, which no interface may have (IEEE 802).
    (parts.next().is_none() && bytes[0] & 1 == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_parsed_strictly() {
        assert_eq!(
            parse_mac("02:42:ac:11:00:02"),
            Some([0x02, 0x42, 0xac, 0x11, 0, 2])
        );
        for text in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "0:42:ac:11:00:02",
            "03:42:ac:11:00:02",
            "zz:42:ac:11:00:02",
        ] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
