//! Files that a script hands over instead of sending them: `X-Sendfile` with a path, `X-Accel-Redirect` with one below the
//! application's directory. The script decides who may have the file; ranges, preconditions and speed are ours.

use std::path::{Path, PathBuf};

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue,
};
use http::{Method, Request, Response, StatusCode};

use super::Files;
use super::path::CleanPath;
use crate::http::{Body, response};

const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");
const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// It is not in the application's directory, or not at all.
pub(crate) struct Refused;

/// The file that a response names instead of content, if it does. `application`: the directory that it must be in.
pub(crate) fn named(
    response: &Response<Body>,
    application: &Path,
) -> Option<Result<PathBuf, Refused>> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = response.headers();
    let path = if let Some(path) = headers.get(X_SENDFILE) {
        text(path).map(PathBuf::from)
    } else {
        let path = headers.get(X_ACCEL_REDIRECT)?;
        text(path).and_then(|path| below(application, &path))
    };
    // Links are followed first: what counts is where the file is.
    Some(
        path.and_then(|path| fs_err::canonicalize(path).ok())
            .filter(|path| path.starts_with(application))
            .ok_or(Refused),
    )
}

fn below(application: &Path, path: &str) -> Option<PathBuf> {
    let path = path.split('?').next().unwrap_or_default();
    let clean = CleanPath::of(path).ok()?;
    let relative = String::from_utf8(clean.as_bytes().to_vec()).ok()?;
    Some(application.join(relative.trim_start_matches('/')))
}

/// The file's response to a request with these headers, with what the script said about it.
pub(crate) async fn send(
    files: &Files,
    file: Result<PathBuf, Refused>,
    script: Response<Body>,
    (method, headers): (&Method, &HeaderMap),
) -> Response<Body> {
    let Ok(file) = file else {
        return response::plain(StatusCode::NOT_FOUND);
    };
    let mut request = Request::new(());
    // Whatever the method was, the script has answered it; what follows is a read.
    let is_head = *method == Method::HEAD;
    *request.method_mut() = if is_head { Method::HEAD } else { Method::GET };
    *request.headers_mut() = headers.clone();
    let mut sent = files
        .respond((&file, None), &request.into_parts().0, false)
        .await;
    let ours = [
        X_SENDFILE,
        X_ACCEL_REDIRECT,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        ACCEPT_RANGES,
    ];
    let is_content = sent.status().is_success() || sent.status() == StatusCode::NOT_MODIFIED;
    for name in script
        .headers()
        .keys()
        .filter(|name| is_content && !ours.contains(name))
    {
        // Several parts have a type of their own.
        let is_multipart = sent
            .headers()
            .get(name)
            .is_some_and(|value| value.as_bytes().starts_with(b"multipart/byteranges"));
        if is_multipart {
            continue;
        }
        sent.headers_mut().remove(name);
        for value in script.headers().get_all(name) {
            sent.headers_mut().append(name, value.clone());
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn sent(
        name: &'static str,
        path: &str,
        range: Option<&'static str>,
    ) -> (u16, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let application = fs_err::canonicalize(directory.path()).unwrap().join("app");
        fs_err::create_dir_all(application.join("storage")).unwrap();
        fs_err::write(application.join("storage/a.txt"), "0123456789").unwrap();
        fs_err::write(application.join("../secret"), "secret").unwrap();
        let path = path.replace("APP", application.to_str().unwrap());
        let script = Response::builder()
            .header(name, path)
            .header("content-type", "text/x-own")
            .header("content-length", "0")
            .body(Body::default())
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.extend(range.map(|range| (http::header::RANGE, HeaderValue::from_static(range))));
        let file = named(&script, &application).unwrap();
        let sent = send(&Files::default(), file, script, (&Method::GET, &headers)).await;
        let status = sent.status().as_u16();
        let content_type = sent.headers()["content-type"].to_str().unwrap().to_owned();
        let body = sent.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            content_type,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn files_of_the_application_only() {
        let whole = (200, "text/x-own".into(), "0123456789".into());
        assert_eq!(sent("x-sendfile", "APP/storage/a.txt", None).await, whole);
        assert_eq!(
            sent("x-accel-redirect", "/storage/a.txt?x", None).await,
            whole
        );
        let part = (206, "text/x-own".into(), "12".into());
        assert_eq!(
            sent("x-sendfile", "APP/storage/a.txt", Some("bytes=1-2")).await,
            part
        );
        for path in ["APP/../secret", "/etc/passwd", "APP/none", "storage/a.txt"] {
            assert_eq!(sent("x-sendfile", path, None).await.0, 404, "{path}");
        }
        for path in ["/../secret", "/none", "/.env"] {
            assert_eq!(sent("x-accel-redirect", path, None).await.0, 404, "{path}");
        }
    }
}
