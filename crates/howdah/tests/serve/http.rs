//! One request over HTTP/1.1, on a connection of its own.

use std::io::{BufRead as _, BufReader, Read, Write};

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    /// Names in lower case, and values.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The values of all fields of this name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_meant = move |(field, _): &&(String, String)| field == name;
        self.fields
            .iter()
            .filter(is_meant)
            .map(|(_, value)| value.as_str())
    }
}

/// A request's line and fields, but for those of the connection.
pub(crate) fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{method} {path} HTTP/1.1\r\n") + &lines.collect::<String>()
}

/// Sends a request whose head lacks what belongs to the connection, and reads what is answered.
pub(crate) fn exchange(
    stream: &mut (impl Read + Write),
    mut head: String,
    body: &[u8],
) -> Response {
    let is_head = head.starts_with("HEAD ");
    let end = format!(
        "Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    head.push_str(&end);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    read(stream, is_head)
}

/// Reads one response, after which nothing else may be on its way.
pub(crate) fn read(stream: &mut impl Read, is_head: bool) -> Response {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "no head: {head}");
    }
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let head = head.to_ascii_lowercase();
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let mut body = Vec::new();
    match length {
        _ if is_head => {}
        // Not every server closes the connection when it was asked to.
        Some((_, length)) => {
            let length = length.parse().unwrap();
            reader.take(length).read_to_end(&mut body).unwrap();
            assert_eq!(body.len() as u64, length, "{head}");
        }
        None => drop(reader.read_to_end(&mut body).unwrap()),
    }
    Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: if head.contains("transfer-encoding: chunked") {
            unchunk(&body)
        } else {
            body
        },
        fields,
        head,
    }
}

/// The content of a chunked body (RFC 9112 section 7.1).
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n");
        let end = end.expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return content;
        }
        content.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
}

/// The cookies of one user.
#[derive(Debug, Default)]
pub(crate) struct Jar(Vec<(String, String)>);

impl Jar {
    /// The value of a `Cookie` field.
    pub(crate) fn cookie(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Takes the cookies that a response sets.
    pub(crate) fn keep(&mut self, response: &Response) {
        for cookie in response.values("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }
}
