//! An HTTP proxy that disturbs: it answers in the registry's place, or cuts connections at a byte.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens with one request.
pub(crate) enum Rule {
    Forward,
    /// This answer, and the registry never hears of it.
    Answer(String),
    /// So many bytes of the registry's answer, then the end.
    CutAnswer(u64),
    /// So many bytes of the request's body, then the end.
    CutBody(u64),
}

/// One exchange.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The request line and the headers.
    pub(crate) head: String,
    /// Bytes of the answer that were passed on, its headers included.
    pub(crate) answered: u64,
}

/// A proxy in front of a registry; its thread ends with the test program.
pub(crate) struct Proxy {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// `rule` is asked for each request, with its head.
    pub(crate) fn start(
        upstream: &str,
        rule: impl Fn(&str) -> Rule + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (upstream, rule, log) = (upstream.to_owned(), Arc::new(rule), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (upstream, rule, log) = (upstream.clone(), Arc::clone(&rule), Arc::clone(&log));
                std::thread::spawn(move || {
                    // A side that goes away ends the exchange, which is all this is for.
                    drop(exchange(client.unwrap(), &upstream, &*rule, &log));
                });
            }
        });
        Self { address, seen }
    }

    /// The exchanges whose request begins so.
    pub(crate) fn seen(&self, start: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.head.starts_with(start))
            .cloned()
            .collect()
    }
}

fn exchange(
    mut client: TcpStream,
    upstream: &str,
    rule: &dyn Fn(&str) -> Rule,
    log: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let rule = rule(&head);
    let index = {
        let mut log = log.lock().unwrap();
        log.push(Seen {
            head: head.clone(),
            answered: 0,
        });
        log.len() - 1
    };
    if let Rule::Answer(answer) = rule {
        client.write_all(answer.as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        // What the client still sends would make the kernel reset the connection, and the answer with it.
        std::io::copy(&mut reader, &mut std::io::sink())?;
        return Ok(());
    }
    let mut server = TcpStream::connect(upstream)?;
    let end = head.len() - 2;
    server.write_all(format!("{}Connection: close\r\n\r\n", &head[..end]).as_bytes())?;
    let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
    let sent = match rule {
        Rule::CutBody(bytes) => bytes.min(length),
        _ => length,
    };
    std::io::copy(&mut (&mut reader).take(sent), &mut server)?;
    if matches!(rule, Rule::CutBody(_)) {
        server.shutdown(Shutdown::Both)?;
        return client.shutdown(Shutdown::Both);
    }
    let most = match rule {
        Rule::CutAnswer(bytes) => bytes,
        _ => u64::MAX,
    };
    let answered = std::io::copy(&mut server.take(most), &mut client)?;
    log.lock().unwrap()[index].answered = answered;
    client.shutdown(Shutdown::Both)
}

/// A header's value.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// An answer with a status, more header lines, and JSON.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
