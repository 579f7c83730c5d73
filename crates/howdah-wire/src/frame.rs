//! Frames on the stream socket of one worker: `u32` length of the payload (little endian), `u8` kind, payload.
//!
//! One request is: `Request`, `Body`* , `BodyEnd` towards the worker; (`Begun` | `Interim` | `Log` | `Reload`)*, `Head`, `Body`*,
//! `Finished`, `Ready` towards the front. `Finished` and `Ready` are two frames because a script may go on after
//! `fastcgi_finish_request()`, and because a worker that dies after its answer must not be given the next request. A worker whose
//! script comes back for the next request at once each time says `Ready` together with `Finished`, in one write.
//!
//! After `Finished` the front may cut the request's body short with `BodyEnd`; `Aborted` ends it, too.
//! Until the worker counted the request in its [`crate::ledger`], the front may give it to another worker, whatever its method. So
//! that it can, it sends no more of a body than it keeps before the worker, waiting for the rest, says `Begun`.

/// Bytes of a frame before its payload.
pub const HEADER_LENGTH: usize = 5;
/// The most bytes of a payload; a longer frame is a broken peer.
pub const MAX_PAYLOAD: usize = 4 << 20;
/// Bodies travel in pieces of at most this many bytes.
pub const BODY_PIECE: usize = 64 << 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the worker: a [`crate::Request`].
    Request = 1,
    /// Both ways: bytes of a body.
    Body = 2,
    /// To the worker: the request's body is whole.
    BodyEnd = 3,
    /// To the worker: the client is gone; what is written from here on is dropped and `connection_aborted()` is true.
    Aborted = 4,
    /// To the worker: no more requests, `frankenphp_handle_request()` returns false, then the process ends.
    Drain = 5,
    /// To the front: an interim (1xx) response, a [`crate::Head`].
    Interim = 17,
    /// To the front: status and headers, a [`crate::Head`].
    Head = 18,
    /// To the front: the response is whole.
    Finished = 19,
    /// To the front: waiting for a request. Payload: see [`crate::request::Ready`].
    Ready = 20,
    /// To the front: a line for the log, JSON of a [`crate::LogLine`].
    Log = 21,
    /// To the front: the PHP backtrace that was asked for by signal, text.
    Backtrace = 22,
    /// To the front: the script called `opcache_reset()`, so all workers are to be replaced.
    Reload = 23,
    /// To the front: the request has begun and waits for more of its body.
    Begun = 24,
}

/// A frame and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its payload.
    pub payload: &'a [u8],
}

/// A frame that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`MAX_PAYLOAD`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// No known kind.
    #[error("no frame has kind {0}")]
    Kind(u8),
    /// The payload is not what its kind says.
    #[error("the payload of a frame ends in the middle")]
    Short,
}

impl Kind {
    fn of(byte: u8) -> Result<Kind, FrameError> {
        const ALL: [Kind; 13] = [
            Kind::Request,
            Kind::Body,
            Kind::BodyEnd,
            Kind::Aborted,
            Kind::Drain,
            Kind::Interim,
            Kind::Head,
            Kind::Finished,
            Kind::Ready,
            Kind::Log,
            Kind::Backtrace,
            Kind::Reload,
            Kind::Begun,
        ];
        ALL.into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or(FrameError::Kind(byte))
    }
}

/// The header of a frame with a payload of `length` bytes.
pub fn header(kind: Kind, length: usize) -> Result<[u8; HEADER_LENGTH], FrameError> {
    if length > MAX_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    let [a, b, c, d] = u32::try_from(length)
        .map_err(|_| FrameError::TooLong(length))?
        .to_le_bytes();
    Ok([a, b, c, d, kind as u8])
}

/// The kind and the payload's length of a frame that begins so.
pub fn read_header(header: [u8; HEADER_LENGTH]) -> Result<(Kind, usize), FrameError> {
    let [a, b, c, d, kind] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::TooLong(length));
    }
    Ok((Kind::of(kind)?, length))
}

/// The first whole frame of `bytes` and its length with its header, or none if more bytes must come.
pub fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let (kind, length) = read_header(*header)?;
    Ok(rest
        .get(..length)
        .map(|payload| (Frame { kind, payload }, HEADER_LENGTH + length)))
}

/// Appends a frame.
pub fn append(into: &mut Vec<u8>, kind: Kind, payload: &[u8]) -> Result<(), FrameError> {
    into.extend_from_slice(&header(kind, payload.len())?);
    into.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let mut bytes = Vec::new();
        append(&mut bytes, Kind::Body, b"abc").unwrap();
        append(&mut bytes, Kind::BodyEnd, b"").unwrap();
        let (frame, length) = first(&bytes).unwrap().unwrap();
        assert_eq!((frame.kind, frame.payload), (Kind::Body, &b"abc"[..]));
        let (frame, _) = first(&bytes[length..]).unwrap().unwrap();
        assert_eq!((frame.kind, frame.payload), (Kind::BodyEnd, &b""[..]));
        for end in 0..length {
            assert_eq!(first(&bytes[..end]).unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(first(&[0, 0, 0, 0, 99]), Err(FrameError::Kind(99)));
        let long = u32::try_from(MAX_PAYLOAD + 1).unwrap().to_le_bytes();
        assert!(matches!(
            first(&[long[0], long[1], long[2], long[3], 2]),
            Err(FrameError::TooLong(_))
        ));
    }
}
