//! Payloads of the frames of one request: byte strings with their `u32` length in front and a NUL behind (so that a worker hands
//! them to C as they lie), and pairs of them.

use crate::FrameError;

/// A name and its value.
pub type Pair = (Vec<u8>, Vec<u8>);
/// A name and its value, borrowed.
pub type PairView<'a> = (&'a [u8], &'a [u8]);

/// A request as a worker gets it; the body follows in frames of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The file to run, absolute; its symlinks are resolved.
    pub script: Vec<u8>,
    /// The method.
    pub method: Vec<u8>,
    /// Path and query as they were asked for.
    pub uri: Vec<u8>,
    /// What follows the `?`, or nothing.
    pub query: Vec<u8>,
    /// Bytes of the body if the client told it; none of a chunked one.
    pub content_length: Option<u64>,
    /// Everything of `$_SERVER` but `HTTP_*`, `PHP_AUTH_*`, `AUTH_TYPE` and `REQUEST_TIME*`, which the worker makes itself.
    pub variables: Vec<Pair>,
    /// The header fields in their order, names as sent. A name occurs once: the front joins and drops what must not pass.
    pub headers: Vec<Pair>,
}

/// A request that borrows from its payload. A NUL follows each text there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestView<'a> {
    /// As in [`Request`], like all that follow.
    pub script: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// Path and query.
    pub uri: &'a [u8],
    /// The query.
    pub query: &'a [u8],
    /// Bytes of the body.
    pub content_length: Option<u64>,
    /// `$_SERVER`.
    pub variables: Vec<PairView<'a>>,
    /// The header fields.
    pub headers: Vec<PairView<'a>>,
}

/// Status and header fields as PHP gives them, one `Name: value` each. They are not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// `Name: value`.
    pub headers: Vec<Vec<u8>>,
}

/// What a worker tells when it waits for a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// Requests served so far.
    pub served: u64,
    /// `memory_get_usage(true)`, bytes.
    pub memory_bytes: u64,
    /// `memory_get_peak_usage(true)` of the last request, bytes.
    pub peak_bytes: u64,
}

impl Request {
    /// The payload of a `Request` frame.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let line = Line {
            script: &self.script,
            method: &self.method,
            uri: &self.uri,
            query: &self.query,
            content_length: self.content_length,
        };
        line.encode(into);
        for pairs in [&self.variables, &self.headers] {
            let mut writer = PairsWriter::new(into);
            for (name, value) in pairs {
                writer.put(name, value);
            }
            writer.finish();
        }
    }

    /// The request of such a payload.
    pub fn decode(payload: &[u8]) -> Result<Request, FrameError> {
        let view = RequestView::decode(payload)?;
        let owned = |pairs: Vec<PairView<'_>>| {
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect()
        };
        Ok(Request {
            script: view.script.to_vec(),
            method: view.method.to_vec(),
            uri: view.uri.to_vec(),
            query: view.query.to_vec(),
            content_length: view.content_length,
            variables: owned(view.variables),
            headers: owned(view.headers),
        })
    }
}

impl<'a> RequestView<'a> {
    /// The request of such a payload.
    pub fn decode(payload: &'a [u8]) -> Result<RequestView<'a>, FrameError> {
        let mut rest = payload;
        Ok(RequestView {
            script: take(&mut rest)?,
            method: take(&mut rest)?,
            uri: take(&mut rest)?,
            query: take(&mut rest)?,
            content_length: Some(take_number(&mut rest)?).filter(|length| *length != u64::MAX),
            variables: take_pairs(&mut rest)?,
            headers: take_pairs(&mut rest)?,
        })
    }
}

/// What a `Request` payload begins with; variables and header fields follow, each a list of pairs written by [`PairsWriter`].
/// A front writes a payload so without collecting a [`Request`] first.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// See [`Request::script`].
    pub script: &'a [u8],
    /// See [`Request::method`].
    pub method: &'a [u8],
    /// See [`Request::uri`].
    pub uri: &'a [u8],
    /// See [`Request::query`].
    pub query: &'a [u8],
    /// See [`Request::content_length`].
    pub content_length: Option<u64>,
}

impl Line<'_> {
    /// Appends it.
    pub fn encode(&self, into: &mut Vec<u8>) {
        for text in [self.script, self.method, self.uri, self.query] {
            put(into, text);
        }
        into.extend_from_slice(&self.content_length.unwrap_or(u64::MAX).to_le_bytes());
    }
}

/// Appends a list of pairs whose number is known only at its end.
#[derive(Debug)]
pub struct PairsWriter<'a> {
    into: &'a mut Vec<u8>,
    start: usize,
    count: usize,
}

impl<'a> PairsWriter<'a> {
    /// Begins a list.
    pub fn new(into: &'a mut Vec<u8>) -> PairsWriter<'a> {
        let start = into.len();
        put_count(into, 0);
        PairsWriter {
            into,
            start,
            count: 0,
        }
    }

    /// A pair.
    pub fn put(&mut self, name: &[u8], value: &[u8]) {
        put(self.into, name);
        put(self.into, value);
        self.count += 1;
    }

    /// The pairs of a list that another writer has [finished](PairsWriter::finish), its count included.
    pub fn put_list(&mut self, mut list: &[u8]) {
        if let Ok(count) = take_count(&mut list) {
            self.into.extend_from_slice(list);
            self.count += count;
        }
    }

    /// Ends the list.
    pub fn finish(self) {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        if let Some(place) = self.into[self.start..].first_chunk_mut() {
            *place = count.to_le_bytes();
        }
    }
}

impl Head {
    /// The payload of a `Head` or `Interim` frame.
    pub fn encode(&self, into: &mut Vec<u8>) {
        Head::encode_parts(self.status, self.headers.iter().map(Vec::as_slice), into);
    }

    /// The same of parts that are borrowed.
    pub fn encode_parts<'a>(
        status: u16,
        headers: impl ExactSizeIterator<Item = &'a [u8]>,
        into: &mut Vec<u8>,
    ) {
        into.extend_from_slice(&status.to_le_bytes());
        put_count(into, headers.len());
        for header in headers {
            put(into, header);
        }
    }

    /// The head of such a payload.
    pub fn decode(payload: &[u8]) -> Result<Head, FrameError> {
        let mut rest = payload;
        let status = u16::from_le_bytes(take_array(&mut rest)?);
        let count = take_count(&mut rest)?;
        let headers = (0..count)
            .map(|_| take(&mut rest).map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()?;
        Ok(Head { status, headers })
    }
}

impl Ready {
    /// The payload of a `Ready` frame.
    pub fn encode(&self) -> [u8; 24] {
        let mut payload = [0; 24];
        let numbers = [self.served, self.memory_bytes, self.peak_bytes];
        for (place, number) in payload.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        payload
    }

    /// What such a payload tells.
    pub fn decode(payload: &[u8]) -> Result<Ready, FrameError> {
        let mut rest = payload;
        Ok(Ready {
            served: take_number(&mut rest)?,
            memory_bytes: take_number(&mut rest)?,
            peak_bytes: take_number(&mut rest)?,
        })
    }
}

fn put(into: &mut Vec<u8>, text: &[u8]) {
    put_count(into, text.len());
    into.extend_from_slice(text);
    into.push(0);
}

/// Lengths beyond `u32` do not fit a frame, which its header refuses.
fn put_count(into: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    into.extend_from_slice(&count.to_le_bytes());
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], FrameError> {
    let length = take_count(rest)?;
    let (text, after) = rest.split_at_checked(length).ok_or(FrameError::Short)?;
    let [0, after @ ..] = after else {
        return Err(FrameError::Short);
    };
    *rest = after;
    Ok(text)
}

fn take_pairs<'a>(rest: &mut &'a [u8]) -> Result<Vec<PairView<'a>>, FrameError> {
    let count = take_count(rest)?;
    (0..count).map(|_| Ok((take(rest)?, take(rest)?))).collect()
}

fn take_count(rest: &mut &[u8]) -> Result<usize, FrameError> {
    Ok(u32::from_le_bytes(take_array(rest)?) as usize)
}

fn take_number(rest: &mut &[u8]) -> Result<u64, FrameError> {
    Ok(u64::from_le_bytes(take_array(rest)?))
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FrameError> {
    let (array, after) = rest.split_first_chunk().ok_or(FrameError::Short)?;
    *rest = after;
    Ok(*array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let pair = |name: &str, value: &str| (name.into(), value.into());
        Request {
            script: b"/app/public/index.php".to_vec(),
            method: b"POST".to_vec(),
            uri: b"/a?b=c".to_vec(),
            query: b"b=c".to_vec(),
            content_length: Some(3),
            variables: vec![pair("SERVER_NAME", "localhost"), pair("HTTPS", "")],
            headers: vec![pair("Accept", "*/*")],
        }
    }

    #[test]
    fn requests_and_answers_come_back_as_they_went() {
        let mut payload = Vec::new();
        request().encode(&mut payload);
        assert_eq!(Request::decode(&payload), Ok(request()));
        let head = Head {
            status: 404,
            headers: vec![b"X-A: b".to_vec()],
        };
        payload.clear();
        head.encode(&mut payload);
        assert_eq!(Head::decode(&payload), Ok(head));
        let ready = Ready {
            served: 1,
            memory_bytes: 2,
            peak_bytes: 3,
        };
        assert_eq!(Ready::decode(&ready.encode()), Ok(ready));
    }

    #[test]
    fn a_list_goes_into_another() {
        let (mut first, mut whole) = (Vec::new(), Vec::new());
        let mut writer = PairsWriter::new(&mut first);
        writer.put(b"A", b"1");
        writer.put(b"B", b"");
        writer.finish();
        let mut writer = PairsWriter::new(&mut whole);
        writer.put(b"C", b"3");
        writer.put_list(&first);
        writer.finish();
        let pairs = take_pairs(&mut &whole[..]).unwrap();
        let names: Vec<_> = pairs.iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, [b"C", b"A", b"B"]);
    }

    #[test]
    fn a_cut_payload_is_an_error_and_no_panic() {
        let mut payload = Vec::new();
        request().encode(&mut payload);
        for end in 0..payload.len() {
            assert_eq!(Request::decode(&payload[..end]), Err(FrameError::Short));
        }
    }
}
