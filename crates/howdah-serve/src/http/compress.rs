//! Content compressed on its way to the client.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, VARY,
};
use http::{Method, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use super::accept::{Coding, accepted};
use super::{Body, BodyError};

/// Shorter content fits one packet either way.
pub(crate) const MIN_LENGTH: usize = 512;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_BITS: u32 = 20;
const BROTLI_BUFFER: usize = 16 << 10;
const ZSTD_LEVEL: i32 = 3;

/// Compresses a response if the client takes it and there is something to gain.
pub(crate) fn compress(
    method: &Method,
    request: &HeaderMap,
    mut response: Response<Body>,
) -> Response<Body> {
    if !is_compressible(&response) {
        return response;
    }
    add_vary(response.headers_mut());
    // The response to HEAD has the header of GET's, whose length nobody knows before it is made.
    let Some(coding) = accepted(request).first().copied() else {
        return response;
    };
    let encoder = if *method == Method::HEAD {
        None
    } else {
        match Encoder::new(coding) {
            Ok(encoder) => Some(encoder),
            Err(_) => return response,
        }
    };
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    weaken_etag(headers);
    match encoder {
        Some(encoder) => response.map(|body| Body::compressed(Compressed::new(body, encoder))),
        None => response,
    }
}

fn is_compressible(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let has_content = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    );
    let is_fixed = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("no-transform"))
    });
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .or_else(|| response.body().size_hint().exact());
    has_content
        && !is_fixed
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && length.is_none_or(|length: u64| length >= MIN_LENGTH as u64)
        && headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(is_text)
}

/// Does a content type stand for something that becomes smaller?
pub(crate) fn is_text(content_type: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/x-javascript",
        "application/graphql",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/x-icon",
    ];
    let name = content_type.split(';').next().unwrap_or_default().trim();
    let name = name.to_ascii_lowercase();
    name.starts_with("text/")
        || name.ends_with("+json")
        || name.ends_with("+xml")
        || OTHERS.contains(&name.as_str())
}

/// Caches must keep one answer for each `Accept-Encoding`.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    let is_there = headers.get_all(VARY).iter().any(|value| {
        value.to_str().is_ok_and(|names| {
            names.split(',').any(|name| {
                matches!(
                    name.trim().to_ascii_lowercase().as_str(),
                    "*" | "accept-encoding"
                )
            })
        })
    });
    if !is_there {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// Equal content, other bytes (RFC 9110 section 8.8.1).
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(ETAG) else {
        return;
    };
    if !etag.as_bytes().starts_with(b"W/") {
        let weak = [b"W/", etag.as_bytes()].concat();
        match HeaderValue::try_from(weak) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}

enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => {
                Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
            }
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            )),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Zstd(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder,
            Encoder::Gzip(encoder) => encoder,
        }
    }

    /// What has come out so far.
    fn take(&mut self) -> Bytes {
        let out = match self {
            Encoder::Zstd(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Zstd(encoder) => encoder.finish()?.into(),
            Encoder::Brotli(encoder) => encoder.into_inner().into(),
            Encoder::Gzip(encoder) => encoder.finish()?.into(),
        })
    }
}

/// A body that is compressed while it passes. What is at hand goes out when the source pauses, so that streams stay streams.
pub(crate) struct Compressed {
    inner: Box<Body>,
    /// None after the end.
    encoder: Option<Encoder>,
    /// Went in since the last time that all came out?
    is_dirty: bool,
}

impl Compressed {
    fn new(inner: Body, encoder: Encoder) -> Self {
        Self {
            inner: Box::new(inner),
            encoder: Some(encoder),
            is_dirty: false,
        }
    }

    /// Feeds the encoder until something comes out of it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(encoder) = &mut self.encoder else {
            return Poll::Ready(None);
        };
        loop {
            let polled = Pin::new(&mut *self.inner).poll_frame(context);
            let out = match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers of PHP do not exist.
                    let data = frame.into_data().unwrap_or_default();
                    self.is_dirty |= !data.is_empty();
                    encoder.writer().write_all(&data)?;
                    encoder.take()
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    let rest = self.encoder.take().map(Encoder::finish).transpose()?;
                    return Poll::Ready(rest.filter(|rest| !rest.is_empty()).map(Ok));
                }
                Poll::Pending if self.is_dirty => {
                    self.is_dirty = false;
                    encoder.writer().flush()?;
                    encoder.take()
                }
                Poll::Pending => return Poll::Pending,
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll(context).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A whole content, compressed well: for files that stay in memory.
pub(crate) fn whole(content: &[u8], coding: Coding) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding)?;
    encoder.writer().write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn codings_can_be_read() {
        let text = "Jumbo. ".repeat(1000);
        let mut gunzipped = String::new();
        let bytes = whole(text.as_bytes(), Coding::Gzip).unwrap();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut gunzipped)
            .unwrap();
        assert_eq!(gunzipped, text);
        let bytes = whole(text.as_bytes(), Coding::Zstd).unwrap();
        assert_eq!(zstd::decode_all(&bytes[..]).unwrap(), text.as_bytes());
        let bytes = whole(text.as_bytes(), Coding::Brotli).unwrap();
        let mut plain = Vec::new();
        brotli::BrotliDecompress(&mut &bytes[..], &mut plain).unwrap();
        assert_eq!(plain, text.as_bytes());
    }

    #[test]
    fn only_what_gains_is_compressed() {
        let coded = |content_type: &str, length: usize, cache: &str| {
            let mut response = Response::new(Body::from("x".repeat(length)));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            headers.insert(CACHE_CONTROL, cache.parse().unwrap());
            headers.insert(ETAG, "\"a\"".parse().unwrap());
            let mut request = HeaderMap::new();
            request.insert(http::header::ACCEPT_ENCODING, "gzip".parse().unwrap());
            let response = compress(&Method::GET, &request, response);
            response
                .headers()
                .contains_key(CONTENT_ENCODING)
                .then(|| response.headers()[ETAG].to_str().unwrap().to_owned())
        };
        assert_eq!(
            coded("text/html", 9999, "private").as_deref(),
            Some("W/\"a\"")
        );
        assert_eq!(
            coded("application/hal+json", 9999, "private").as_deref(),
            Some("W/\"a\"")
        );
        assert_eq!(coded("text/html", 100, "private"), None);
        assert_eq!(coded("image/png", 9999, "private"), None);
        assert_eq!(coded("text/html", 9999, "no-transform"), None);
    }
}
