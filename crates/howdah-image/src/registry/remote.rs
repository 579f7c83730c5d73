//! One repository at one endpoint: requests with proof, tried again when that may help.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{answer_error, is_trouble, words_of};
use super::auth::{self, Authorizer, Scopes};
use super::backoff::Backoff;
use super::hosts::{DOCKER_HUB, Endpoint};
use super::transport::{Exchange, Transport, unreachable};
use super::{Notice, RegistryError, TransportError};

/// Refusals of one request: of none or of an old proof, and of a new one, which is final.
const MOST_REFUSALS: usize = 2;

/// What all repositories share: connections, tokens, and which scheme a host speaks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) transport: Transport,
    docker_config: Option<PathBuf>,
    hosts: Mutex<BTreeMap<String, Reached>>,
}

/// A host that has answered.
#[derive(Debug, Clone)]
struct Reached {
    base: Url,
    authorizer: Arc<Authorizer>,
}

/// A repository.
#[derive(Clone)]
pub(super) struct Remote<'a> {
    shared: &'a Shared,
    host: Reached,
    /// For messages: the registry's host.
    pub(super) registry: String,
    /// Its path at the registry.
    pub(super) repository: String,
    /// For messages: the image.
    pub(super) reference: String,
    pub(super) notify: &'a dyn Fn(Notice),
}

/// A request that can be made several times.
pub(super) struct Call<'c> {
    pub(super) scopes: Scopes,
    /// Whether doing it twice is as good as once.
    pub(super) repeatable: bool,
    pub(super) make: &'c dyn Fn() -> Exchange,
    /// Bytes of the body that were sent, counted by the body itself.
    pub(super) sent: Arc<AtomicU64>,
    pub(super) progress: &'c dyn Fn(u64),
}

impl<'c> Call<'c> {
    /// One without a body to watch.
    pub(super) fn new(scopes: Scopes, make: &'c dyn Fn() -> Exchange) -> Self {
        Self {
            scopes,
            repeatable: true,
            make,
            sent: Arc::default(),
            progress: &|_| (),
        }
    }
}

impl Shared {
    pub(super) fn new(transport: Transport, docker_config: Option<PathBuf>) -> Self {
        Self {
            transport,
            docker_config,
            hosts: Mutex::default(),
        }
    }

    fn reached(&self, host: &str) -> Option<Reached> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).cloned()
    }

    /// Two threads may have asked at once; both use the tokens of the first.
    fn note(&self, host: &str, base: Url, authorizer: Authorizer) -> Reached {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = hosts.entry(host.to_owned()).or_insert_with(|| Reached {
            base,
            authorizer: Arc::new(authorizer),
        });
        reached.clone()
    }
}

impl<'a> Remote<'a> {
    /// Finds out how the endpoint is spoken to, once for all its repositories.
    pub(super) async fn open(
        shared: &'a Shared,
        endpoint: &Endpoint,
        reference: &crate::Reference,
        notify: &'a dyn Fn(Notice),
    ) -> Result<Self, RegistryError> {
        let login = if endpoint.is_mirror || reference.registry() != DOCKER_HUB {
            endpoint.host.as_str()
        } else {
            DOCKER_HUB
        };
        let host = if let Some(host) = shared.reached(&endpoint.host) {
            host
        } else {
            let authorizer = Authorizer::new(login.to_owned(), shared.docker_config.clone());
            let base = ping(&shared.transport, endpoint, &authorizer).await?;
            shared.note(&endpoint.host, base, authorizer)
        };
        Ok(Self {
            shared,
            host,
            registry: login.to_owned(),
            repository: format!("{}{}", endpoint.prefix, reference.repository()),
            reference: reference.familiar(),
            notify,
        })
    }

    /// The address of something in this repository: `manifests/latest`.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.host.base.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        url
    }

    pub(super) fn scopes(&self, writes: bool) -> Scopes {
        vec![auth::scope(&self.repository, writes)]
    }

    /// Sends with proof. Rate limits and failures of the server are waited out, and of repeatable requests broken connections
    /// too; any other status is an answer.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        let mut backoff = Backoff::default();
        loop {
            let failure =
                match self.prove(call).await {
                    Ok(response) if is_passing(response.status(), call.repeatable) => {
                        self.failure(response).await
                    }
                    // A token server's failure too: nothing has been sent then.
                    Err(
                        error @ (RegistryError::RateLimited { .. } | RegistryError::Failed { .. }),
                    ) if error.may_pass() => error,
                    Err(error) if call.repeatable && error.may_pass() => error,
                    other => return other,
                };
            let Some(delay) = backoff.next(failure.retry_after()) else {
                return Err(failure);
            };
            self.wait(&failure.brief(), delay).await;
        }
    }

    /// Says what is waited for, and waits.
    pub(super) async fn wait(&self, reason: &str, delay: Duration) {
        (self.notify)(Notice::Waiting {
            registry: self.registry.clone(),
            reason: reason.to_owned(),
            delay,
        });
        tokio::time::sleep(delay).await;
    }

    /// Sends with what the registry asks for, which may be new with each 401: a token can expire between two requests.
    async fn prove(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        let (transport, authorizer) = (&self.shared.transport, &self.host.authorizer);
        let mut refusals = 0;
        loop {
            let proof = authorizer.header(transport, &call.scopes).await?;
            let mut exchange = (call.make)();
            let (origin, asked) = (self.host.base.origin(), exchange.url.origin());
            // An upload may go on at another host, which has no business with our login.
            exchange
                .authorization
                .clone_from(&proof.clone().filter(|_| asked == origin));
            let response = transport.watch(exchange, &call.sent, call.progress).await?;
            let refused = response.status() == StatusCode::UNAUTHORIZED;
            // Only the registry itself may ask: a redirect's target is another program.
            if !refused || response.url().origin() != origin {
                return Ok(response);
            }
            refusals += 1;
            let headers = response.headers();
            let again = refusals < MOST_REFUSALS
                && authorizer
                    .challenged(headers, &call.scopes, proof.as_ref())
                    .await?;
            if !again {
                return Ok(response);
            }
        }
    }

    /// What an unexpected status means for this repository.
    pub(super) async fn failure(&self, mut response: Response) -> RegistryError {
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
                reference: self.reference.clone(),
                registry: self.registry.clone(),
                logged_in: self.host.authorizer.is_logged_in().await,
                said: words_of(&mut response).await,
            },
            _ => answer_error(&self.registry, &self.reference, response).await,
        }
    }

    pub(super) fn unreachable(&self, source: TransportError) -> RegistryError {
        unreachable(&self.host.base, source)
    }
}

/// Asks an endpoint who it is (distribution specification, "Determining Support") with each scheme that it may speak.
pub(super) async fn ping(
    transport: &Transport,
    endpoint: &Endpoint,
    authorizer: &Authorizer,
) -> Result<Url, RegistryError> {
    let mut first = None;
    for (index, base) in endpoint.bases.iter().enumerate() {
        let base: Url = base
            .parse()
            .map_err(|_| RegistryError::Address(base.clone()))?;
        let is_last = index + 1 == endpoint.bases.len();
        match transport
            .send(Exchange::new(Method::GET, base.clone()))
            .await
        {
            // What Go's servers answer to plain HTTP where they speak TLS.
            Ok(response) if response.status() == StatusCode::BAD_REQUEST && !is_last => {}
            Ok(response) => {
                if response.status() == StatusCode::UNAUTHORIZED {
                    authorizer.take(response.headers()).await;
                }
                return Ok(base);
            }
            Err(error @ RegistryError::Unreachable { .. }) => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or_else(|| RegistryError::Address(endpoint.host.clone())))
}

/// A status that another try may not meet again.
fn is_passing(status: StatusCode, repeatable: bool) -> bool {
    // A server in trouble may have done half of it.
    status == StatusCode::TOO_MANY_REQUESTS || (repeatable && is_trouble(status))
}
