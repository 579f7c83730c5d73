//! Static files of a document root.

mod body;
mod cache;
mod conditional;
pub(crate) mod lookup;
pub(crate) mod path;
mod range;
mod types;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

pub(crate) use body::FileBody;
use cache::{Cache, Identity, MAX_FILE};
use conditional::Validators;
use range::Wanted;

use crate::http::{Body, response};

/// Serves files, the small ones from memory.
#[derive(Debug, Default)]
pub(crate) struct Files {
    cache: Cache,
}

/// A file's content and what is told of it.
struct Representation {
    content: Content,
    length: u64,
    etag: String,
    modified: SystemTime,
    content_type: Option<&'static str>,
}

enum Content {
    Memory(Bytes),
    Disk(Arc<std::fs::File>),
}

impl Files {
    /// Answers GET and HEAD with the content of a file, or the part of it that was asked for.
    pub(crate) async fn respond(&self, file: &Path, request: &Parts) -> Response<Body> {
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut refused = response::plain(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match self.open(file).await {
            Ok(representation) => representation.respond(request),
            Err(error) => response::plain(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NOT_FOUND,
                io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            }),
        }
    }

    async fn open(&self, path: &Path) -> io::Result<Representation> {
        let metadata = fs_err::metadata(path)?;
        let identity = Identity::of(&metadata);
        if let Some(content) = self.cache.get(path, identity) {
            return Ok(Representation::new(
                path,
                &metadata,
                Content::Memory(content),
            ));
        }
        // Opening a named pipe must not wait for its other end.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = fs_err::OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = file.into_file();
        if metadata.len() > MAX_FILE {
            let content = Content::Disk(Arc::new(file));
            return Ok(Representation::new(path, &metadata, content));
        }
        let (content, metadata) = tokio::task::spawn_blocking(move || read(&file))
            .await
            .map_err(io::Error::other)??;
        self.cache
            .put(path, Identity::of(&metadata), content.clone());
        Ok(Representation::new(
            path,
            &metadata,
            Content::Memory(content),
        ))
    }
}

/// The whole content, and the state that the file was in before and after it was read.
fn read(mut file: &std::fs::File) -> io::Result<(Bytes, std::fs::Metadata)> {
    const ATTEMPTS: usize = 3;
    for _ in 0..ATTEMPTS {
        io::Seek::rewind(&mut file)?;
        let metadata = file.metadata()?;
        let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE + 1), &mut content)?;
        let after = file.metadata()?;
        if Identity::of(&metadata) == Identity::of(&after) && content.len() as u64 == after.len() {
            return Ok((content.into(), after));
        }
    }
    Err(io::Error::other("the file changes while it is read"))
}

impl Representation {
    fn new(path: &Path, metadata: &std::fs::Metadata, content: Content) -> Self {
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Self {
            content,
            length: metadata.len(),
            etag: format!(
                "\"{seconds:x}-{:x}-{:x}\"",
                metadata.mtime_nsec(),
                metadata.len()
            ),
            modified,
            content_type: types::of(path),
        }
    }

    fn respond(&self, request: &Parts) -> Response<Body> {
        let validators = Validators {
            etag: &self.etag,
            modified: self.modified,
        };
        let evaluated = validators.evaluate(&request.headers);
        if evaluated == Some(StatusCode::PRECONDITION_FAILED) {
            return response::plain(StatusCode::PRECONDITION_FAILED);
        }
        let mut response = if evaluated.is_some() {
            let mut unchanged = Response::new(Body::default());
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        } else {
            self.content(request, &validators)
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, value(&self.etag));
        headers.insert(
            LAST_MODIFIED,
            value(&httpdate::fmt_http_date(self.modified)),
        );
        response
    }

    /// The whole, or the parts that were asked for. `Range` is defined for GET only (RFC 9110 section 14.2).
    fn content(&self, request: &Parts, validators: &Validators<'_>) -> Response<Body> {
        let wanted = match request.headers.get(RANGE) {
            Some(range)
                if request.method == Method::GET && validators.allows_ranges(&request.headers) =>
            {
                range::parse(range.to_str().unwrap_or_default(), self.length)
            }
            _ => Wanted::Whole,
        };
        let mut response = match wanted {
            Wanted::Whole => self.whole(),
            Wanted::Unsatisfiable => {
                let mut refused = response::plain(StatusCode::RANGE_NOT_SATISFIABLE);
                let range = value(&format!("bytes */{}", self.length));
                refused.headers_mut().insert(CONTENT_RANGE, range);
                refused
            }
            Wanted::Parts(parts) => match parts.as_slice() {
                [part] => self.part(part),
                _ => self.parts(&parts),
            },
        };
        let ranges = HeaderValue::from_static("bytes");
        response.headers_mut().insert(ACCEPT_RANGES, ranges);
        response
    }

    fn whole(&self) -> Response<Body> {
        let mut body = FileBody::default();
        self.push(&mut body, 0..self.length);
        self.with_type(body)
    }

    fn part(&self, part: &std::ops::Range<u64>) -> Response<Body> {
        let mut body = FileBody::default();
        self.push(&mut body, part.clone());
        let mut response = self.with_type(body);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = value(&self.content_range(part));
        response.headers_mut().insert(CONTENT_RANGE, range);
        response
    }

    /// Several parts as `multipart/byteranges` (RFC 9110 section 14.6).
    fn parts(&self, parts: &[std::ops::Range<u64>]) -> Response<Body> {
        let boundary = format!("howdah-{}", self.etag.trim_matches('"'));
        let content_type = self
            .content_type
            .map(|name| format!("Content-Type: {name}\r\n"))
            .unwrap_or_default();
        let mut body = FileBody::default();
        for part in parts {
            let range = self.content_range(part);
            let head = format!("\r\n--{boundary}\r\n{content_type}Content-Range: {range}\r\n\r\n");
            body.push(head.into());
            self.push(&mut body, part.clone());
        }
        body.push(format!("\r\n--{boundary}--\r\n").into());
        let mut response = self.with_type(body);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let content_type = value(&format!("multipart/byteranges; boundary={boundary}"));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    fn content_range(&self, part: &std::ops::Range<u64>) -> String {
        format!("bytes {}-{}/{}", part.start, part.end - 1, self.length)
    }

    fn with_type(&self, body: FileBody) -> Response<Body> {
        let length = body.remaining();
        let mut response = Response::new(Body::file(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        if let Some(content_type) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        response
    }

    fn push(&self, body: &mut FileBody, part: std::ops::Range<u64>) {
        match &self.content {
            Content::Memory(bytes) => {
                let place = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len());
                body.push(bytes.slice(place(part.start)..place(part.end)));
            }
            Content::Disk(file) => {
                body.push_span(Arc::clone(file), part.start, part.end - part.start);
            }
        }
    }
}

/// Text of this module's own making, which is visible ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
