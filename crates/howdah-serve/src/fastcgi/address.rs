//! Where a FastCGI server listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A socket in the file system, or a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

/// A text that is no address of a FastCGI server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no path of a socket and no ADDRESS:PORT")]
pub struct AddressFault(String);

impl FromStr for Address {
    type Err = AddressFault;

    /// `/run/php/php8.2-fpm.sock`, `unix:/run/...` as nginx writes it, `127.0.0.1:9000`, `[::1]:9000`.
    fn from_str(text: &str) -> Result<Address, AddressFault> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Address::Unix(path.into()));
        }
        let fault = || AddressFault(text.to_owned());
        text.parse().map(Address::Tcp).map_err(|_| fault())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => path.display().fmt(formatter),
            Address::Tcp(address) => address.fmt(formatter),
        }
    }
}

/// A connection, of either family.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Address {
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("/run/fpm.sock", Ok("/run/fpm.sock")),
            ("unix:/run/fpm.sock", Ok("/run/fpm.sock")),
            ("127.0.0.1:9000", Ok("127.0.0.1:9000")),
            ("[::1]:9000", Ok("[::1]:9000")),
            ("fpm.sock", Err(AddressFault("fpm.sock".into()))),
            ("unix:x", Err(AddressFault("unix:x".into()))),
            ("9000", Err(AddressFault("9000".into()))),
        ] {
            let address = text.parse::<Address>().map(|address| address.to_string());
            assert_eq!(address, expected.map(str::to_owned), "{text}");
        }
    }
}
