//! A WebSocket of another server, e.g. Laravel Reverb, at a path of this one: the request is passed on, and when the other server
//! accepts it, the bytes of both sides.

mod frames;
mod tunnel;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use reqwest::{Client as HttpClient, Upgraded};
use serde_json::json;
use tokio_rustls::rustls::crypto::ring;

use crate::config::WebSocketRoute;
use crate::http::client::Client;
use crate::http::{Body, BodyError, response};
use crate::log::{Level, Log, chain};
pub(crate) use tunnel::Tunnel;

/// For the other server to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a connection to it.
const TO_CONNECT: Duration = Duration::from_secs(3);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Fields about one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    UPGRADE,
    http::header::TE,
    http::header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Where the handler leaves the other server's end for the connection that the request came by. In a request's extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Upgraded>>>);

impl Slot {
    fn put(&self, upgraded: Upgraded) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded);
    }

    pub(crate) fn take(&self) -> Option<Upgraded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The other servers of this one.
#[derive(Debug)]
pub(crate) struct WebSockets {
    routes: Vec<WebSocketRoute>,
    /// It resolves names without the system's library (decision 0001).
    client: HttpClient,
}

impl WebSockets {
    /// Fails if there is no entropy, no memory, or no configuration of name servers.
    pub(crate) fn new(routes: Vec<WebSocketRoute>) -> Result<Self, reqwest::Error> {
        // Whoever came first chose the same one.
        drop(ring::default_provider().install_default());
        let client = HttpClient::builder()
            .http1_only()
            .no_proxy()
            .connect_timeout(TO_CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { routes, client })
    }

    /// The route of a request, and where its connection goes on, if it wants a WebSocket of another server.
    pub(crate) fn route(&self, parts: &Parts) -> Option<(&WebSocketRoute, Slot)> {
        let slot = slot(parts)?;
        let route = self.routes.iter().find(|route| {
            let prefix = route.path.trim_end_matches('/');
            let rest = parts.uri.path().strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        Some((route, slot))
    }

    /// For other requests to other servers.
    pub(crate) fn client(&self) -> &HttpClient {
        &self.client
    }

    /// The other server's answer. When it accepts, its end of the connection is in the slot.
    pub(crate) async fn open(
        &self,
        (route, slot): (&WebSocketRoute, Slot),
        parts: &Parts,
        client: Client,
        log: &Log,
    ) -> Response<Body> {
        let url = format!(
            "http://{}{}",
            route.upstream,
            crate::cgi::target(&parts.uri)
        );
        let fields = fields(&parts.headers, client, true);
        let request = self.client.get(url).headers(fields);
        let status = match tokio::time::timeout(PATIENCE, ask(request, Some(&slot))).await {
            Ok(Ok(response)) => return response,
            Ok(Err(error)) => {
                tell(route, &chain(&*error), log);
                StatusCode::BAD_GATEWAY
            }
            Err(_) => {
                tell(route, &format!("no answer in {PATIENCE:?}"), log);
                StatusCode::GATEWAY_TIMEOUT
            }
        };
        response::plain(status)
    }
}

/// Where the connection of a request goes on, if it is the handshake of a WebSocket.
pub(crate) fn slot(parts: &Parts) -> Option<Slot> {
    let is_handshake = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && has_word(&parts.headers, &CONNECTION, "upgrade")
        && has_word(&parts.headers, &UPGRADE, "websocket");
    let slot = parts.extensions.get::<Slot>().filter(|_| is_handshake)?;
    Some(slot.clone())
}

fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(word))
}

fn tell(route: &WebSocketRoute, error: &str, log: &Log) {
    let fields = json!({ "path": route.path, "upstream": route.upstream, "error": error });
    let message = "the server behind does not answer";
    log.line(Level::Error, "websocket", message, fields);
}

/// The client's fields, with what is known of it instead of what it says of itself.
pub(crate) fn fields(headers: &HeaderMap, client: Client, is_handshake: bool) -> HeaderMap {
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    if is_handshake {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let scheme = if client.is_https { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Ok(address) = HeaderValue::try_from(client.address.ip().to_string()) {
        headers.insert(FORWARDED_FOR, address);
    }
    headers
}

/// What is about one connection, by its name or by that of a field `Connection` (RFC 9110 section 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter();
    let named: Vec<HeaderName> = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// The other server's answer; when it is that the protocol changes, its end of the connection is in the slot.
pub(crate) async fn ask(
    request: reqwest::RequestBuilder,
    slot: Option<&Slot>,
) -> Result<Response<Body>, BodyError> {
    let mut answer = request.send().await?;
    let slot = slot.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
    let Some(slot) = slot else {
        remove_hop_by_hop(answer.headers_mut());
        let answer = Response::<reqwest::Body>::from(answer);
        return Ok(answer.map(|body| Body::stream(body.map_err(BodyError::from))));
    };
    let mut response = Response::new(Body::default());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    slot.put(answer.upgrade().await?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handshakes_below_the_path() {
        let websockets = WebSockets::new(vec![WebSocketRoute {
            path: "/app".into(),
            upstream: "reverb:8080".into(),
        }]);
        let websockets = websockets.unwrap();
        let is_routed = |method: &str, path: &str, upgrade: &str| {
            let request = http::Request::builder().method(method).uri(path);
            let request = request
                .header(CONNECTION, "keep-alive, Upgrade")
                .header(UPGRADE, upgrade)
                .extension(Slot::default());
            let parts = request.body(()).unwrap().into_parts().0;
            websockets.route(&parts).is_some()
        };
        for path in ["/app", "/app/", "/app/key?protocol=7"] {
            assert!(is_routed("GET", path, "WebSocket"), "{path}");
        }
        assert!(!is_routed("GET", "/application", "websocket"));
        assert!(!is_routed("GET", "/", "websocket"));
        assert!(!is_routed("POST", "/app", "websocket"));
        assert!(!is_routed("GET", "/app", "h2c"));
    }
}
