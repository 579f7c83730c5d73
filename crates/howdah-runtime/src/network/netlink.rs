//! rtnetlink(7) over one blocking socket: what a single-threaded helper needs, without an asynchronous runtime.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;

/// The kernel never puts more than 32 KiB of a dump into one datagram (`netlink_dump` in `net/netlink/af_netlink.c`).
const RECEIVE_BYTES: usize = 32 * 1024;

/// A socket to the network namespace in which it was opened.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// An interface of that namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) is_bridge: bool,
    pub(crate) is_up: bool,
}

/// A virtual cable: one end stays here as a port of a bridge, the other goes into a process's network namespace.
#[derive(Debug)]
pub(crate) struct Cable<'a> {
    pub(crate) host_name: &'a str,
    pub(crate) bridge: u32,
    pub(crate) container_name: &'a str,
    pub(crate) container_mac: [u8; 6],
    pub(crate) container_pid: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The interface of that name, or `None`.
    pub(crate) fn interface(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        let replies = match self.request(RouteNetlinkMessage::GetLink(message), NLM_F_ACK) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => return Ok(None),
            replies => replies?,
        };
        Ok(replies.iter().find_map(|reply| match reply {
            RouteNetlinkMessage::NewLink(link) => Some(Interface {
                index: link.header.index,
                is_bridge: is_bridge(link),
                is_up: link.header.flags.contains(LinkFlags::Up),
            }),
            _ => None,
        }))
    }

    /// Adds a bridge, down and without addresses. The hardware address is set because a bridge without one takes its
    /// ports' lowest, so that it would change under the neighbours' caches as containers come and go.
    pub(crate) fn add_bridge(&mut self, name: &str, mac: [u8; 6]) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        message
            .attributes
            .push(LinkAttribute::Address(mac.to_vec()));
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Bridge,
            )]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    /// Adds a cable; the container's end appears in its namespace at once, so that nothing is left here if we die.
    pub(crate) fn add_cable(&mut self, cable: &Cable<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes
            .push(LinkAttribute::IfName(cable.container_name.to_owned()));
        peer.attributes
            .push(LinkAttribute::Address(cable.container_mac.to_vec()));
        peer.attributes
            .push(LinkAttribute::NetNsPid(cable.container_pid));
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message
            .attributes
            .push(LinkAttribute::IfName(cable.host_name.to_owned()));
        message
            .attributes
            .push(LinkAttribute::Controller(cable.bridge));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    pub(crate) fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK)
            .map(drop)
    }

    pub(crate) fn delete(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.request(RouteNetlinkMessage::DelLink(message), NLM_F_ACK)
            .map(drop)
    }

    pub(crate) fn add_address(&mut self, index: u32, address: Ipv4Net) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = address.prefix_len();
        message.header.index = index;
        message
            .attributes
            .push(AddressAttribute::Local(IpAddr::V4(address.addr())));
        message
            .attributes
            .push(AddressAttribute::Address(IpAddr::V4(address.addr())));
        message
            .attributes
            .push(AddressAttribute::Broadcast(address.broadcast()));
        self.create(RouteNetlinkMessage::NewAddress(message))
    }

    pub(crate) fn delete_address(&mut self, index: u32, address: Ipv4Net) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = address.prefix_len();
        message.header.index = index;
        message
            .attributes
            .push(AddressAttribute::Local(IpAddr::V4(address.addr())));
        self.request(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK)
            .map(drop)
    }

    pub(crate) fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = 254; // RT_TABLE_MAIN
        message.header.protocol = RouteProtocol::Boot;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message
            .attributes
            .push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        self.create(RouteNetlinkMessage::NewRoute(message))
    }

    /// All IPv4 addresses, with the index of their interface.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(u32, Ipv4Net)>> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        let replies = self.request(RouteNetlinkMessage::GetAddress(message), NLM_F_DUMP)?;
        Ok(replies
            .iter()
            .filter_map(|reply| match reply {
                RouteNetlinkMessage::NewAddress(address) => {
                    let local =
                        address
                            .attributes
                            .iter()
                            .find_map(|attribute| match attribute {
                                AddressAttribute::Local(IpAddr::V4(local)) => Some(*local),
                                _ => None,
                            })?;
                    Some((
                        address.header.index,
                        Ipv4Net::new(local, address.header.prefix_len).ok()?,
                    ))
                }
                _ => None,
            })
            .collect())
    }

    /// Destinations of all IPv4 routes but the default ones.
    pub(crate) fn route_destinations(&mut self) -> io::Result<Vec<Ipv4Net>> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let replies = self.request(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
        Ok(replies
            .iter()
            .filter_map(|reply| match reply {
                RouteNetlinkMessage::NewRoute(route) => {
                    let destination =
                        route
                            .attributes
                            .iter()
                            .find_map(|attribute| match attribute {
                                RouteAttribute::Destination(RouteAddress::Inet(destination)) => {
                                    Some(*destination)
                                }
                                _ => None,
                            })?;
                    Ipv4Net::new(destination, route.header.destination_prefix_length).ok()
                }
                _ => None,
            })
            .collect())
    }

    fn create(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
            .map(drop)
    }

    /// Sends one request and collects the answers up to its acknowledgement or the end of its dump.
    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut replies = Vec::new();
        loop {
            let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
            self.socket.recv(&mut buffer, 0)?;
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(io::Error::other)?;
                // Messages are padded to four bytes (NLMSG_ALIGN).
                let length = (reply.header.length as usize)
                    .next_multiple_of(4)
                    .min(rest.len());
                rest = &rest[length.max(1)..];
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(message) => replies.push(message),
                    NetlinkPayload::Done(_) => return Ok(replies),
                    NetlinkPayload::Error(error) => {
                        return if error.code.is_none() {
                            Ok(replies)
                        } else {
                            Err(error.to_io())
                        };
                    }
                    _ => {}
                }
            }
        }
    }
}

fn is_bridge(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| {
        matches!(attribute, LinkAttribute::LinkInfo(infos)
            if infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Bridge))))
    })
}

/// Docker's hardware address for an IPv4 address: locally administered, and the same each time the address is used, so
/// that neighbours' caches stay right.
pub(crate) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}
