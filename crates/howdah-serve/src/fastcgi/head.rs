//! The head of a CGI response (RFC 3875 section 6): it comes in pieces, before the body.

use bytes::{Bytes, BytesMut};
use howdah_wire::Head;

/// A longer head is not waited for.
const LONGEST: usize = 256 << 10;

/// What is no head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadFault {
    #[error("sent a head that is too long")]
    TooLong,
    #[error("ended a response before its head was whole")]
    Ended,
    #[error("sent a status that is no number")]
    Status,
}

/// A head as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Incoming(BytesMut);

impl Incoming {
    /// Takes the next piece; once the head is whole, it and what has come of the body.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Option<(Head, Bytes)>, HeadFault> {
        // The empty line may have begun in the piece before.
        let searched = self.0.len().saturating_sub(3);
        self.0.extend_from_slice(piece);
        let Some((lines, body)) = end(&self.0, searched) else {
            return match self.0.len() {
                ..=LONGEST => Ok(None),
                _ => Err(HeadFault::TooLong),
            };
        };
        let mut all = std::mem::take(&mut self.0).freeze();
        let body = all.split_off(body);
        Ok(Some((parse(&all[..lines])?, body)))
    }
}

/// Where the lines end, and where the body begins. Lines end with CR LF or with LF alone.
fn end(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    (from..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some((at, at + 2)),
        [b'\n', b'\r', b'\n', ..] => Some((at, at + 3)),
        _ => None,
    })
}

fn parse(lines: &[u8]) -> Result<Head, HeadFault> {
    let mut status = None;
    let mut headers = Vec::new();
    let mut has_location = false;
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(value) = value_of(line, b"status:")
            && status.is_none()
        {
            status = Some(number(value).ok_or(HeadFault::Status)?);
            continue;
        }
        has_location |= value_of(line, b"location:").is_some();
        if !line.is_empty() {
            headers.push(line.to_vec());
        }
    }
    // Section 6.2.3: a location alone is a redirection.
    let default = if has_location { 302 } else { 200 };
    Ok(Head {
        status: status.unwrap_or(default),
        headers,
    })
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// `404 Not Found`.
fn number(value: &[u8]) -> Option<u16> {
    let digits = value.trim_ascii().split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<(u16, Vec<String>, String), HeadFault> {
        let mut incoming = Incoming::default();
        let (head, body) = incoming.push(text.as_bytes())?.ok_or(HeadFault::Ended)?;
        let texts = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.headers.iter().map(|line| texts(line)).collect();
        Ok((head.status, headers, texts(&body)))
    }

    #[test]
    fn heads_are_read() {
        for (text, status, headers, body) in [
            ("A: b\r\n\r\nbody", 200, &["A: b"][..], "body"),
            ("Status: 404 Not Found\nA: b\n\n", 404, &["A: b"], ""),
            ("status:204\r\nA:b\r\n\r\n", 204, &["A:b"], ""),
            ("Location: /x\r\n\r\n", 302, &["Location: /x"], ""),
            (
                "Status: 201\r\nLocation: /x\r\n\r\n\r\n",
                201,
                &["Location: /x"],
                "\r\n",
            ),
            (
                "Status: 200 OK\r\nStatus: 500\r\n\r\n",
                200,
                &["Status: 500"],
                "",
            ),
        ] {
            let (found, lines, rest) = whole(text).unwrap();
            assert_eq!((found, &rest[..]), (status, body), "{text:?}");
            assert_eq!(lines, headers, "{text:?}");
        }
    }

    #[test]
    fn a_head_may_come_byte_by_byte() {
        let mut incoming = Incoming::default();
        let text = b"Status: 201 Created\r\nA: b\r\n\r\n";
        let (last, first) = text.split_last().unwrap();
        for byte in first {
            assert_eq!(incoming.push(&[*byte]), Ok(None));
        }
        let (head, body) = incoming.push(&[*last]).unwrap().unwrap();
        assert_eq!((head.status, body.len()), (201, 0));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert_eq!(whole("no end"), Err(HeadFault::Ended));
        assert_eq!(whole("Status: x\n\n"), Err(HeadFault::Status));
        let endless = "A: b\r\n".repeat(LONGEST / 6 + 1);
        assert_eq!(whole(&endless), Err(HeadFault::TooLong));
    }
}
