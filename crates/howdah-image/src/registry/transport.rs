//! One HTTP exchange: TLS as configured for the host, deadlines for a silent peer, and redirects that never carry credentials
//! to another host.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};
use tokio::time::Instant;

use super::hosts::{HostSettings, Hosts};
use super::network::is_loopback;
use super::{RegistryError, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that moves no byte for this long is given up.
pub(super) const SILENCE: Duration = Duration::from_mins(1);
/// How often the silence of an upload is looked at.
const TICK: Duration = Duration::from_millis(100);
/// As Docker's client; storage behind a registry needs one or two.
const MOST_REDIRECTS: usize = 5;

/// What is sent. A body can be sent only once, so whoever tries again makes a new exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
    pub(super) authorization: Option<HeaderValue>,
    /// The body's end, as counted by whoever sends it.
    pub(super) length: u64,
    /// How long the peer may be silent when it has the whole body.
    pub(super) patience: Duration,
}

impl Exchange {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            authorization: None,
            length: 0,
            patience: SILENCE,
        }
    }
}

/// HTTP clients by host, made when first needed.
#[derive(Debug)]
pub(super) struct Transport {
    hosts: Hosts,
    clients: Mutex<BTreeMap<String, Client>>,
}

impl Transport {
    pub(super) fn new(hosts: Hosts) -> Self {
        // The first one wins, and it does not matter whose it was.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            hosts,
            clients: Mutex::default(),
        }
    }

    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Sends, following redirects of what can be repeated. Any status is an answer.
    pub(super) async fn send(&self, exchange: Exchange) -> Result<Response, RegistryError> {
        self.watch(exchange, &Arc::default(), &|_| ()).await
    }

    /// Like [`send`](Self::send) for a body that counts its bytes in `sent`, which are told to `progress`.
    pub(super) async fn watch(
        &self,
        mut exchange: Exchange,
        sent: &Arc<AtomicU64>,
        progress: &dyn Fn(u64),
    ) -> Result<Response, RegistryError> {
        let origin = exchange.url.origin();
        for _ in 0..=MOST_REDIRECTS {
            let (method, url) = (exchange.method.clone(), exchange.url.clone());
            let repeatable = method == Method::GET || method == Method::HEAD;
            let client = self.client(&url)?;
            let mut request = client
                .request(method.clone(), url.clone())
                .headers(exchange.headers.clone());
            if let Some(value) = &exchange.authorization
                && url.origin() == origin
            {
                request = request.header(AUTHORIZATION, value);
            }
            if let Some(body) = exchange.body.take() {
                request = request.body(body);
            }
            let limit = (exchange.length, exchange.patience);
            let response = answer(request, limit, sent, progress)
                .await
                .map_err(|source| unreachable(&url, source))?;
            if !(repeatable && is_redirect(response.status())) {
                return Ok(response);
            }
            exchange.url = target(&url, &response).map_err(|source| unreachable(&url, source))?;
        }
        Err(unreachable(
            &exchange.url,
            TransportError::Redirects(MOST_REDIRECTS),
        ))
    }

    /// The client for a host, whoever sends us there: the registry itself, its token server, or the storage behind it.
    fn client(&self, url: &Url) -> Result<Client, RegistryError> {
        let host = authority(url);
        let settings = self.hosts.settings(&host)?;
        // Hosts without settings of their own share a client and its connections.
        let plain = settings == HostSettings::default() && !is_loopback(&host);
        let key = if plain { String::new() } else { host.clone() };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build(&host, &settings)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// The host with its port when that is not the scheme's own, as in an image's name.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn build(host: &str, settings: &HostSettings) -> Result<Client, RegistryError> {
    let mut builder = Client::builder()
        .user_agent(concat!("howdah/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30));
    for path in &settings.authorities {
        let fault = |source| RegistryError::certificate(path, source);
        let text = fs_err::read(path).map_err(|error| fault(error.into()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&text).map_err(|error| fault(error.into()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(pair) = &settings.key_pair {
        let fault = |path, source| RegistryError::certificate(path, source);
        let mut text = fs_err::read(&pair.key).map_err(|error| fault(&pair.key, error.into()))?;
        text.push(b'\n');
        text.extend(
            fs_err::read(&pair.certificate)
                .map_err(|error| fault(&pair.certificate, error.into()))?,
        );
        let identity = reqwest::Identity::from_pem(&text)
            .map_err(|error| fault(&pair.certificate, error.into()))?;
        builder = builder.identity(identity);
    }
    if is_loopback(host) {
        // No proxy leads to this machine itself.
        builder = builder.no_proxy();
    }
    if settings.is_insecure(host) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| RegistryError::Start {
        source: std::io::Error::other(innermost(&error)),
    })
}

async fn answer(
    request: reqwest::RequestBuilder,
    (length, patience): (u64, Duration),
    sent: &Arc<AtomicU64>,
    progress: &dyn Fn(u64),
) -> Result<Response, TransportError> {
    let mut response = std::pin::pin!(request.send());
    let mut tick = tokio::time::interval(TICK);
    let mut last = (sent.load(Ordering::Relaxed), Instant::now());
    loop {
        tokio::select! {
            answer = &mut response => return answer.map_err(|error| transport_error(&error)),
            _ = tick.tick() => {
                let now = sent.load(Ordering::Relaxed);
                let silence = if now < length { SILENCE } else { patience };
                if now != last.0 {
                    last = (now, Instant::now());
                    progress(now);
                } else if last.1.elapsed() >= silence {
                    return Err(TransportError::Silent(silence));
                }
            }
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(from: &Url, response: &Response) -> Result<Url, TransportError> {
    let to = location(from, response).ok_or(TransportError::Address)?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(TransportError::Downgrade(authority(&to)));
    }
    Ok(to)
}

/// The address that an answer sends its reader to, made absolute.
pub(super) fn location(from: &Url, response: &Response) -> Option<Url> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    let to = from.join(text).ok()?;
    (matches!(to.scheme(), "http" | "https") && to.has_host()).then_some(to)
}

/// The next piece of an answer's body; `None` at its end.
pub(super) async fn next_chunk(
    response: &mut Response,
) -> Result<Option<impl AsRef<[u8]> + use<>>, TransportError> {
    match tokio::time::timeout(SILENCE, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| transport_error(&error)),
        Err(_) => Err(TransportError::Silent(SILENCE)),
    }
}

/// A whole body of at most `limit` bytes; `None` when it is longer.
pub(super) async fn body(
    response: &mut Response,
    limit: u64,
) -> Result<Option<Vec<u8>>, TransportError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(response).await? {
        bytes.extend_from_slice(chunk.as_ref());
        if bytes.len() as u64 > limit {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

pub(super) fn unreachable(url: &Url, source: TransportError) -> RegistryError {
    RegistryError::Unreachable {
        registry: authority(url),
        source,
    }
}

/// Sorts reqwest's errors. Their own texts repeat each other, and show addresses that may hold signatures.
fn transport_error(error: &reqwest::Error) -> TransportError {
    let reason = innermost(error);
    if !error.is_connect() {
        return TransportError::Broken(reason);
    }
    let mut source = error.source();
    while let Some(cause) = source {
        match cause.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => {
                return TransportError::Certificate(reason);
            }
            Some(rustls::Error::InvalidMessage(_)) => return TransportError::NoTls,
            _ => {}
        }
        if cause.to_string() == "dns error" {
            return TransportError::Name;
        }
        // io::Error::source() skips the error it wraps, which is where rustls's is.
        source = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map_or_else(|| cause.source(), |inner| Some(inner));
    }
    TransportError::Connect(reason)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
