//! A web server of the test's own, which notes what it was asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "part of a test program"
)]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server has under one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<&'static str>,
    pub(crate) modified: Option<&'static str>,
    /// The connection breaks after so many bytes, so many times.
    pub(crate) breaks: Option<(usize, usize)>,
    /// Leads elsewhere.
    pub(crate) location: Option<String>,
    /// Answers with this before anything else, once each.
    pub(crate) failures: Vec<u16>,
}

/// Serves pages until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pages: HashMap<String, Page>,
    /// Path and answer: `/a 200`.
    log: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                drop(answer(&connection.unwrap(), &shared));
            }
        });
        Server { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, page: Page) {
        self.state
            .lock()
            .unwrap()
            .pages
            .insert(path.to_owned(), page);
    }

    pub(crate) fn put_text(&self, path: &str, text: &str) {
        let body = text.as_bytes().to_vec();
        self.put(
            path,
            Page {
                body,
                ..Page::default()
            },
        );
    }

    /// What it was asked since the last time.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

fn answer(connection: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut state = state.lock().unwrap();
    let (status, page, from) = choose(&mut state, &path, &headers);
    state.log.push(format!("{path} {status}"));
    let body = &page.body[from..];
    let range = format!(
        "bytes {from}-{}/{}",
        page.body.len().max(1) - 1,
        page.body.len()
    );
    let length = body.len().to_string();
    let fields = [
        ("ETag", page.etag),
        ("Last-Modified", page.modified),
        ("Location", page.location.as_deref()),
        ("Content-Range", (status == 206).then_some(range.as_str())),
        ("Content-Length", (status != 304).then_some(length.as_str())),
    ];
    let mut connection = connection;
    write!(connection, "HTTP/1.1 {status} X\r\nConnection: close\r\n")?;
    for (name, value) in fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        write!(connection, "{name}: {value}\r\n")?;
    }
    connection.write_all(b"\r\n")?;
    let end = page
        .breaks
        .filter(|(times, _)| *times > 0)
        .map_or(body.len(), |(_, bytes)| bytes);
    connection.write_all(&body[..end.min(body.len())])
}

/// Status, page, and where in it to begin.
fn choose(state: &mut State, path: &str, headers: &HashMap<String, String>) -> (u16, Page, usize) {
    let Some(page) = state.pages.get_mut(path) else {
        return (404, Page::default(), 0);
    };
    if !page.failures.is_empty() {
        return (page.failures.remove(0), Page::default(), 0);
    }
    let answer = page.clone();
    if let Some((times, _)) = &mut page.breaks {
        *times = times.saturating_sub(1);
    }
    if answer.location.is_some() {
        return (302, answer, 0);
    }
    if answer.etag.is_some() && headers.get("if-none-match").map(String::as_str) == answer.etag {
        return (
            304,
            Page {
                body: Vec::new(),
                ..answer
            },
            0,
        );
    }
    let range = headers.get("range").and_then(|range| {
        let from = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        from.parse::<usize>().ok()
    });
    match range {
        Some(from) if headers.get("if-range").map(String::as_str) == answer.etag => {
            (206, answer, from)
        }
        _ => (200, answer, 0),
    }
}
