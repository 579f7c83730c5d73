//! Proofs for a registry: credentials are looked for when it first asks, tokens are kept until they expire.

mod challenge;
mod credentials;
mod helper;
pub(super) mod login;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::Mutex;

use self::challenge::Challenge;
pub(super) use self::credentials::{Credentials, host_of};
use self::token::{Token, TokenRequest};
use super::RegistryError;
use super::transport::Transport;

/// What a request does in which repository.
pub(super) type Scopes = Vec<String>;

/// The scope of a token that reads a repository, or writes it too.
pub(super) fn scope(repository: &str, writes: bool) -> String {
    let actions = if writes { "pull,push" } else { "pull" };
    format!("repository:{repository}:{actions}")
}

/// The proofs for one registry.
pub(super) struct Authorizer {
    registry: String,
    docker_config: Option<PathBuf>,
    // Held while a token is fetched, so that parallel transfers fetch one.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    credentials: Option<Credentials>,
    tokens: BTreeMap<Scopes, Token>,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Authorizer")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Authorizer {
    /// `registry` is the name that logins are kept under.
    pub(super) fn new(registry: String, docker_config: Option<PathBuf>) -> Self {
        Self {
            registry,
            docker_config,
            state: Mutex::default(),
        }
    }

    /// One that uses these credentials and no others.
    pub(super) fn with(registry: String, credentials: Credentials) -> Self {
        let state = State {
            credentials: Some(credentials),
            ..State::default()
        };
        Self {
            registry,
            docker_config: None,
            state: Mutex::new(state),
        }
    }

    /// What to send along; `None` as long as the registry has not asked for anything.
    pub(super) async fn header(
        &self,
        transport: &Transport,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else {
            return Ok(None);
        };
        let credentials = self.credentials(&mut state).await?;
        let (realm, service) = match (challenge, &credentials) {
            (_, Credentials::Registry(token)) => return Ok(Some(bearer(token))),
            (Challenge::Basic, Credentials::Password { user, password }) => {
                return Ok(Some(basic(user, password)));
            }
            (Challenge::Basic, _) => return Ok(None),
            (Challenge::Bearer { realm, service, .. }, _) => (realm, service),
        };
        if let Some(token) = state.tokens.get(scopes).filter(|token| token.is_fresh()) {
            return Ok(Some(bearer(&token.text)));
        }
        let request = TokenRequest {
            registry: &self.registry,
            realm: &realm,
            service: service.as_deref(),
            scopes,
            offline: false,
        };
        let token = token::fetch(transport, &request, &credentials).await?;
        let header = bearer(&token.text);
        state.tokens.insert(scopes.clone(), token);
        Ok(Some(header))
    }

    /// Takes the challenge of a first 401.
    pub(super) async fn take(&self, headers: &HeaderMap) {
        self.state.lock().await.challenge = Challenge::find(headers);
    }

    /// Takes the challenge of a 401. `used` is what was sent, so that only that token is forgotten: another transfer may
    /// have fetched a new one meanwhile. Says whether there is now something else to send.
    pub(super) async fn challenged(
        &self,
        headers: &HeaderMap,
        scopes: &Scopes,
        used: Option<&HeaderValue>,
    ) -> Result<bool, RegistryError> {
        let mut state = self.state.lock().await;
        let Some(challenge) = Challenge::find(headers) else {
            return Ok(false);
        };
        let is_basic = challenge == Challenge::Basic;
        state.challenge = Some(challenge);
        let credentials = self.credentials(&mut state).await?;
        if state
            .tokens
            .get(scopes)
            .is_some_and(|token| used == Some(&bearer(&token.text)))
        {
            state.tokens.remove(scopes);
            return Ok(true);
        }
        let static_proof = is_basic || matches!(credentials, Credentials::Registry(_));
        Ok(!(static_proof && (used.is_some() || matches!(credentials, Credentials::Anonymous))))
    }

    /// Whether a login was found; to say in an error.
    pub(super) async fn is_logged_in(&self) -> bool {
        let state = self.state.lock().await;
        state
            .credentials
            .as_ref()
            .is_some_and(|found| !matches!(found, Credentials::Anonymous))
    }

    /// Proves the credentials: by a token, or with a request of its own. Gives what may be stored in the password's place.
    pub(super) async fn check(
        &self,
        transport: &Transport,
    ) -> Result<Option<String>, RegistryError> {
        let mut state = self.state.lock().await;
        let Some(Challenge::Bearer { realm, service, .. }) = state.challenge.clone() else {
            return Ok(None);
        };
        let credentials = self.credentials(&mut state).await?;
        let request = TokenRequest {
            registry: &self.registry,
            realm: &realm,
            service: service.as_deref(),
            scopes: &[],
            offline: true,
        };
        let token = token::fetch(transport, &request, &credentials).await?;
        let refresh = token.refresh.clone();
        state.tokens.insert(Vec::new(), token);
        Ok(refresh)
    }

    async fn credentials(&self, state: &mut State) -> Result<Credentials, RegistryError> {
        if let Some(known) = &state.credentials {
            return Ok(known.clone());
        }
        let (path, registry) = (self.docker_config.clone(), self.registry.clone());
        // A helper may ask a person and take its time.
        let find = move || credentials::find(path.as_deref(), &registry);
        let found = tokio::task::spawn_blocking(find).await.map_err(|panic| {
            let source = std::io::Error::other(panic);
            RegistryError::Start { source }
        })??;
        state.credentials = Some(found.clone());
        Ok(found)
    }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(format!("Basic {text}"))
}

fn bearer(token: &str) -> HeaderValue {
    secret(format!("Bearer {token}"))
}

/// Sensitive: never shown by Debug. A token with bytes that no header may have is sent as an empty one, and refused.
fn secret(text: String) -> HeaderValue {
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
