//! The port words of `EXPOSE`: `[[ip:]host:]port[-port][/protocol]`.

use std::net::IpAddr;

use crate::{Expose, Fault, PortRange, Word};

impl Expose {
    /// Reads the ports; call it on an expanded instruction.
    pub fn ranges(&self) -> Result<Vec<PortRange>, Fault> {
        self.ports.iter().map(read).collect()
    }

    /// The words that say what they say without any expansion are checked while parsing.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let plain = |word: &&Word| !word.text.contains(['$', '"', '\'', '\\', '`']);
        self.ports
            .iter()
            .filter(plain)
            .try_for_each(|word| read(word).map(drop))
    }
}

impl PortRange {
    /// Each port as the image configuration writes it: `80/tcp`.
    pub fn ports(&self) -> impl Iterator<Item = String> + '_ {
        (self.first..=self.last).map(|port| format!("{port}/{}", self.protocol))
    }
}

fn read(word: &Word) -> Result<PortRange, Fault> {
    let text = word.text.as_str();
    let fault = |what: String| {
        Fault::error(word.span, what)
            .with_help("write a port or a range, such as `80`, `53/udp` or `8000-8010/tcp`")
    };
    // The address and the host's port mean nothing here, but Docker takes them, checks them and drops them.
    let (host, container) = text
        .rsplit_once(':')
        .map_or((None, text), |(host, container)| (Some(host), container));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    if ports.is_empty() {
        return Err(fault(format!("`{text}` names no port")));
    }
    let protocol = match protocol.to_ascii_lowercase() {
        empty if empty.is_empty() => "tcp".to_owned(),
        known if ["tcp", "udp", "sctp"].contains(&known.as_str()) => known,
        _ => return Err(fault(format!("unknown protocol `{protocol}`"))),
    };
    let (first, last) = range(ports).ok_or_else(|| fault(format!("`{ports}` is not a port")))?;
    if let Some(host) = host {
        let (address, host_ports) = host.rsplit_once(':').unwrap_or(("", host));
        let address = address
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(address);
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            return Err(fault(format!("`{address}` is not an IP address")));
        }
        if !host_ports.is_empty() {
            let (host_first, host_last) =
                range(host_ports).ok_or_else(|| fault(format!("`{host_ports}` is not a port")))?;
            if first != last && last - first != host_last - host_first {
                return Err(fault(format!(
                    "`{host_ports}` and `{ports}` are ranges of different length"
                )));
            }
        }
    }
    Ok(PortRange {
        first,
        last,
        protocol,
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn show(text: &str) -> String {
        match read(&Word {
            text: text.into(),
            span: Span::default(),
        }) {
            Ok(range) if range.first == range.last => format!("{}/{}", range.first, range.protocol),
            Ok(range) => format!("{}-{}/{}", range.first, range.last, range.protocol),
            Err(fault) => fault.message,
        }
    }

    #[test]
    fn port_words() {
        let cases = [
            ("80", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("80/", "80/tcp"),
            ("8000-8010/sctp", "8000-8010/sctp"),
            ("127.0.0.1:8080:80", "80/tcp"),
            ("[::1]:8080:80/udp", "80/udp"),
            ("8080:80", "80/tcp"),
            ("8000-8001:80", "80/tcp"),
            ("80-81:90-91", "90-91/tcp"),
            (
                "80-81:90-95",
                "`80-81` and `90-95` are ranges of different length",
            ),
            ("/tcp", "`/tcp` names no port"),
            ("80/http", "unknown protocol `http`"),
            ("70000", "`70000` is not a port"),
            ("90-80", "`90-80` is not a port"),
            ("http", "`http` is not a port"),
            ("nowhere:1:2", "`nowhere` is not an IP address"),
        ];
        for (text, wanted) in cases {
            assert_eq!(show(text), wanted, "{text}");
        }
        let range = PortRange {
            first: 80,
            last: 82,
            protocol: "tcp".into(),
        };
        assert_eq!(
            range.ports().collect::<Vec<_>>(),
            ["80/tcp", "81/tcp", "82/tcp"]
        );
    }
}
