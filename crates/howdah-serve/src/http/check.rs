//! What a request must be like before anything looks at it. hyper has checked the syntax of its parts, and how long its body
//! is; what they mean together is checked here.

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Version};

/// Refuses what RFC 9112 section 3.2 and RFC 9113 section 8.3 refuse, with the status to answer.
/// A host in the target is the request's afterwards.
pub(crate) fn check(parts: &mut Parts) -> Result<(), StatusCode> {
    check_host(parts)?;
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    check_target(parts)?;
    settle_host(parts)?;
    // Anything else that is encoded before it is chunked would have to be decoded here (RFC 9112 section 6.1).
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(StatusCode::NOT_IMPLEMENTED),
    }
}

/// Exactly one `Host`, a valid one, in HTTP/1.1; none is needed in HTTP/1.0 and in HTTP/2, which has `:authority`.
fn check_host(parts: &Parts) -> Result<(), StatusCode> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version == Version::HTTP_11 => Err(StatusCode::BAD_REQUEST),
        (None, _) => Ok(()),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

/// Two names of one server would let each reader choose. In HTTP/1 the target's goes before `Host` (RFC 9112 section 3.2.2); later
/// versions want them to be equal (RFC 9113 section 8.3.1, RFC 9114 section 4.3.1).
fn settle_host(parts: &mut Parts) -> Result<(), StatusCode> {
    let Some(authority) = parts.uri.authority() else {
        return Ok(());
    };
    let authority = authority.as_str().as_bytes();
    let host = parts.headers.get(HOST);
    let is_equal = host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority));
    if !is_host(authority) || (parts.version >= Version::HTTP_2 && !is_equal) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let host = HeaderValue::from_bytes(authority).map_err(|_| StatusCode::BAD_REQUEST)?;
    parts.headers.insert(HOST, host);
    Ok(())
}

/// A name or address and perhaps a port (RFC 9110 section 7.2); an empty one is allowed for targets without an authority.
fn is_host(host: &[u8]) -> bool {
    host.is_empty()
        || (!host.contains(&b'@')
            && Authority::try_from(host).is_ok_and(|authority| {
                let port = authority.as_str().strip_prefix(authority.host());
                !authority.host().is_empty()
                    && port
                        .is_none_or(|port| matches!(port, "" | ":") || authority.port().is_some())
            }))
}

/// The target is a path, a whole URL of http, or `*` for OPTIONS.
fn check_target(parts: &Parts) -> Result<(), StatusCode> {
    let path = parts.uri.path();
    let scheme_is_ours = parts
        .uri
        .scheme_str()
        .is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !scheme_is_ours {
        return Err(StatusCode::BAD_REQUEST);
    }
    let whole_server = path == "*" && parts.method == Method::OPTIONS;
    if whole_server || path.starts_with('/') {
        Ok(())
    } else {
        Err(StatusCode::BAD_REQUEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&mut request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_target_names_the_host() {
        for (version, host, expected) in [
            (Version::HTTP_11, "b", Ok("a:1")),
            (Version::HTTP_2, "A:1", Ok("a:1")),
            (Version::HTTP_2, "b", Err(StatusCode::BAD_REQUEST)),
            (Version::HTTP_3, "b", Err(StatusCode::BAD_REQUEST)),
        ] {
            let request = http::Request::get("http://a:1/").version(version);
            let request = request.header("host", host).body(()).unwrap();
            let mut parts = request.into_parts().0;
            let outcome = check(&mut parts).map(|()| parts.headers[HOST].to_str().unwrap());
            assert_eq!(outcome, expected, "{version:?} {host}");
        }
        let host = &[("host", "a")];
        let user = status("GET", "http://user@a/", host);
        assert_eq!(user, Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn one_valid_host() {
        let bad = Err(StatusCode::BAD_REQUEST);
        assert_eq!(status("GET", "/", &[]), bad);
        assert_eq!(status("GET", "/", &[("host", "a"), ("host", "a")]), bad);
        for host in ["a b", "a/b", "user@a", "a:x", "[::1", "a,b c", "a:99999"] {
            assert_eq!(status("GET", "/", &[("host", host)]), bad, "{host}");
        }
        for host in ["a", "a:80", "[::1]:80", "", "127.0.0.1", "a:"] {
            assert_eq!(status("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn targets() {
        let host = &[("host", "a")];
        let bad = Err(StatusCode::BAD_REQUEST);
        assert_eq!(status("GET", "*", host), bad);
        assert_eq!(status("OPTIONS", "*", host), Ok(()));
        assert_eq!(status("GET", "ftp://a/", host), bad);
        assert_eq!(status("GET", "http://a/", host), Ok(()));
        let refused = Err(StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status("CONNECT", "a:80", host), refused);
    }

    #[test]
    fn only_chunked_is_a_transfer_encoding() {
        let with = |encoding| {
            status(
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", encoding)],
            )
        };
        assert_eq!(with("chunked"), Ok(()));
        assert_eq!(with("gzip, chunked"), Err(StatusCode::NOT_IMPLEMENTED));
        assert_eq!(with("chunked, chunked"), Err(StatusCode::NOT_IMPLEMENTED));
    }
}
