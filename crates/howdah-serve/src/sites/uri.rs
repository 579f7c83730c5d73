//! Paths, queries and hosts, and what steps make of them.

use howdah_caddyfile::{Handler as Step, QueryChange};
use http::HeaderMap;
use http::header::{COOKIE, HOST};
use http::request::Parts;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::files::Found;
use super::trip::Trip;

/// What may not stand in a path (RFC 3986 section 3.3).
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'%');

pub(super) fn encode(path: &[u8]) -> String {
    percent_encode(path, NOT_IN_PATHS).to_string()
}

/// The host that was asked for, perhaps with a port; HTTP/2 has it in its `:authority`.
pub(super) fn host(parts: &Parts) -> &str {
    let field = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    field
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default()
}

/// Without the port, and an IPv6 address without its brackets.
pub(super) fn without_port(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// The first parameter of this name, decoded.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    parameters(query)
        .find(|(one, _)| one == name)
        .map(|(_, value)| value)
}

pub(super) fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(one, _)| *one == name)
        .map(|(_, value)| value.to_owned())
}

impl Trip<'_> {
    /// `/path`, `/path?query`, or `?query` alone, which keeps the path. A path alone keeps the query.
    pub(super) fn rewrite(&mut self, to: &str) {
        let to = to.split('#').next().unwrap_or_default();
        let (path, query) = match to.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (to, None),
        };
        if !path.is_empty() {
            self.path = format!("/{}", path.trim_start_matches('/'));
        }
        if let Some(query) = query {
            self.query = Some(query.to_owned()).filter(|query| !query.is_empty());
        }
    }

    /// To a file that was found.
    pub(super) fn go_to(&mut self, found: Found) {
        self.path = encode(format!("{}{}", found.file, found.rest).as_bytes());
        if found.query.is_some() {
            self.query.clone_from(&found.query);
        }
        self.matched = Some((found.file, found.rest));
    }

    pub(super) fn change_uri(&mut self, step: &Step) {
        match step {
            Step::StripPrefix(prefix) => {
                let is_there = self.path.get(..prefix.len());
                if is_there.is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
                    self.path = format!("/{}", self.path[prefix.len()..].trim_start_matches('/'));
                }
            }
            Step::StripSuffix(suffix) => {
                if let Some(path) = self.path.strip_suffix(suffix.as_str()) {
                    self.path = format!("/{}", path.trim_start_matches('/'));
                }
            }
            Step::ReplaceInUri { find, replace } if !find.is_empty() => {
                let path = self.path.replace(find, replace);
                self.path = format!("/{}", path.trim_start_matches('/'));
                self.query = self
                    .query
                    .as_ref()
                    .map(|query| query.replace(find, replace));
            }
            Step::ReplaceInPath { find, replace } => {
                let replace = self.fill(replace);
                let path = find.0.replace_all(&self.path, replace.as_str());
                self.path = format!("/{}", path.trim_start_matches('/'));
            }
            Step::Query(changes) => self.change_query(changes),
            _ => {}
        }
    }

    /// Parameters that nobody changes keep their form.
    fn change_query(&mut self, changes: &[QueryChange]) {
        let query = self.query.take().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut pairs: Vec<String> = pairs.map(str::to_owned).collect();
        let is = |pair: &str, name: &str| parameter(Some(pair), name).is_some();
        let pair = |name: &str, value: &str| format!("{}={}", form(name), form(value));
        for change in changes {
            match change {
                QueryChange::Set(name, value) => {
                    let value = self.fill(value);
                    pairs.retain(|one| !is(one, name));
                    pairs.push(pair(name, &value));
                }
                QueryChange::Add(name, value) => pairs.push(pair(name, &self.fill(value))),
                QueryChange::Delete(name) => pairs.retain(|one| !is(one, name)),
                QueryChange::Rename(old, new) => {
                    for one in pairs.iter_mut().filter(|one| is(one, old)) {
                        *one = pair(new, &parameter(Some(one), old).unwrap_or_default());
                    }
                }
            }
        }
        self.query = Some(pairs.join("&")).filter(|query| !query.is_empty());
    }
}

/// As a name or a value in a query.
fn form(text: &str) -> String {
    percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string()
}
