//! Published ports: the short syntax, ranges, and their long form.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One published port of a service; ranges are already taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The port in the container.
    pub target: u16,
    /// The ports of the host that may be used, first and last; none = any free one.
    pub published: Option<(u16, u16)>,
    /// The address of the host to listen on; none = all.
    pub host_ip: Option<IpAddr>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port in the short syntax that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PortError {
    #[error("`{0}` is not a port")]
    Number(String),
    #[error("`{0}` is not a host address")]
    Address(String),
    #[error("`{0}` is not a protocol; tcp and udp can be published")]
    Protocol(String),
    #[error("the range `{0}` ends before it starts")]
    Backwards(String),
    #[error("the ranges `{published}` and `{target}` differ in length")]
    Lengths { published: String, target: String },
}

/// Reads `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`; a range of targets gives one port for each.
///
/// See <https://github.com/compose-spec/compose-spec/blob/main/05-services.md#ports>.
pub(crate) fn parse_short(text: &str) -> Result<Vec<Port>, PortError> {
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, protocol)) => (rest, parse_protocol(protocol)?),
        None => (text, Protocol::Tcp),
    };
    let (host, target_text) = rest
        .rsplit_once(':')
        .map_or((None, rest), |(host, target)| (Some(host), target));
    let (address, published_text) = match host {
        None => (None, ""),
        Some(host) => host
            .rsplit_once(':')
            .map_or((None, host), |(address, published)| {
                (Some(address), published)
            }),
    };
    let host_ip = address.map(parse_address).transpose()?.flatten();
    let targets = parse_range(target_text)?;
    let published = if published_text.is_empty() {
        None
    } else {
        Some(parse_range(published_text)?)
    };
    pair(targets, published, |target, published| Port {
        target,
        published,
        host_ip,
        protocol,
    })
    .ok_or_else(|| PortError::Lengths {
        published: published_text.to_owned(),
        target: target_text.to_owned(),
    })
}

pub(crate) fn parse_protocol(text: &str) -> Result<Protocol, PortError> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(PortError::Protocol(text.to_owned())),
    }
}

pub(crate) fn parse_address(text: &str) -> Result<Option<IpAddr>, PortError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map(Some)
        .map_err(|_| PortError::Address(text.to_owned()))
}

/// `80` or `80-90`.
pub(crate) fn parse_range(text: &str) -> Result<(u16, u16), PortError> {
    let number = |part: &str| {
        part.parse::<u16>()
            .map_err(|_| PortError::Number(part.to_owned()))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if last < first {
        return Err(PortError::Backwards(text.to_owned()));
    }
    Ok((first, last))
}

/// Pairs targets with published ports one by one; a single target may take any of a published range.
fn pair(
    targets: (u16, u16),
    published: Option<(u16, u16)>,
    make: impl Fn(u16, Option<(u16, u16)>) -> Port,
) -> Option<Vec<Port>> {
    let (first, last) = targets;
    match published {
        None => Some((first..=last).map(|target| make(target, None)).collect()),
        Some(range) if first == last => Some(vec![make(first, Some(range))]),
        Some((from, to)) if to - from == last - first => Some(
            (first..=last)
                .zip(from..=to)
                .map(|(target, host)| make(target, Some((host, host))))
                .collect(),
        ),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse_short(text) {
            Err(error) => error.to_string(),
            Ok(ports) => ports
                .iter()
                .map(|port| {
                    let host = port.host_ip.map_or(String::new(), |ip| format!("{ip} "));
                    let published = port.published.map_or("any".to_owned(), |(a, b)| {
                        if a == b {
                            a.to_string()
                        } else {
                            format!("{a}-{b}")
                        }
                    });
                    format!("{host}{published}>{}/{}", port.target, port.protocol)
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn short_syntax_table() {
        let table = [
            ("3000", "any>3000/tcp"),
            ("3000-3002", "any>3000/tcp any>3001/tcp any>3002/tcp"),
            ("8000:8000", "8000>8000/tcp"),
            ("9090-9091:8080-8081", "9090>8080/tcp 9091>8081/tcp"),
            ("8000-9000:80", "8000-9000>80/tcp"),
            ("127.0.0.1:8001:8001", "127.0.0.1 8001>8001/tcp"),
            ("127.0.0.1::5000", "127.0.0.1 any>5000/tcp"),
            ("[::1]:6060:6060/udp", "::1 6060>6060/udp"),
            ("6060:6060/UDP", "6060>6060/udp"),
            ("http", "`http` is not a port"),
            ("70000", "`70000` is not a port"),
            (
                "80:80/sctp",
                "`sctp` is not a protocol; tcp and udp can be published",
            ),
            ("90-80", "the range `90-80` ends before it starts"),
            ("1-3:1-2", "the ranges `1-3` and `1-2` differ in length"),
            ("host:80:80", "`host` is not a host address"),
        ];
        for (text, expected) in table {
            assert_eq!(show(text), expected, "{text}");
        }
    }
}
