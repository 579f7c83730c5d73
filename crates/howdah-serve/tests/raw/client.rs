//! A client that sends bytes as they are, and reads responses strictly.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::case::Case;

/// A request that any connection that goes on answers.
const PROBE: &[u8] = b"GET /ten.txt HTTP/1.1\r\nHost: probe\r\n\r\n";

struct Response {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Runs a case; a fault says what was otherwise.
pub(crate) async fn run(address: SocketAddr, case: &Case) -> Result<(), String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await.map_err(text)?);
    // A server that has seen enough may close before it has read everything.
    stream.write_all(&case.send).await.ok();
    let mut last = None;
    for status in &case.statuses {
        let response = read(&mut stream, case.is_head).await;
        let response = response.map_err(|error| format!("instead of {status}: {error}"))?;
        if response.status != *status {
            return Err(format!("{} instead of {status}", response.status));
        }
        last = Some(response);
    }
    if let Some(last) = last {
        check(&last, case)?;
    }
    if case.stays_open {
        stream.write_all(PROBE).await.map_err(text)?;
        let response = read(&mut stream, false).await;
        return match response {
            Ok(response) if response.body == b"0123456789" => Ok(()),
            Ok(response) => Err(format!("the next response was a {}", response.status)),
            Err(error) => Err(format!("the connection does not go on: {error}")),
        };
    }
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest).await {
        // Bytes that it has not read make the close a reset.
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(text(error)),
        _ if rest.is_empty() => Ok(()),
        _ => Err(format!("more came: {}", String::from_utf8_lossy(&rest))),
    }
}

fn check(response: &Response, case: &Case) -> Result<(), String> {
    for field in &case.fields {
        let values = |name: &str| {
            let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
            let values = response.fields.iter().filter(same);
            values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        if let Some(name) = field.strip_prefix('!') {
            if !values(name).is_empty() {
                return Err(format!("there is a {name}"));
            }
        } else if let Some((name, value)) = field.split_once(": ")
            && values(name) != [value]
        {
            return Err(format!("{name} is {:?} instead of {value}", values(name)));
        }
    }
    match &case.body {
        Some(body) if *body != response.body => Err(format!(
            "the content is {:?}",
            String::from_utf8_lossy(&response.body)
        )),
        _ => Ok(()),
    }
}

async fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> Result<Response, String> {
    let first = line(stream).await?;
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| first.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| format!("no status line: {first:?}"))?;
    let mut fields = Vec::new();
    loop {
        let line = line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| format!("no field: {line:?}"))?;
        fields.push((name.to_owned(), value.to_owned()));
    }
    let value = |wanted: &str| {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(wanted);
        fields.iter().find(same).map(|(_, value)| value.as_str())
    };
    let has_body = !is_head && !matches!(status, 100..200 | 204 | 304);
    let body = if !has_body {
        Vec::new()
    } else if value("transfer-encoding") == Some("chunked") {
        // What a script writes piece by piece.
        read_chunks(stream).await?
    } else {
        let length = value("content-length").map_or(Ok(0), str::parse);
        read_exact(stream, length.map_err(text)?).await?
    };
    Ok(Response {
        status,
        fields,
        body,
    })
}

async fn read_exact(stream: &mut BufReader<TcpStream>, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(text)?;
    Ok(bytes)
}

/// RFC 9112 section 7.1.
async fn read_chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(stream).await?, 16).map_err(text)?;
        content.extend(read_exact(stream, size).await?);
        if !line(stream).await?.is_empty() {
            return Err("a chunk is longer than its size".into());
        }
        if size == 0 {
            return Ok(content);
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.map_err(text)?;
    let line = line.strip_suffix("\r\n").ok_or("the connection ends")?;
    Ok(line.to_owned())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
