//! Static files of a document root.

mod body;
mod cache;
mod conditional;
pub(crate) mod lookup;
pub(crate) mod path;
mod range;
pub(crate) mod sendfile;
mod types;

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

pub(crate) use body::FileBody;
pub(crate) use cache::Identity;
use cache::{Cache, MAX_FILE};
use conditional::Validators;
use range::Wanted;

use crate::http::compress::{self, add_vary, is_text};
use crate::http::{Body, Coding, accepted, response};

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
    /// How the content is coded, and does that depend on the client?
    coding: Option<Coding>,
    varies: bool,
    identity: Identity,
    is_fingerprinted: bool,
}

enum Content {
    Memory(Bytes),
    Disk(Arc<std::fs::File>),
}

impl Files {
    /// Answers GET and HEAD with the content of a file, or the part of it that was asked for; `found` is the state that it is in,
    /// if somebody has looked. With `compression`, compressed files beside it are served instead, or made in memory, for clients that take them.
    pub(crate) async fn respond(
        &self,
        (file, found): (&Path, Option<Identity>),
        request: &Parts,
        compression: bool,
    ) -> Response<Body> {
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut refused = response::plain(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let opened = if compression && types::of(file).is_some_and(is_text) {
            self.open_coded((file, found), request).await
        } else {
            self.open(file, found).await
        };
        match opened {
            Ok(representation) => representation.respond(request),
            Err(error) => response::plain(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NOT_FOUND,
                io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            }),
        }
    }

    /// The file in the coding that the client likes best: from a file beside it, else compressed in memory.
    async fn open_coded(
        &self,
        (file, found): (&Path, Option<Identity>),
        request: &Parts,
    ) -> io::Result<Representation> {
        let codings = accepted(&request.headers);
        for coding in &codings {
            let mut name = file.as_os_str().to_owned();
            name.push(".");
            name.push(coding.extension());
            let beside = Path::new(&name);
            if let Some(metadata) = fs_err::metadata(beside).ok().filter(Metadata::is_file) {
                let found = Identity::of(&metadata);
                let mut representation = self.open(beside, Some(found)).await?;
                representation.content_type = types::of(file);
                representation.is_fingerprinted = is_fingerprinted(file);
                representation.coding = Some(*coding);
                representation.varies = true;
                return Ok(representation);
            }
        }
        let mut plain = self.open(file, found).await?;
        plain.varies = true;
        match codings.first() {
            Some(coding) if !request.headers.contains_key(RANGE) => {
                self.coded(file, plain, *coding).await
            }
            _ => Ok(plain),
        }
    }

    /// Compresses a file that is in memory, once. A larger one is compressed while it is sent.
    async fn coded(
        &self,
        file: &Path,
        mut plain: Representation,
        coding: Coding,
    ) -> io::Result<Representation> {
        let (Content::Memory(bytes), identity) = (&plain.content, plain.identity) else {
            return Ok(plain);
        };
        if bytes.len() < compress::MIN_LENGTH {
            return Ok(plain);
        }
        // No file has a NUL in its name.
        let mut key = file.as_os_str().to_owned();
        key.push("\0");
        key.push(coding.extension());
        let key = PathBuf::from(key);
        let coded = if let Some(coded) = self.cache.get(&key, identity) {
            coded
        } else {
            let bytes = bytes.clone();
            let coded = tokio::task::spawn_blocking(move || compress::whole(&bytes, coding))
                .await
                .map_err(io::Error::other)??;
            self.cache.put(&key, identity, coded.clone());
            coded
        };
        plain.length = coded.len() as u64;
        plain.content = Content::Memory(coded);
        plain
            .etag
            .insert_str(plain.etag.len() - 1, &format!("-{}", coding.extension()));
        plain.coding = Some(coding);
        Ok(plain)
    }

    async fn open(&self, path: &Path, found: Option<Identity>) -> io::Result<Representation> {
        let found = match found {
            Some(found) => found,
            None => Identity::of(&fs_err::metadata(path)?),
        };
        if let Some(content) = self.cache.get(path, found) {
            return Ok(Representation::new(path, found, Content::Memory(content)));
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
            return Ok(Representation::new(path, Identity::of(&metadata), content));
        }
        let (content, found) = tokio::task::spawn_blocking(move || read(&file))
            .await
            .map_err(io::Error::other)??;
        self.cache.put(path, found, content.clone());
        Ok(Representation::new(path, found, Content::Memory(content)))
    }
}

/// The whole content, and the state that the file was in before and after it was read.
fn read(mut file: &std::fs::File) -> io::Result<(Bytes, Identity)> {
    const ATTEMPTS: usize = 3;
    for _ in 0..ATTEMPTS {
        io::Seek::rewind(&mut file)?;
        let metadata = file.metadata()?;
        let before = Identity::of(&metadata);
        let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE + 1), &mut content)?;
        let after = Identity::of(&file.metadata()?);
        if before == after && content.len() as u64 == after.size {
            return Ok((content.into(), after));
        }
    }
    Err(io::Error::other("the file changes while it is read"))
}

impl Representation {
    fn new(path: &Path, identity: Identity, content: Content) -> Self {
        let (seconds, nanoseconds) = identity.modified;
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Self {
            content,
            length: identity.size,
            etag: format!("\"{seconds:x}-{:x}-{:x}\"", nanoseconds, identity.size),
            modified,
            content_type: types::of(path),
            coding: None,
            varies: false,
            identity,
            is_fingerprinted: is_fingerprinted(path),
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
        if self.is_fingerprinted {
            let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
            headers.insert(CACHE_CONTROL, forever);
        }
        if self.varies {
            add_vary(headers);
        }
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
        if let Some(coding) = self.coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
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

/// Is the content part of the name, as Vite and others have it (`build/assets/app-DcxnPXnC.js`)? Such a file never changes.
fn is_fingerprinted(path: &Path) -> bool {
    const LENGTH: usize = 8;
    let is_built = path
        .parent()
        .is_some_and(|directory| directory.ends_with("build/assets"));
    let hash = path
        .file_stem()
        .and_then(|stem| stem.to_str()?.rsplit_once(['-', '.']))
        .map(|(_, hash)| hash);
    is_built && hash.is_some_and(|hash| hash.len() >= LENGTH)
}

/// Text of this module's own making, which is visible ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
