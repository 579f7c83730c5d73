//! Who answers a request: a file of the document root, or PHP.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::config::ServeConfig;
use crate::files::Files;
use crate::files::lookup::{Script, Target, lookup};
use crate::files::path::{CleanPath, PathFault};
use crate::http::{Body, check, response};
use crate::log::Log;

/// Answers requests. One for the whole server.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) config: ServeConfig,
    pub(crate) log: Log,
    files: Files,
}

/// What is known of the connection that a request came by.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "what PHP is told of the connection")]
pub(crate) struct Link {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// This end.
    pub(crate) local: SocketAddr,
}

impl Handler {
    pub(crate) fn new(config: ServeConfig, log: Log) -> Self {
        Self {
            config,
            log,
            files: Files::default(),
        }
    }

    /// Answers a request; it never fails, a fault is a status too.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        link: Link,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if let Err(status) = check::check(&parts) {
            return response::plain(status);
        }
        if parts.uri.path() == "*" {
            return response::plain(StatusCode::NO_CONTENT);
        }
        match self.look_up(&parts) {
            Err(PathFault::Bad) => response::plain(StatusCode::BAD_REQUEST),
            Err(PathFault::Hidden) | Ok(Target::Nothing) => response::plain(StatusCode::NOT_FOUND),
            Ok(Target::File(file)) => self.files.respond(&file, &parts).await,
            Ok(Target::Directory) => with_slash(&parts),
            Ok(Target::Script(script)) => self.run(script, parts, body, link).await,
        }
    }

    fn look_up(&self, parts: &Parts) -> Result<Target, PathFault> {
        Ok(lookup(&self.config.site, &CleanPath::of(parts.uri.path())?))
    }

    /// Has PHP answer.
    #[expect(
        clippy::unused_async,
        reason = "the pool of PHP processes takes this place"
    )]
    async fn run(
        &self,
        _script: Script,
        _parts: Parts,
        _body: Incoming,
        _link: Link,
    ) -> Response<Body> {
        response::plain(StatusCode::NOT_IMPLEMENTED)
    }
}

/// To the same path with a slash at its end; only 308 keeps another method than GET and HEAD.
fn with_slash(parts: &Parts) -> Response<Body> {
    let keeps_method = parts.method == Method::GET || parts.method == Method::HEAD;
    let mut response = response::plain(if keeps_method {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    });
    // Two slashes at the beginning would lead to another host (RFC 3986 section 4.2).
    let path = parts.uri.path().trim_start_matches('/');
    let query = parts.uri.query().map(|query| format!("?{query}"));
    let location = format!("/{path}/{}", query.unwrap_or_default());
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => response::plain(StatusCode::BAD_REQUEST),
    }
}
