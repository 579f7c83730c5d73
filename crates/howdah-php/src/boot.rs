//! The requests that no client sent: the context in which a worker script boots, and the warm-up.

use std::path::Path;

use howdah_wire::Request;

/// A GET of `/` for `script`, an absolute path.
pub(crate) fn request(script: &str) -> Request {
    let directory = Path::new(script).parent().unwrap_or(Path::new("/"));
    let name = Path::new(script)
        .file_name()
        .map(|name| format!("/{}", name.to_string_lossy()))
        .unwrap_or_default();
    let directory = directory.to_string_lossy();
    let variables = [
        ("SCRIPT_FILENAME", script),
        ("SCRIPT_NAME", &name),
        ("PHP_SELF", &name),
        ("DOCUMENT_ROOT", &directory),
        ("DOCUMENT_URI", &name),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/"),
        ("QUERY_STRING", ""),
        ("REQUEST_SCHEME", "http"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "FrankenPHP"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "0"),
    ];
    let pair = |(name, value): (&str, &str)| (name.into(), value.into());
    Request {
        script: script.into(),
        method: b"GET".to_vec(),
        uri: b"/".to_vec(),
        query: Vec::new(),
        content_length: None,
        variables: variables.map(pair).into(),
        headers: vec![pair(("Host", "localhost"))],
    }
}
