//! Who asks: the other end of the connection, or whom a trusted proxy speaks for (RFC 7239, and `X-Forwarded-*`).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What only a proxy may say.
const PROXY_FIELDS: [HeaderName; 6] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; port 0 if a proxy did not tell it.
    pub(crate) address: SocketAddr,
    /// Does it use https?
    pub(crate) is_https: bool,
}

/// One hop of a chain of proxies: who came to it, and how.
#[derive(Debug, Default)]
struct Hop {
    from: Option<SocketAddr>,
    is_https: Option<bool>,
}

impl Client {
    /// The client of a request that came by a connection from `self`. With trusted proxies given, what others say about
    /// clients is removed from `headers`, so that no application believes it. `fields`: those in which trusted proxies tell the
    /// address, of which the first that is there counts; without any the usual ones.
    pub(crate) fn of_request(
        self,
        headers: &mut HeaderMap,
        trusted: &[IpNet],
        fields: &[HeaderName],
    ) -> Client {
        if trusted.is_empty() {
            return self;
        }
        let is_trusted = |address: IpAddr| {
            let address = address.to_canonical();
            trusted.iter().any(|network| network.contains(&address))
        };
        if !is_trusted(self.address.ip()) {
            for name in PROXY_FIELDS {
                headers.remove(name);
            }
            return self;
        }
        let mut client = self;
        let told = fields.iter().find(|name| headers.contains_key(*name));
        if let Some(name) = told.filter(|name| **name != X_FORWARDED_FOR) {
            // What is in it was set by the nearest one, as a whole.
            client.address = elements(headers, name)
                .last()
                .and_then(address)
                .unwrap_or(client.address);
            let scheme = elements(headers, &X_FORWARDED_PROTO).last();
            let is_https = scheme.map(|scheme| scheme.eq_ignore_ascii_case("https"));
            client.is_https = is_https.unwrap_or(client.is_https);
            return client;
        }
        // Each proxy appends what it saw; the words of the nearest ones count as long as those who speak are trusted.
        for hop in hops(headers).into_iter().rev() {
            client.is_https = hop.is_https.unwrap_or(client.is_https);
            let Some(address) = hop.from else { break };
            client.address = address;
            if !is_trusted(address.ip()) {
                break;
            }
        }
        client
    }
}

fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let forwarded: Vec<Hop> = elements(headers, &FORWARDED).map(forwarded_hop).collect();
    if !forwarded.is_empty() {
        return forwarded;
    }
    let mut hops: Vec<Hop> = elements(headers, &X_FORWARDED_FOR)
        .map(|element| Hop {
            from: address(element),
            is_https: None,
        })
        .collect();
    // Proxies replace it rather than append to it: what the nearest one says holds for the whole chain.
    let scheme = elements(headers, &X_FORWARDED_PROTO).last();
    let is_https = scheme.map(|scheme| scheme.eq_ignore_ascii_case("https"));
    if hops.is_empty() && is_https.is_some() {
        hops.push(Hop::default());
    }
    if let Some(nearest) = hops.last_mut() {
        nearest.is_https = is_https;
    }
    hops
}

fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// `for="[2001:db8::1]:4711";proto=https` (RFC 7239 section 4).
fn forwarded_hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for (name, value) in element.split(';').filter_map(|pair| pair.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.from = address(value),
            "proto" => hop.is_https = Some(value.eq_ignore_ascii_case("https")),
            _ => {}
        }
    }
    hop
}

/// An address with or without a port; names and `unknown` are none.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map(|address: IpAddr| SocketAddr::new(address, 0))
        .or_else(|_| text.parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> (String, bool, usize) {
        client_by(&[], peer, headers)
    }

    fn client_by(
        fields: &[HeaderName],
        peer: &str,
        headers: &[(&'static str, &str)],
    ) -> (String, bool, usize) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let peer = Client {
            address: SocketAddr::new(peer.parse().unwrap(), 9),
            is_https: false,
        };
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let client = peer.of_request(&mut map, &trusted, fields);
        (client.address.to_string(), client.is_https, map.len())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let spoofed = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(client("9.9.9.9", &spoofed), ("9.9.9.9:9".into(), false, 0));
        assert_eq!(client("10.0.0.1", &spoofed), ("1.1.1.1:0".into(), true, 2));
        assert_eq!(client("::ffff:10.0.0.1", &spoofed).0, "1.1.1.1:0");
    }

    #[test]
    fn the_nearest_stranger_is_the_client() {
        let chain = [
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1"),
            ("x-forwarded-for", "10.2.2.2"),
        ];
        assert_eq!(client("10.0.0.1", &chain).0, "1.1.1.1:0");
        let broken = [("x-forwarded-for", "6.6.6.6, unknown, 10.2.2.2")];
        assert_eq!(client("10.0.0.1", &broken).0, "10.2.2.2:0");
    }

    #[test]
    fn a_field_that_is_named_goes_first() {
        let fields = [HeaderName::from_static("cf-connecting-ip"), X_FORWARDED_FOR];
        let both = [
            ("cf-connecting-ip", "2.2.2.2"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ];
        let of = |peer, headers| client_by(&fields, peer, headers).0;
        assert_eq!(
            client_by(&fields, "10.0.0.1", &both),
            ("2.2.2.2:0".into(), true, 3)
        );
        assert_eq!(of("10.0.0.1", &both[1..]), "1.1.1.1:0");
        assert_eq!(of("9.9.9.9", &both), "9.9.9.9:9");
        assert_eq!(of("10.0.0.1", &[("cf-connecting-ip", "me")]), "10.0.0.1:9");
    }

    #[test]
    fn forwarded_goes_before_the_older_fields() {
        let both = [
            (
                "forwarded",
                "for=6.6.6.6;proto=http, For=\"[2001:db8::1]:47\";Proto=https",
            ),
            ("x-forwarded-for", "7.7.7.7"),
        ];
        let expected = ("[2001:db8::1]:47".into(), true, 2);
        assert_eq!(client("10.0.0.1", &both), expected);
    }
}
