//! Text with `{placeholders}` that a request fills in.

use serde::{Serialize, Serializer};

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Itself.
    Text(String),
    /// What the request says.
    Value(Placeholder),
}

/// What a request, or its answer, can be asked for. Names are Caddy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// Path and query.
    Uri,
    /// The path, as it stands in the target.
    Path,
    /// The path's directory, with a slash at its end.
    Directory,
    /// The path's last segment.
    File,
    /// That without its extension.
    FileBase,
    /// The extension, with its dot.
    FileExtension,
    /// A segment of the path, from 0.
    PathSegment(usize),
    /// The query.
    Query,
    /// `?` and the query, or nothing.
    PrefixedQuery,
    /// A parameter of the query.
    QueryValue(String),
    /// Path and query as the client sent them.
    OriginalUri,
    /// The path as the client sent it.
    OriginalPath,
    /// The query as the client sent it.
    OriginalQuery,
    /// The host that was asked for, without port.
    Host,
    /// The host with its port.
    HostPort,
    /// The port that was asked for.
    Port,
    /// `http` or `https`.
    Scheme,
    /// The method.
    Method,
    /// The client's address.
    ClientAddress,
    /// The client's port.
    ClientPort,
    /// The client's address and port.
    Client,
    /// A label of the host, from 0, counted from its end.
    HostLabel(usize),
    /// Host and port of the server that a request is passed on to.
    Upstream,
    /// A field of the request's header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// What `vars` or `root` set.
    Variable(String),
    /// What a regular expression found: its name, and the group.
    Capture(String, String),
    /// The file that the last `file` matcher found, as a path.
    MatchedFile,
    /// What followed the script's name in that path.
    MatchedRemainder,
    /// The status of the error that is handled.
    ErrorStatus,
    /// Its name.
    ErrorText,
    /// What the log says of it.
    ErrorMessage,
    /// A field of the response that is intercepted.
    ResponseHeader(String),
    /// The status of that response.
    ResponseStatus,
}

impl Template {
    /// Reads the placeholders of a text. What is not known stays as it is, as Caddy has it. `{env.NAME}` is filled in at once.
    pub(crate) fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Template {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            plain.push_str(&rest[..start]);
            rest = &rest[start..];
            // `\{` is a brace.
            if plain.ends_with('\\') {
                plain.pop();
                plain.push('{');
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.find('}') else { break };
            let name = &rest[1..end];
            if let Some(name) = name.strip_prefix("env.") {
                plain.push_str(&variable(name).unwrap_or_default());
                rest = &rest[end + 1..];
            } else if let Some(placeholder) = placeholder(name) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Value(placeholder));
                rest = &rest[end + 1..];
            } else {
                plain.push('{');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Template {
            source: text.to_owned(),
            parts,
        }
    }

    /// Text alone.
    pub fn text(text: &str) -> Template {
        Template {
            source: text.to_owned(),
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// Its pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its text, if it needs no request.
    pub fn constant(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Value(_) => None,
            })
            .collect()
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

/// By the short names and by those of Caddy's JSON.
fn placeholder(name: &str) -> Option<Placeholder> {
    let name = name.strip_prefix("http.").unwrap_or(name);
    let whole = match name {
        "uri" | "request.uri" => Placeholder::Uri,
        "path" | "request.uri.path" => Placeholder::Path,
        "dir" | "request.uri.path.dir" => Placeholder::Directory,
        "file" | "request.uri.path.file" => Placeholder::File,
        "file.base" | "request.uri.path.file.base" => Placeholder::FileBase,
        "file.ext" | "request.uri.path.file.ext" => Placeholder::FileExtension,
        "query" | "request.uri.query" => Placeholder::Query,
        "?query" | "request.uri.prefixed_query" => Placeholder::PrefixedQuery,
        "orig_uri" | "request.orig_uri" => Placeholder::OriginalUri,
        "orig_path" | "request.orig_uri.path" => Placeholder::OriginalPath,
        "orig_query" | "request.orig_uri.query" => Placeholder::OriginalQuery,
        "host" | "request.host" => Placeholder::Host,
        "hostport" | "request.hostport" => Placeholder::HostPort,
        "port" | "request.port" => Placeholder::Port,
        "scheme" | "request.scheme" => Placeholder::Scheme,
        "method" | "request.method" => Placeholder::Method,
        "remote_host" | "request.remote.host" | "client_ip" | "vars.client_ip" => {
            Placeholder::ClientAddress
        }
        "remote" | "request.remote" => Placeholder::Client,
        "upstream_hostport" | "reverse_proxy.upstream.hostport" => Placeholder::Upstream,
        "remote_port" | "request.remote.port" => Placeholder::ClientPort,
        "file_match.relative" | "matchers.file.relative" => Placeholder::MatchedFile,
        "file_match.remainder" | "matchers.file.remainder" => Placeholder::MatchedRemainder,
        "err.status_code" | "error.status_code" => Placeholder::ErrorStatus,
        "err.status_text" | "error.status_text" => Placeholder::ErrorText,
        "err.message" | "error.message" => Placeholder::ErrorMessage,
        "resp.status_code" | "intercept.status_code" => Placeholder::ResponseStatus,
        _ => return placeholder_with_key(name),
    };
    Some(whole)
}

fn placeholder_with_key(name: &str) -> Option<Placeholder> {
    type Make = fn(String) -> Placeholder;
    const PREFIXES: [(&str, Make); 11] = [
        ("header.", Placeholder::Header),
        ("request.header.", Placeholder::Header),
        ("cookie.", Placeholder::Cookie),
        ("request.cookie.", Placeholder::Cookie),
        ("query.", Placeholder::QueryValue),
        ("request.uri.query.", Placeholder::QueryValue),
        ("vars.", Placeholder::Variable),
        ("resp.header.", Placeholder::ResponseHeader),
        ("intercept.header.", Placeholder::ResponseHeader),
        ("response.header.", Placeholder::ResponseHeader),
        ("rp.header.", Placeholder::ResponseHeader),
    ];
    // Set by `basic_auth`.
    if name == "auth.user.id" {
        return Some(Placeholder::Variable(name.to_owned()));
    }
    for prefix in ["re.", "regexp."] {
        if let Some(capture) = name.strip_prefix(prefix) {
            let (name, group) = capture.rsplit_once('.').unwrap_or(("", capture));
            return Some(Placeholder::Capture(name.into(), group.into()));
        }
    }
    for prefix in ["labels.", "request.host.labels."] {
        if let Some(label) = name.strip_prefix(prefix) {
            return label.parse().ok().map(Placeholder::HostLabel);
        }
    }
    for prefix in ["path.", "request.uri.path."] {
        if let Some(segment) = name.strip_prefix(prefix) {
            return segment.parse().ok().map(Placeholder::PathSegment);
        }
    }
    let with_key = |(prefix, make): &(&str, Make)| Some(make(name.strip_prefix(prefix)?.into()));
    PREFIXES.iter().find_map(with_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_placeholders_are_filled_in_later_and_others_are_text() {
        let variable = |name: &str| (name == "A").then(|| "value".to_owned());
        let parse = |text| Template::parse(text, &variable);
        let value = Part::Value;
        let text = |text: &str| Part::Text(text.into());
        for (source, parts) in [
            ("/a{path}", vec![text("/a"), value(Placeholder::Path)]),
            (
                "{http.request.header.X-A}",
                vec![value(Placeholder::Header("X-A".into()))],
            ),
            ("{\"a\": {env.A}}", vec![text("{\"a\": value}")]),
            ("\\{path}{", vec![text("{path}{")]),
            (
                "{re.name.1}",
                vec![value(Placeholder::Capture("name".into(), "1".into()))],
            ),
            (
                "{path.2}{path.x}",
                vec![value(Placeholder::PathSegment(2)), text("{path.x}")],
            ),
            ("", vec![]),
        ] {
            assert_eq!(parse(source).parts(), parts, "{source}");
        }
        assert_eq!(parse("{env.A}b").constant().as_deref(), Some("valueb"));
        assert_eq!(parse("{path}b").constant(), None);
    }
}
