//! A client that keeps its connection for many requests.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// A connection, made anew when the server has closed it.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// The head of an answer, as far as it matters here; its body has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// There will be no other answer on this connection.
    pub(crate) is_last: bool,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let stream = None;
        Client { address, stream }
    }

    /// Is there a connection for the next request?
    pub(crate) fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// An error means that the request was lost.
    pub(crate) fn request(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes())?;
        let answer = read(&mut stream)?;
        self.stream = (!answer.is_last).then_some(stream);
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(super::DEADLINE))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let (mut status, mut length, mut is_last) = (None, 0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        }
        is_last |= line == "connection: close";
    }
    io::copy(&mut stream.take(length), &mut io::sink())?;
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { status, is_last })
}
