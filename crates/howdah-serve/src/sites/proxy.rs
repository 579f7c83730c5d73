//! `reverse_proxy`: another server answers, with the request's body and its own passed on as they come.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use howdah_caddyfile::ReverseProxy;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde_json::json;

use super::trip::Trip;
use super::{Outcome, headers, uri};
use crate::http::request_body::{Bounded, RequestBodyError};
use crate::http::{Body, BodyError};
use crate::log::{Level, chain};
use crate::websocket;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// With these a script of our own names a file. Another server does not.
const FILES: [HeaderName; 2] = [
    HeaderName::from_static("x-sendfile"),
    HeaderName::from_static("x-accel-redirect"),
];

/// Which server is asked first.
static TURN: AtomicUsize = AtomicUsize::new(0);

impl Trip<'_> {
    pub(super) async fn proxy(&mut self, proxy: &ReverseProxy) -> Outcome {
        let mut upstreams: Vec<String> = proxy
            .upstreams
            .iter()
            .map(|upstream| self.fill(upstream))
            .collect();
        if !proxy.in_order {
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % upstreams.len().max(1);
            upstreams.rotate_left(turn);
        }
        let body = Arc::new(Mutex::new(self.body.take()));
        let mut status = StatusCode::BAD_GATEWAY;
        for upstream in upstreams {
            match self.ask(proxy, &upstream, &body).await {
                Ok(answer) => {
                    let mut answer = answer;
                    let changes = headers::known(self, &proxy.response);
                    headers::change(&changes, answer.headers_mut());
                    return Ok(Some(answer));
                }
                Err(failure) => {
                    let fields = json!({
                        "upstream": upstream, "error": chain(&*failure.error),
                        "uri": crate::cgi::target(&self.parts.uri),
                    });
                    let message = "the server behind does not answer";
                    let log = &self.server.log;
                    log.line(Level::Error, "http.handlers.reverse_proxy", message, fields);
                    status = failure.status;
                    if !failure.is_unheard {
                        break;
                    }
                }
            }
        }
        Err(status.into())
    }

    async fn ask(
        &mut self,
        proxy: &ReverseProxy,
        upstream: &str,
        body: &Arc<Mutex<Option<Bounded>>>,
    ) -> Result<Response<Body>, Unanswered> {
        let Some(websockets) = &self.server.websockets else {
            return Err(Unanswered::of(
                "there is no client for other servers".into(),
            ));
        };
        self.upstream = upstream.split_once("://").map(|(_, host)| host.to_owned());
        let target = match &proxy.rewrite {
            Some(to) => self.fill(to),
            None => self.target(),
        };
        let url = format!("{upstream}/{}", target.trim_start_matches('/'));
        let changes = headers::known(self, &proxy.request);
        let slot = websocket::slot(&self.parts);
        let mut fields = websocket::fields(&self.parts.headers, self.client, slot.is_some());
        // Whether to send has been asked and answered.
        fields.remove(EXPECT);
        if let Ok(host) = HeaderValue::try_from(uri::host(&self.parts)) {
            fields.insert(HOST, host.clone());
            fields.insert(FORWARDED_HOST, host);
        }
        headers::change(&changes, &mut fields);
        let client = websockets.client();
        let request = client.request(self.parts.method.clone(), url);
        let request = if with_length(&mut fields, body) {
            request.body(reqwest::Body::wrap_stream(Passed(Arc::clone(body))))
        } else {
            request
        };
        let answer = websocket::ask(request.headers(fields), slot.as_ref());
        let answer = match proxy.patience {
            None => answer.await,
            Some(patience) => match tokio::time::timeout(patience, answer).await {
                Ok(answer) => answer,
                Err(late) => {
                    let status = StatusCode::GATEWAY_TIMEOUT;
                    return Err(Unanswered {
                        status,
                        ..Unanswered::of(late.into())
                    });
                }
            },
        };
        let mut answer = answer.map_err(Unanswered::of)?;
        for name in FILES {
            answer.headers_mut().remove(name);
        }
        Ok(answer)
    }
}

/// Is there a body? Its length is told if it is known.
fn with_length(fields: &mut HeaderMap, body: &Mutex<Option<Bounded>>) -> bool {
    let body = body.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(body) = body.as_ref().filter(|body| !body.is_end_stream()) else {
        return false;
    };
    if let Some(length) = body.size_hint().exact() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    true
}

/// Why there is no answer.
struct Unanswered {
    status: StatusCode,
    /// The other server has heard nothing of the request.
    is_unheard: bool,
    error: BodyError,
}

impl Unanswered {
    fn of(error: BodyError) -> Self {
        let is_unheard = error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_connect);
        // What the client did wrong is not the other server's fault.
        let status = RequestBodyError::status_of(error.as_ref() as &(dyn Error + 'static));
        Self {
            status: status.unwrap_or(StatusCode::BAD_GATEWAY),
            is_unheard,
            error,
        }
    }
}

/// The request's body. Nobody takes it before a server is connected, so that it is still there for the next one.
struct Passed(Arc<Mutex<Option<Bounded>>>);

impl Stream for Passed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = body.as_mut() else {
            return Poll::Ready(None);
        };
        let mut frame = body.frame();
        match Pin::new(&mut frame).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            // Trailers are not passed on.
            Poll::Ready(Some(Ok(frame))) => {
                Poll::Ready(Some(Ok(frame.into_data().unwrap_or_default())))
            }
        }
    }
}
