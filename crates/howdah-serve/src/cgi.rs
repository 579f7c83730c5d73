//! A request as CGI sees it (RFC 3875): `$_SERVER` without `HTTP_*`, and the header fields those are made of. Names and order
//! are FrankenPHP's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use howdah_wire::PairsWriter;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{Uri, Version};

use crate::pool::PhpRequest;

/// What is equal in all requests of a pool, encoded once.
#[derive(Debug, Clone)]
pub struct Constants {
    document_root: Vec<u8>,
    /// What was set for this pool, which wins over everything.
    last: Vec<u8>,
    pairs: Vec<(OsString, OsString)>,
}

impl Constants {
    /// `pool`: what was set for the pool.
    pub fn new(document_root: &Path, pool: &[(OsString, OsString)]) -> Constants {
        Constants {
            document_root: document_root.as_os_str().as_bytes().to_vec(),
            last: list(pool),
            pairs: pool.to_vec(),
        }
    }

    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// The same, one by one.
    pub(crate) fn each_last(&self, mut put: impl FnMut(&[u8], &[u8])) {
        for (name, value) in &self.pairs {
            put(name.as_bytes(), value.as_bytes());
        }
    }
}

fn list(pairs: &[(OsString, OsString)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PairsWriter::new(&mut bytes);
    for (name, value) in pairs {
        writer.put(name.as_bytes(), value.as_bytes());
    }
    writer.finish();
    bytes
}

/// Path and query as they were asked for.
pub(crate) fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

/// The query, be it another than the client's.
pub(crate) fn query(request: &PhpRequest) -> &str {
    let query = match &request.routed {
        Some(routed) => routed.query.as_deref(),
        None => request.parts.uri.query(),
    };
    query.unwrap_or_default()
}

/// What the client says of its body's length; hyper has checked that it is a number and the only one.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The variables of a request but for [`Constants::last`], those of header fields and the environment, which PHP has.
pub(crate) fn variables(
    constants: &Constants,
    request: &PhpRequest,
    mut put: impl FnMut(&[u8], &[u8]),
) {
    let (parts, script) = (&request.parts, &request.script);
    let routed = request.routed.as_ref();
    let root = match routed {
        Some(routed) => routed.root.as_os_str().as_bytes(),
        None => constants.document_root.as_slice(),
    };
    let (address, port) = (
        request.peer.ip().to_string(),
        request.peer.port().to_string(),
    );
    put(b"REMOTE_ADDR", address.as_bytes());
    put(b"REMOTE_HOST", address.as_bytes());
    put(b"REMOTE_PORT", port.as_bytes());
    put(b"DOCUMENT_ROOT", root);
    put(b"PATH_INFO", &script.path_info);
    put(b"PHP_SELF", &[&script.name[..], &script.path_info].concat());
    put(b"DOCUMENT_URI", &script.name);
    put(b"SCRIPT_FILENAME", script.file.as_os_str().as_bytes());
    put(b"SCRIPT_NAME", &script.name);
    let (name, port) = server(parts, request.is_https);
    put(b"SERVER_NAME", name.as_bytes());
    put(b"SERVER_PORT", port.as_bytes());
    put(b"CONTENT_LENGTH", header(parts, &CONTENT_LENGTH));
    put(b"CONTENT_TYPE", header(parts, &CONTENT_TYPE));
    put(b"SERVER_PROTOCOL", protocol(parts.version).as_bytes());
    put(b"REQUEST_URI", target(&parts.uri).as_bytes());
    put(b"REQUEST_METHOD", parts.method.as_str().as_bytes());
    put(b"QUERY_STRING", query(request).as_bytes());
    let (scheme, https) = if request.is_https {
        ("https", "on")
    } else {
        ("http", "")
    };
    put(b"REQUEST_SCHEME", scheme.as_bytes());
    put(b"HTTPS", https.as_bytes());
    let tls = request.tls.as_ref();
    let cipher = tls.map_or("", |tls| &tls.cipher);
    put(
        b"SSL_PROTOCOL",
        tls.map_or("", |tls| tls.protocol).as_bytes(),
    );
    put(b"SSL_CIPHER", cipher.as_bytes());
    put(b"GATEWAY_INTERFACE", b"CGI/1.1");
    put(b"SERVER_SOFTWARE", b"FrankenPHP");
    put(b"REMOTE_IDENT", b"");
    // RFC 3875 section 4.1.6: only with PATH_INFO.
    if !script.path_info.is_empty() {
        put(b"PATH_TRANSLATED", &[root, &script.path_info].concat());
    }
}

/// The header fields that PHP gets, each name once. Left out: names with `_` or `.`, which would become the variable of
/// another field, and `Proxy`, which would become the variable that HTTP clients take for their proxy (httpoxy, CVE-2016-5385).
pub(crate) fn headers(parts: &Parts, mut put: impl FnMut(&[u8], &[u8])) {
    let mut name = Vec::with_capacity(32);
    for key in parts.headers.keys() {
        let is_alias = key.as_str().contains(['_', '.']);
        if is_alias || key.as_str() == "proxy" || *key == TRANSFER_ENCODING {
            continue;
        }
        canonical(key, &mut name);
        let mut values = parts.headers.get_all(key).iter();
        let first = values
            .next()
            .map(http::HeaderValue::as_bytes)
            .unwrap_or_default();
        let Some(second) = values.next() else {
            put(&name, first);
            continue;
        };
        // RFC 9110 section 5.3; cookies: RFC 9113 section 8.2.3.
        let separator: &[u8] = if *key == COOKIE { b"; " } else { b", " };
        let mut all = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            all.extend_from_slice(separator);
            all.extend_from_slice(value.as_bytes());
        }
        put(&name, &all);
    }
}

/// `content-type` as `Content-Type`, as `getallheaders()` gives it.
fn canonical(name: &HeaderName, into: &mut Vec<u8>) {
    into.clear();
    let mut starts = true;
    for byte in name.as_str().bytes() {
        into.push(if starts {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        starts = byte == b'-';
    }
}

fn header<'a>(parts: &'a Parts, name: &HeaderName) -> &'a [u8] {
    parts
        .headers
        .get(name)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default()
}

/// `SERVER_NAME` and `SERVER_PORT`, from what the client asked for.
fn server(parts: &Parts, is_https: bool) -> (&str, &str) {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let default = if is_https { "443" } else { "80" };
    // The colons of an IPv6 address are within brackets.
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            (name, if port.is_empty() { default } else { port })
        }
        _ => (host, default),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::files::lookup::Script;

    fn request(builder: http::request::Builder, path_info: &str) -> PhpRequest {
        PhpRequest {
            parts: builder.body(()).unwrap().into_parts().0,
            body: Box::pin(crate::http::Body::default()),
            peer: "192.0.2.1:4000".parse().unwrap(),
            tls: None,
            is_https: false,
            script: Script {
                file: PathBuf::from("/app/public/index.php"),
                name: b"/index.php".to_vec(),
                path_info: path_info.into(),
            },
            interim: None,
            routed: None,
        }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn variables_of(request: &PhpRequest) -> BTreeMap<String, String> {
        let constants = Constants::new(Path::new("/app/public"), &[]);
        let mut map = BTreeMap::new();
        variables(&constants, request, |name, value| {
            assert!(map.insert(text(name), text(value)).is_none(), "twice");
        });
        map
    }

    #[test]
    fn variables_of_a_request() {
        let builder = http::Request::builder()
            .method("POST")
            .uri("/index.php/a%20b?c=d")
            .header("host", "example.org:8080")
            .header("content-length", "3");
        let map = variables_of(&request(builder, "/a b"));
        for (name, value) in [
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REQUEST_URI", "/index.php/a%20b?c=d"),
            ("QUERY_STRING", "c=d"),
            ("PATH_INFO", "/a b"),
            ("PHP_SELF", "/index.php/a b"),
            ("PATH_TRANSLATED", "/app/public/a b"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "8080"),
            ("CONTENT_LENGTH", "3"),
            ("HTTPS", ""),
        ] {
            assert_eq!(map[name], value, "{name}");
        }
    }

    #[test]
    fn the_host_may_be_an_address() {
        for (host, name, port) in [
            ("[::1]:81", "[::1]", "81"),
            ("[::1]", "[::1]", "80"),
            ("a:", "a", "80"),
            ("", "", "80"),
        ] {
            let builder = http::Request::builder().uri("/").header("host", host);
            let map = variables_of(&request(builder, ""));
            assert_eq!(
                (&map["SERVER_NAME"][..], &map["SERVER_PORT"][..]),
                (name, port),
                "{host}"
            );
        }
    }

    #[test]
    fn each_header_once_and_no_aliases() {
        let builder = http::Request::builder()
            .uri("http://example.org/")
            .header("host", "example.org")
            .header("x-real", "1")
            .header("x_real", "2")
            .header("x.real", "3")
            .header("proxy", "evil")
            .header("accept", "a")
            .header("accept", "b")
            .header("cookie", "c=1")
            .header("cookie", "d=2")
            .header("x-empty", "");
        let mut lines = Vec::new();
        headers(&request(builder, "").parts, |name, value| {
            lines.push(format!("{}: {}", text(name), text(value)));
        });
        lines.sort();
        assert_eq!(
            lines,
            [
                "Accept: a, b",
                "Cookie: c=1; d=2",
                "Host: example.org",
                "X-Empty: ",
                "X-Real: 1"
            ]
        );
    }
}
