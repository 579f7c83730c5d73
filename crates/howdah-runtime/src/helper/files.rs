//! /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, written into its bundle and mounted from there.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::relay;
use crate::{ContainerSpec, Dns, Network};

/// The three files, by name below /etc.
pub(super) const NAMES: [&str; 3] = ["hosts", HOSTNAME, "resolv.conf"];
/// The one that the steps of builds have none of.
pub(super) const HOSTNAME: &str = "hostname";
/// What every container's /etc/hosts begins with, as Docker writes it.
const LOOPBACK_HOSTS: [&str; 6] = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
];
/// Used when the host has only resolvers on its own loopback interface; Docker's choice.
const FALLBACK_SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];
/// systemd-resolved's file with the true upstream servers, which its stub on 127.0.0.53 hides.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// apt gives up when it cannot become `_apt` to fetch packages; it looks at who it is, so pretending does not help.
pub(super) const APT_AS_ROOT: &str = "APT::Sandbox::User \"root\";\n";
/// Where apt is told so.
pub(super) const APT_DIRECTORY: &str = "/etc/apt/apt.conf.d";

/// Writes the files into `bundle`.
pub(super) fn write(bundle: &Path, spec: &ContainerSpec) -> io::Result<()> {
    fs_err::write(bundle.join("hosts"), hosts(spec))?;
    fs_err::write(bundle.join("hostname"), format!("{}\n", hostname(spec)))?;
    let host = read_optional("/etc/resolv.conf")?;
    let own_loopback = spec.network != Network::Host;
    let host = if own_loopback && only_loopback(&host) {
        read_optional(UPSTREAM)?
    } else {
        host
    };
    let mut dns = spec.dns.clone();
    if spec.network == Network::Relayed && dns.servers.is_empty() {
        // It asks whom the host asks, also a resolver on the host's loopback interface.
        dns.servers = vec![IpAddr::V4(relay::NAME_SERVER)];
    }
    fs_err::write(
        bundle.join("resolv.conf"),
        resolv_conf(&dns, &host, own_loopback),
    )
}

/// The container's host name.
pub(super) fn hostname(spec: &ContainerSpec) -> String {
    if spec.hostname.is_empty() {
        spec.id.chars().take(12).collect()
    } else {
        spec.hostname.clone()
    }
}

fn hosts(spec: &ContainerSpec) -> String {
    let mut lines: Vec<String> = LOOPBACK_HOSTS
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    lines.extend(
        spec.hosts
            .iter()
            .map(|(address, name)| format!("{address}\t{name}\n")),
    );
    let hostname = hostname(spec);
    let names = match &spec.domainname {
        Some(domain) if !domain.is_empty() => format!("{hostname}.{domain} {hostname}"),
        _ => hostname,
    };
    if let Network::Bridged(endpoints) = &spec.network {
        let own = endpoints.iter().map(|endpoint| endpoint.address.addr());
        lines.extend(own.map(|address| format!("{address}\t{names}\n")));
    } else {
        // 127.0.1.1 as Debian's installer writes it: the name must resolve, or sudo and mail servers complain.
        lines.push(format!("127.0.1.1\t{names}\n"));
    }
    lines.concat()
}

fn resolv_conf(dns: &Dns, host: &str, own_loopback: bool) -> String {
    let from_host = dns.servers.is_empty();
    let mut servers: Vec<IpAddr> = if from_host {
        nameservers(host).collect()
    } else {
        dns.servers.clone()
    };
    if from_host && own_loopback {
        servers.retain(|server| !server.is_loopback());
        if servers.is_empty() {
            servers.extend(FALLBACK_SERVERS);
        }
    }
    let words = |own: &[String], keyword| match own {
        [] if from_host => last_value(host, keyword),
        [] => None,
        own => Some(own.join(" ")),
    };
    let search = words(&dns.search, "search").filter(|search| search != ".");
    let mut lines: Vec<String> = search
        .iter()
        .map(|search| format!("search {search}\n"))
        .collect();
    lines.extend(
        servers
            .iter()
            .map(|server| format!("nameserver {server}\n")),
    );
    lines.extend(words(&dns.options, "options").map(|options| format!("options {options}\n")));
    lines.concat()
}

fn only_loopback(text: &str) -> bool {
    nameservers(text).all(|server| server.is_loopback())
}

fn nameservers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver"))
            .then(|| words.next()?.parse().ok())
            .flatten()
    })
}

/// resolv.conf(5): of several `search` or `options` lines the last counts.
fn last_value(text: &str, keyword: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(keyword))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .map(|rest| rest.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .next_back()
}

fn read_optional(path: &str) -> io::Result<String> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    #[test]
    fn the_hosts_resolvers_are_used_but_for_its_loopback() {
        let host = "# comment\nsearch a\nsearch b c\nnameserver 127.0.0.53\nnameserver 10.0.0.1\noptions edns0\n";
        assert_eq!(
            resolv_conf(&Dns::default(), host, true),
            "search b c\nnameserver 10.0.0.1\noptions edns0\n"
        );
        assert!(resolv_conf(&Dns::default(), host, false).contains("127.0.0.53"));
        assert!(resolv_conf(&Dns::default(), "", true).contains("nameserver 8.8.8.8\n"));
    }

    #[test]
    fn own_servers_take_nothing_from_the_host() {
        let dns = Dns {
            servers: vec!["172.18.0.1".parse().unwrap()],
            options: vec!["ndots:0".to_owned()],
            ..Dns::default()
        };
        let text = resolv_conf(&dns, "search corp\nnameserver 10.0.0.1\n", true);
        assert_eq!(text, "nameserver 172.18.0.1\noptions ndots:0\n");
    }

    #[test]
    fn the_own_name_resolves_to_the_own_addresses() {
        let spec = ContainerSpec {
            id: "0123456789abcdef".to_owned(),
            domainname: Some("example.org".to_owned()),
            hosts: vec![("10.9.8.7".parse().unwrap(), "db".to_owned())],
            network: Network::Bridged(vec![Endpoint {
                bridge: "hb0".to_owned(),
                address: "10.0.0.2/24".parse().unwrap(),
                gateway: None,
                mac: None,
            }]),
            ..ContainerSpec::default()
        };
        let text = hosts(&spec);
        assert!(text.contains("10.9.8.7\tdb\n"));
        assert!(text.ends_with("10.0.0.2\t0123456789ab.example.org 0123456789ab\n"));
    }
}
