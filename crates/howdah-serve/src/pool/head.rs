//! From the header fields that PHP gives, one text each, to those of a response. A script can write anything there.

use howdah_wire::Head;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Response, StatusCode};

/// Fields about the connection, which is not PHP's (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What is wrong with a head: the client gets a 500.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum HeadFault {
    #[error("status {0} of a script is none of HTTP")]
    Status(u16),
    #[error("header field `{0}` of a script is none of HTTP")]
    Field(String),
}

/// The head of a response, without a body.
pub(crate) fn response(head: &Head) -> Result<Response<()>, HeadFault> {
    let status = StatusCode::from_u16(head.status)
        .ok()
        .filter(|status| (100..600).contains(&status.as_u16()))
        .ok_or(HeadFault::Status(head.status))?;
    let mut headers = HeaderMap::with_capacity(head.headers.len() + 2);
    for line in &head.headers {
        let (name, value) = field(line)
            .ok_or_else(|| HeadFault::Field(String::from_utf8_lossy(line).into_owned()))?;
        if !HOP_BY_HOP.contains(&name) {
            headers.append(name, value);
        }
    }
    settle_length(&mut headers)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The head of an interim response, if it is one that a script may send: to switch protocols is not its business.
pub(crate) fn interim(head: &Head) -> Option<Response<()>> {
    let response = response(head).ok()?;
    let status = response.status();
    (status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS).then_some(response)
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii_end()).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// One length or none: two would let the next reader choose (RFC 9110 section 8.6).
fn settle_length(headers: &mut HeaderMap) -> Result<(), HeadFault> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next().cloned() else {
        return Ok(());
    };
    let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if !is_number || lengths.any(|other| *other != length) {
        let value = String::from_utf8_lossy(length.as_bytes());
        return Err(HeadFault::Field(format!("Content-Length: {value}")));
    }
    headers.insert(CONTENT_LENGTH, length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, lines: &[&str]) -> Result<Response<()>, HeadFault> {
        let headers = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        response(&Head { status, headers })
    }

    #[test]
    fn fields_are_taken_over() {
        let response = of(
            201,
            &[
                "Set-Cookie: a=1",
                "Set-Cookie:b=2 ",
                "X-Empty:",
                "Status: 500",
            ],
        )
        .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(response.headers()["x-empty"], "");
        assert_eq!(response.headers()["status"], "500");
    }

    #[test]
    fn the_connection_is_not_the_scripts() {
        let response = of(
            200,
            &[
                "Connection: close",
                "Transfer-Encoding: chunked",
                "keep-alive: 5",
            ],
        );
        assert!(response.unwrap().headers().is_empty());
    }

    #[test]
    fn interim_responses_are_those_of_1xx() {
        let of = |status, line: &str| {
            let headers = vec![line.as_bytes().to_vec()];
            interim(&Head { status, headers })
        };
        let hint = of(103, "Link: </a.css>; rel=preload").unwrap();
        assert_eq!(hint.headers()["link"], "</a.css>; rel=preload");
        assert!(of(102, "X: y").is_some());
        for (status, line) in [(101, "Upgrade: x"), (200, "X: y"), (103, "no field")] {
            assert!(of(status, line).is_none(), "{status} {line}");
        }
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for status in [0, 99, 600, 999] {
            assert_eq!(of(status, &[]).unwrap_err(), HeadFault::Status(status));
        }
        for line in [
            "no colon",
            "bad name: x",
            "X-A: a\nB: c",
            "X-A: \0",
            "Content-Length: -1",
            ": x",
        ] {
            assert!(of(200, &[line]).is_err(), "{line:?}");
        }
        assert!(of(200, &["Content-Length: 1", "Content-Length: 2"]).is_err());
        assert!(of(200, &["Content-Length: 1", "Content-Length: 1"]).is_ok());
    }
}
