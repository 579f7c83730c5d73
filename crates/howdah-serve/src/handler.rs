//! Who answers a request: a file of the document root, or PHP.

use std::path::Path;
use std::sync::Arc;

use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, LOCATION,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;

use crate::backend::Backend;
use crate::config::ServeConfig;
use crate::files::lookup::{Script, Target, lookup};
use crate::files::path::{CleanPath, PathFault};
use crate::files::{Files, Identity, sendfile};
use crate::http::access::{Activity, Exchange};
use crate::http::ahead::Disk;
use crate::http::client::Client;
use crate::http::interim::Interim;
use crate::http::request_body::{Bounded, Received, RequestBodyError};
use crate::http::{Body, check, compress, response};
use crate::log::Log;
use crate::tls::Challenges;
use crate::websocket::WebSockets;
use crate::{php, pool, sites};

/// Answers requests. One for the whole server.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) config: ServeConfig,
    pub(crate) log: Log,
    pub(crate) activity: Arc<Activity>,
    pub(crate) backend: Option<Backend>,
    pub(crate) websockets: Option<WebSockets>,
    /// Passwords that sites have checked.
    pub(crate) remembered: sites::password::Remembered,
    challenges: Arc<Challenges>,
    files: Files,
}

/// What is known of the connection that a request came by.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// The other end, or for whom a balancer opened the connection; and whether it is one of TLS.
    pub(crate) client: Client,
    /// Where interim responses go, if they can be sent.
    pub(crate) interim: Option<Interim>,
    /// What PHP is told about TLS, if it is one of TLS.
    pub(crate) tls: Option<pool::Tls>,
    /// `Alt-Svc`: where the same is served by HTTP/3.
    pub(crate) alternative: Option<HeaderValue>,
    /// The listener's place in the configuration.
    pub(crate) listener: usize,
}

/// A request for PHP, with what is known of its client.
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) body: Bounded,
    pub(crate) client: Client,
    pub(crate) interim: Option<Interim>,
    pub(crate) tls: Option<pool::Tls>,
    /// As in [`Link`].
    pub(crate) listener: usize,
}

impl Handler {
    /// Without a back end there is no PHP.
    pub(crate) fn new(
        config: ServeConfig,
        backend: Option<Backend>,
        (challenges, websockets): (Arc<Challenges>, Option<WebSockets>),
        log: Log,
    ) -> Self {
        Self {
            config,
            log,
            activity: Arc::default(),
            backend,
            websockets,
            remembered: sites::password::Remembered::default(),
            challenges,
            files: Files::default(),
        }
    }

    /// Answers a request; it never fails, a fault is a status too.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Received>,
        link: Link,
    ) -> Response<Body> {
        let mut exchange = Exchange::begin(&self.activity);
        let (mut parts, body) = request.into_parts();
        let client = link.client.of_request(
            &mut parts.headers,
            &self.config.trusted_proxies,
            &self.config.client_fields,
        );
        if self.config.extras.access_log {
            exchange.tell(&self.log, &parts, client);
        }
        // What remains to be known of the request when it has been given away.
        let (method, version) = (parts.method.clone(), parts.version);
        let headers = parts.headers.clone();
        let limits = (self.config.limits.body_bytes, self.config.timeouts.body);
        let body = Bounded::new(body, limits.0, limits.1);
        let mut response = self
            .answer(
                Asked {
                    parts,
                    body,
                    client,
                    // Clients of HTTP/1.0 do not know of them (RFC 9110 section 15.2).
                    interim: link.interim.filter(|_| version > Version::HTTP_10),
                    tls: link.tls,
                    listener: link.listener,
                },
                &mut exchange,
            )
            .await;
        if let Some(file) = sendfile::named(&response, &self.config.site.application) {
            let read = (&method, &headers);
            response = sendfile::send(&self.files, file, response, read).await;
        }
        if self.config.extras.compression {
            response = compress::compress(&method, &headers, response);
        }
        if method == Method::HEAD {
            response = response::head_of(response);
        }
        // hyper takes what follows CONNECT for the tunnel.
        if method == Method::CONNECT || self.activity.is_draining() {
            close(&mut response, version);
        }
        if let Some(alternative) = link.alternative {
            response.headers_mut().insert(ALT_SVC, alternative);
        }
        self.secure(&mut response, client);
        exchange.answer(response)
    }

    async fn answer(&self, mut asked: Asked, exchange: &mut Exchange) -> Response<Body> {
        if let Err(status) = check::check(&mut asked.parts) {
            return response::plain(status);
        }
        let parts = &asked.parts;
        if self.is_too_large(parts) {
            return response::plain(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if parts.uri.path() == "*" {
            return response::empty(StatusCode::NO_CONTENT);
        }
        if let Some(response) = self.answer_specially(parts, asked.client).await {
            return response;
        }
        if let Some(sites) = &self.config.sites {
            // Boxed, so that other servers' requests do not carry its room along.
            return Box::pin(sites::answer(self, sites, asked, exchange)).await;
        }
        let response = match self.look_up(parts) {
            Err(PathFault::Bad) => response::plain(StatusCode::BAD_REQUEST),
            Err(PathFault::Hidden) | Ok(Target::Nothing) => response::plain(StatusCode::NOT_FOUND),
            Ok(Target::File(file, found)) => {
                let compression = self.config.extras.compression;
                self.file((&file, Some(found)), parts, compression).await
            }
            Ok(Target::Directory) => with_slash(parts),
            Ok(Target::Script(script)) => {
                exchange.ask_php();
                return self.run(script, asked).await;
            }
        };
        match discard(asked).await {
            Ok(()) => response,
            Err(status) => response::plain(status),
        }
    }

    /// What has no path of the document root: proofs for an authority, and a WebSocket of another server.
    async fn answer_specially(&self, parts: &Parts, client: Client) -> Option<Response<Body>> {
        if let Some(proof) = self.challenges.file(parts.uri.path()) {
            return Some(Response::new(proof.into()));
        }
        let websockets = self.websockets.as_ref()?;
        let route = websockets.route(parts)?;
        if self.activity.is_draining() {
            return Some(response::plain(StatusCode::SERVICE_UNAVAILABLE));
        }
        // Few requests need its room.
        Some(Box::pin(websockets.open(route, parts, client, &self.log)).await)
    }

    fn look_up(&self, parts: &Parts) -> Result<Target, PathFault> {
        Ok(lookup(&self.config.site, &CleanPath::of(parts.uri.path())?))
    }

    /// A body that says beforehand that it is too long is not even begun. hyper has checked that the length is a number.
    fn is_too_large(&self, parts: &Parts) -> bool {
        let length = parts.headers.get(CONTENT_LENGTH);
        length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .is_some_and(|length: u64| length > self.config.limits.body_bytes)
    }

    pub(crate) async fn file(
        &self,
        file: (&Path, Option<Identity>),
        parts: &Parts,
        compression: bool,
    ) -> Response<Body> {
        self.files.respond(file, parts, compression).await
    }

    /// Has PHP answer.
    async fn run(&self, script: Script, asked: Asked) -> Response<Body> {
        match &self.backend {
            Some(backend) => php::answer(backend, self.disk(), php::request(script, asked)).await,
            None => response::plain(StatusCode::NOT_IMPLEMENTED),
        }
    }

    /// Where bodies of requests wait for PHP.
    pub(crate) fn disk(&self) -> Disk<'_> {
        Disk {
            directory: &self.config.temporary,
            log: &self.log,
        }
    }

    fn secure(&self, response: &mut Response<Body>, client: Client) {
        if self.config.extras.security_headers {
            let only_https = usize::from(!client.is_https);
            for (name, value) in &SECURITY[only_https..] {
                let entry = response.headers_mut().entry(name);
                entry.or_insert(HeaderValue::from_static(value));
            }
        }
    }
}

/// Reads the body of a request that is answered without it. A client that is still sending could lose the answer with its
/// connection; one that asked whether it should send has its answer.
pub(crate) async fn discard(asked: Asked) -> Result<(), StatusCode> {
    if asked.parts.headers.contains_key(EXPECT) {
        return Ok(());
    }
    let mut body = asked.body;
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            let status = RequestBodyError::status_of(&*error);
            return Err(status.unwrap_or(StatusCode::BAD_REQUEST));
        }
    }
    Ok(())
}

/// Ends the connection with this response; HTTP/2 says it with a frame of its own.
pub(crate) fn close(response: &mut Response<Body>, version: Version) {
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

/// Header fields that restrict browsers; the first one is for https only (RFC 6797 section 7.2).
static SECURITY: [(HeaderName, &str); 4] = [
    (http::header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (http::header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    (
        http::header::REFERRER_POLICY,
        "strict-origin-when-cross-origin",
    ),
];

/// To the same path with a slash at its end; only 308 keeps another method than GET and HEAD.
fn with_slash(parts: &Parts) -> Response<Body> {
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let mut response = response::plain(if is_read {
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
