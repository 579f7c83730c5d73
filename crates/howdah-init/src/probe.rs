//! One question to a network address, with a deadline: does it accept, does it answer with success.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The most of an answer that is read: its status line is all that counts.
const MOST_READ: usize = 4096;

/// An address to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://host:port`: it must accept a connection.
    Tcp {
        /// `host:port`.
        authority: String,
    },
    /// `http://host[:port][/path]`: it must answer 2xx or 3xx.
    Http {
        /// `host:port`.
        authority: String,
        /// Path and query.
        path: String,
    },
}

impl Address {
    /// Reads an address; the error completes "`health` ..".
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("must be http://host[:port][/path] or tcp://host:port, not `{text}`");
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refuse());
        }
        if let Some(authority) = text.strip_prefix("tcp://") {
            let authority = with_port(authority, None).ok_or_else(refuse)?;
            return Ok(Self::Tcp { authority });
        }
        let rest = text.strip_prefix("http://").ok_or_else(refuse)?;
        let (authority, path) = rest
            .find('/')
            .map_or((rest, "/"), |slash| rest.split_at(slash));
        let authority = with_port(authority, Some(80)).ok_or_else(refuse)?;
        Ok(Self::Http {
            authority,
            path: path.to_owned(),
        })
    }
}

fn with_port(authority: &str, default: Option<u16>) -> Option<String> {
    let bracket = authority.rfind(']').unwrap_or(0);
    match (authority[bracket..].rsplit_once(':'), default) {
        (Some((host, port)), _) => {
            (bracket > 0 || !host.is_empty()).then_some(())?;
            port.parse::<u16>().ok().map(|_| authority.to_owned())
        }
        (None, Some(port)) if !authority.is_empty() => Some(format!("{authority}:{port}")),
        (None, _) => None,
    }
}

/// Why an address is not well.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its name has no address.
    #[error("cannot resolve `{authority}`")]
    Resolve {
        /// Host and port.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing accepts there.
    #[error("cannot connect to `{authority}`")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed before an answer.
    #[error("no answer from `{authority}`")]
    Answer {
        /// Host and port.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
    /// It answered, but not with success.
    #[error("`{authority}` answered `{status}`")]
    Status {
        /// Host and port.
        authority: String,
        /// The first line of the answer.
        status: String,
    },
}

/// Asks once, for at most `timeout` in all.
pub fn ask(address: &Address, timeout: Duration) -> Result<(), ProbeError> {
    let end = Instant::now() + timeout;
    let (Address::Tcp { authority } | Address::Http { authority, .. }) = address;
    let mut stream = connect(authority, end)?;
    let Address::Http { path, .. } = address else {
        return Ok(());
    };
    let status =
        exchange(&mut stream, authority, path, end).map_err(|source| ProbeError::Answer {
            authority: authority.clone(),
            source,
        })?;
    // RFC 9112 section 4: HTTP-version SP status-code SP reason.
    let code = status
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1));
    if code.is_some_and(|code| code.len() == 3 && code.starts_with(['2', '3'])) {
        return Ok(());
    }
    Err(ProbeError::Status {
        authority: authority.clone(),
        status,
    })
}

fn connect(authority: &str, end: Instant) -> Result<TcpStream, ProbeError> {
    let resolve = |source| ProbeError::Resolve {
        authority: authority.to_owned(),
        source,
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in authority.to_socket_addrs().map_err(resolve)? {
        match left(end).and_then(|left| TcpStream::connect_timeout(&address, left)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ProbeError::Connect {
        authority: authority.to_owned(),
        source: last,
    })
}

fn exchange(
    stream: &mut TcpStream,
    authority: &str,
    path: &str,
    end: Instant,
) -> io::Result<String> {
    stream.set_write_timeout(Some(left(end)?))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: howdah-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while answer.len() < MOST_READ && !answer.contains(&b'\n') {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            read => answer.extend_from_slice(&chunk[..read]),
        }
    }
    let line = answer
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect())
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let http = |authority: &str, path: &str| Address::Http {
            authority: authority.into(),
            path: path.into(),
        };
        assert_eq!(
            Address::parse("http://127.0.0.1:8080/health?x=1").unwrap(),
            http("127.0.0.1:8080", "/health?x=1")
        );
        assert_eq!(
            Address::parse("http://localhost").unwrap(),
            http("localhost:80", "/")
        );
        assert_eq!(
            Address::parse("http://[::1]/up").unwrap(),
            http("[::1]:80", "/up")
        );
        assert_eq!(
            Address::parse("tcp://[::1]:9000").unwrap(),
            Address::Tcp {
                authority: "[::1]:9000".into()
            }
        );
        for wrong in [
            "tcp://localhost",
            "https://x/",
            "http://",
            "http://x:port/",
            "tcp://:9000",
            "http://a b/",
        ] {
            assert!(
                Address::parse(wrong).unwrap_err().contains("must be"),
                "{wrong}"
            );
        }
    }

    fn answering(answer: &'static str) -> (Address, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address =
            Address::parse(&format!("http://{}/up", listener.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /up HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (address, server)
    }

    #[test]
    fn success_is_two_or_three_hundred() {
        for (answer, well) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\n", true),
        ] {
            let (address, server) = answering(answer);
            assert_eq!(ask(&address, Duration::from_secs(10)).is_ok(), well);
            server.join().unwrap();
        }
        let (address, server) = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        let told = ask(&address, Duration::from_secs(10))
            .unwrap_err()
            .to_string();
        assert!(told.contains("503 Service Unavailable"), "{told}");
        server.join().unwrap();
    }

    #[test]
    fn a_closed_port_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
        assert!(ask(&address, Duration::from_secs(10)).is_ok());
        drop(listener);
        assert!(matches!(
            ask(&address, Duration::from_secs(10)),
            Err(ProbeError::Connect { .. })
        ));
    }
}
