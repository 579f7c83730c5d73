//! Records of FastCGI (specification 1.0, section 3.3): what goes to the server and what comes from it, as bytes.

use bytes::{Buf as _, Bytes, BytesMut};

/// Before every record's content.
const HEADER_LENGTH: usize = 8;
const VERSION: u8 = 1;
/// A connection carries one request at a time, as PHP-FPM wants it.
const REQUEST_ID: u16 = 1;
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const RESPONDER: u16 = 1;
const KEEP_CONNECTION: u8 = 1;
/// The longest content that needs no padding; the specification wants lengths that are multiples of eight.
const PIECE: usize = 0xfff8;

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A piece of the response, head and body alike.
    Output(Bytes),
    /// A piece of what belongs to the log.
    Errors(Bytes),
    /// The request is over.
    End(ProtocolStatus),
    /// Nothing that concerns a request.
    Other,
}

/// How the server thinks of a request (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolStatus {
    Complete,
    Overloaded,
    /// It does not do what was asked of it.
    Rejected,
}

/// What is no record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RecordFault {
    #[error("does not speak FastCGI")]
    Version,
    #[error("answers a request that was not made")]
    Request,
    #[error("ends a request without saying how")]
    End,
}

/// The beginning of a request and its variables. `keep`: the connection stays open after it.
pub(super) fn append_request(into: &mut Vec<u8>, keep: bool, variables: &Variables) {
    append_header(into, BEGIN_REQUEST, 8);
    let [high, low] = RESPONDER.to_be_bytes();
    let flags = if keep { KEEP_CONNECTION } else { 0 };
    into.extend_from_slice(&[high, low, flags, 0, 0, 0, 0, 0]);
    append_stream(into, PARAMS, &variables.0);
    append_header(into, PARAMS, 0);
}

/// A piece of the request's body.
pub(super) fn append_body(into: &mut Vec<u8>, piece: &[u8]) {
    append_stream(into, STDIN, piece);
}

/// The end of the request's body.
pub(super) fn append_body_end(into: &mut Vec<u8>) {
    append_header(into, STDIN, 0);
}

fn append_stream(into: &mut Vec<u8>, kind: u8, data: &[u8]) {
    for piece in data.chunks(PIECE) {
        let padding = piece.len().next_multiple_of(8) - piece.len();
        append_header(into, kind, piece.len());
        let place = into.len() - 2;
        // At most seven.
        into[place] = padding.to_le_bytes()[0];
        into.extend_from_slice(piece);
        into.extend_from_slice(&[0; 8][..padding]);
    }
}

/// `length` is at most [`PIECE`].
fn append_header(into: &mut Vec<u8>, kind: u8, length: usize) {
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    into.extend_from_slice(&[VERSION, kind, id_high, id_low, high, low, 0, 0]);
}

/// Names and values (section 3.4).
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<u8>);

impl Variables {
    pub(super) fn put(&mut self, name: &[u8], value: &[u8]) {
        self.put_length(name.len());
        self.put_length(value.len());
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(value);
    }

    fn put_length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(length) if length < 0x80 => self.0.push(length),
            // Header fields are far shorter than the 2 GiB that fit.
            _ => {
                let length = u32::try_from(length).unwrap_or(u32::MAX) | 1 << 31;
                self.0.extend_from_slice(&length.to_be_bytes());
            }
        }
    }
}

/// Takes the first record, once it is whole.
pub(super) fn take(input: &mut BytesMut) -> Result<Option<Record>, RecordFault> {
    let Some(header) = input.first_chunk::<HEADER_LENGTH>() else {
        return Ok(None);
    };
    let [version, kind, id_high, id_low, high, low, padding, _] = *header;
    if version != VERSION {
        return Err(RecordFault::Version);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = HEADER_LENGTH + length + usize::from(padding);
    if input.len() < whole {
        return Ok(None);
    }
    let mut record = input.split_to(whole).freeze();
    record.advance(HEADER_LENGTH);
    record.truncate(length);
    match (u16::from_be_bytes([id_high, id_low]), kind) {
        (REQUEST_ID, STDOUT) => Ok(Some(Record::Output(record))),
        (REQUEST_ID, STDERR) => Ok(Some(Record::Errors(record))),
        (REQUEST_ID, END_REQUEST) => {
            let status = record.get(4).ok_or(RecordFault::End)?;
            Ok(Some(Record::End(match status {
                0 => ProtocolStatus::Complete,
                2 => ProtocolStatus::Overloaded,
                _ => ProtocolStatus::Rejected,
            })))
        }
        // Of the connection, not of a request.
        (0, _) => Ok(Some(Record::Other)),
        _ => Err(RecordFault::Request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_the_specification_says() {
        let mut variables = Variables::default();
        variables.put(b"A", b"b");
        variables.put(b"LONG", &[b'x'; 200]);
        let mut bytes = Vec::new();
        append_request(&mut bytes, true, &variables);
        assert_eq!(
            bytes[..16],
            [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
        );
        // 4 bytes of the first pair, 1 + 4 + 4 + 200 of the second, and the padding to a multiple of eight.
        assert_eq!(bytes[16..24], [1, 4, 0, 1, 0, 213, 3, 0]);
        assert_eq!(bytes[24..28], [1, 1, b'A', b'b']);
        assert_eq!(bytes[28..33], [4, 0x80, 0, 0, 200]);
        assert_eq!(bytes[24 + 216..], [1, 4, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_long_body_is_several_records() {
        let mut bytes = Vec::new();
        append_body(&mut bytes, &vec![7; PIECE + 1]);
        append_body_end(&mut bytes);
        assert_eq!(bytes[..8], [1, 5, 0, 1, 0xff, 0xf8, 0, 0]);
        let second = &bytes[8 + PIECE..];
        assert_eq!(second[..9], [1, 5, 0, 1, 0, 1, 7, 0, 7]);
        assert_eq!(second[16..], [1, 5, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn records_are_taken_when_they_are_whole() {
        let mut all = vec![1, 6, 0, 1, 0, 2, 1, 0, b'h', b'i', 0];
        all.extend([1, 7, 0, 1, 0, 1, 0, 0, b'e']);
        all.extend([1, 11, 0, 0, 0, 0, 0, 0]);
        all.extend([1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        let mut input = BytesMut::new();
        let mut records = Vec::new();
        for byte in all {
            input.extend_from_slice(&[byte]);
            records.extend(take(&mut input).unwrap());
        }
        assert_eq!(
            records,
            [
                Record::Output(Bytes::from_static(b"hi")),
                Record::Errors(Bytes::from_static(b"e")),
                Record::Other,
                Record::End(ProtocolStatus::Overloaded),
            ]
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (bytes, fault) in [
            (&b"HTTP/1.1"[..], RecordFault::Version),
            (&[1, 6, 0, 2, 0, 0, 0, 0], RecordFault::Request),
            (&[1, 3, 0, 1, 0, 0, 0, 0], RecordFault::End),
            (&[1, 99, 0, 1, 0, 0, 0, 0], RecordFault::Request),
        ] {
            assert_eq!(take(&mut BytesMut::from(bytes)), Err(fault), "{bytes:?}");
        }
    }
}
