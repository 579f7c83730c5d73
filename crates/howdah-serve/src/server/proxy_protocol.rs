//! The PROXY protocol, versions 1 and 2: a load balancer tells who the client is before the client's first byte
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2: signature, version and command, family, length.
const HEADER_LENGTH: usize = 16;
/// The longest line of version 1.
const MAX_LINE: usize = 107;
/// Addresses and more of version 2; nobody sends a hundredth of it.
const MAX_LENGTH: usize = 4 << 10;

/// Reads the header from a connection that must begin with one. Gives the client, unless the balancer speaks for itself
/// (`UNKNOWN`, `LOCAL`), and what was read behind the header.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<(Option<SocketAddr>, BytesMut)> {
    let mut buffer = BytesMut::with_capacity(8 << 10);
    loop {
        if let Some((client, length)) = parse(&buffer)? {
            let rest = buffer.split_off(length);
            return Ok((client, rest));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The client and the header's length, or none if more bytes must come.
fn parse(bytes: &[u8]) -> io::Result<Option<(Option<SocketAddr>, usize)>> {
    let begins = |with: &[u8]| bytes.len().min(with.len());
    if bytes[..begins(SIGNATURE)] == SIGNATURE[..begins(SIGNATURE)] {
        return parse_binary(bytes);
    }
    if bytes[..begins(b"PROXY ")] != b"PROXY "[..begins(b"PROXY ")] {
        return Err(invalid());
    }
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > MAX_LINE {
            Err(invalid())
        } else {
            Ok(None)
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid())?;
    Ok(Some((parse_line(line)?, end + 2)))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 4711 80`
fn parse_line(line: &str) -> io::Result<Option<SocketAddr>> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let address: IpAddr = source.parse().map_err(|_| invalid())?;
            let port = port.parse().map_err(|_| invalid())?;
            if address.is_ipv4() != (*family == "TCP4") {
                return Err(invalid());
            }
            Ok(Some(SocketAddr::new(address, port)))
        }
        _ => Err(invalid()),
    }
}

fn parse_binary(bytes: &[u8]) -> io::Result<Option<(Option<SocketAddr>, usize)>> {
    let Some(header) = bytes.get(..HEADER_LENGTH) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if length > MAX_LENGTH {
        return Err(invalid());
    }
    let end = HEADER_LENGTH + length;
    let Some(content) = bytes.get(HEADER_LENGTH..end) else {
        return Ok(None);
    };
    let client = match (header[12], header[13]) {
        (0x21, 0x11) => Some(ipv4(content).ok_or_else(invalid)?),
        (0x21, 0x21) => Some(ipv6(content).ok_or_else(invalid)?),
        // LOCAL: the balancer looks after us, for itself; and clients that came by something else than TCP.
        (0x20 | 0x21, _) => None,
        _ => return Err(invalid()),
    };
    Ok(Some((client, end)))
}

/// Both addresses, then both ports.
fn ipv4(content: &[u8]) -> Option<SocketAddr> {
    let address: [u8; 4] = content.first_chunk().copied()?;
    let port = content.get(8..10)?.first_chunk().copied()?;
    let address = IpAddr::V4(Ipv4Addr::from(address));
    Some(SocketAddr::new(address, u16::from_be_bytes(port)))
}

fn ipv6(content: &[u8]) -> Option<SocketAddr> {
    let address: [u8; 16] = content.first_chunk().copied()?;
    let port = content.get(32..34)?.first_chunk().copied()?;
    let address = IpAddr::V6(Ipv6Addr::from(address));
    Some(SocketAddr::new(address, u16::from_be_bytes(port)))
}

fn invalid() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "no header of the PROXY protocol",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(bytes: &[u8]) -> Result<Option<(Option<String>, usize)>, io::ErrorKind> {
        parse(bytes)
            .map(|parsed| {
                parsed.map(|(client, length)| (client.map(|client| client.to_string()), length))
            })
            .map_err(|error| error.kind())
    }

    #[test]
    fn lines() {
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 99 80\r\nGET /";
        assert_eq!(client(line), Ok(Some((Some("1.2.3.4:99".into()), 34))));
        for end in 0..34 {
            assert_eq!(client(&line[..end]), Ok(None), "{end}");
        }
        let line = b"PROXY TCP6 2001:db8::1 ::1 99 80\r\n";
        assert_eq!(
            client(line).unwrap().unwrap().0.unwrap(),
            "[2001:db8::1]:99"
        );
        assert_eq!(client(b"PROXY UNKNOWN\r\n"), Ok(Some((None, 15))));
        for bad in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4\r\n",
        ] {
            assert!(client(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(client(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()).is_err());
    }

    #[test]
    fn binary_headers() {
        let header = |command, family, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            [SIGNATURE, &[command, family, 0, length], content].concat()
        };
        let bytes = header(0x21, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 99, 0, 80]);
        assert_eq!(client(&bytes), Ok(Some((Some("1.2.3.4:99".into()), 28))));
        for end in 0..bytes.len() {
            assert_eq!(client(&bytes[..end]), Ok(None));
        }
        assert_eq!(client(&header(0x20, 0, &[])), Ok(Some((None, 16))));
        assert!(client(&header(0x21, 0x11, &[1, 2])).is_err());
        assert!(client(&header(0x31, 0x11, &[])).is_err());
    }
}
