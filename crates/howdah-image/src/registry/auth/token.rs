//! Tokens of a token server: distribution's `spec/auth/token.md` (GET) and `oauth.md` (POST).

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::super::RegistryError;
use super::super::answer::{answer_error, words_of};
use super::super::transport::{self, Exchange, Transport};
use super::{Credentials, basic};

/// What the specification has for a token that says nothing; also its shortest.
const SHORTEST_LIFE: u64 = 60;
const LARGEST_ANSWER: u64 = 1 << 20;
/// How this program is called by token servers that ask.
const CLIENT_ID: &str = "howdah";

/// Whom to ask, and for what.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    /// The registry that sent us there.
    pub(super) registry: &'a str,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    /// `repository:<name>:pull,push`.
    pub(super) scopes: &'a [String],
    /// Ask also for a token that renews logins.
    pub(super) offline: bool,
}

/// A token, used until most of its life is over.
pub(super) struct Token {
    pub(super) text: String,
    /// What may be stored in the password's place.
    pub(super) refresh: Option<String>,
    received: Instant,
    life: Duration,
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        // Nine tenths: a request made now must still be accepted when it arrives.
        self.received.elapsed() < self.life * 9 / 10
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

pub(super) async fn fetch(
    transport: &Transport,
    request: &TokenRequest<'_>,
    credentials: &Credentials,
) -> Result<Token, RegistryError> {
    let invalid = |what| RegistryError::TokenServer {
        registry: request.registry.to_owned(),
        realm: request.realm.to_owned(),
        what,
    };
    let realm = Url::parse(request.realm)
        .ok()
        .filter(|realm| matches!(realm.scheme(), "http" | "https") && realm.has_host())
        .ok_or_else(|| invalid("its address is not an HTTP address"))?;
    if !matches!(credentials, Credentials::Anonymous) && !transport.hosts().may_see(&realm)? {
        return Err(invalid(
            "it speaks plain HTTP, and is not configured to be trusted so",
        ));
    }
    let exchange = match credentials {
        Credentials::Identity(token) => post(realm.clone(), request, token),
        credentials => get(realm.clone(), request, credentials),
    };
    let received = Instant::now();
    let mut response = transport.send(exchange).await?;
    if matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
    ) {
        return Err(RegistryError::Denied {
            reference: request.registry.to_owned(),
            registry: request.registry.to_owned(),
            logged_in: !matches!(credentials, Credentials::Anonymous),
            said: words_of(&mut response).await,
        });
    }
    if !response.status().is_success() {
        return Err(answer_error(request.registry, request.registry, response).await);
    }
    let body = transport::body(&mut response, LARGEST_ANSWER)
        .await
        .map_err(|source| transport::unreachable(&realm, source))?
        .ok_or_else(|| invalid("its answer is larger than 1 MiB"))?;
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|_| invalid("its answer is not understood"))?;
    let text = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| invalid("its answer has no token"))?;
    let life = answer
        .expires_in
        .unwrap_or(SHORTEST_LIFE)
        .max(SHORTEST_LIFE);
    Ok(Token {
        text,
        refresh: answer.refresh_token.filter(|token| !token.is_empty()),
        received,
        life: Duration::from_secs(life),
    })
}

fn get(mut realm: Url, request: &TokenRequest<'_>, credentials: &Credentials) -> Exchange {
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = request.service {
            query.append_pair("service", service);
        }
        for scope in request.scopes {
            query.append_pair("scope", scope);
        }
        if request.offline {
            query.append_pair("offline_token", "true");
            query.append_pair("client_id", CLIENT_ID);
        }
        if let Credentials::Password { user, .. } = credentials {
            query.append_pair("account", user);
        }
    }
    let mut exchange = Exchange::new(Method::GET, realm);
    if let Credentials::Password { user, password } = credentials {
        exchange.authorization = Some(basic(user, password));
    }
    exchange
}

fn post(realm: Url, request: &TokenRequest<'_>, refresh_token: &str) -> Exchange {
    // The URL type writes application/x-www-form-urlencoded, which is what a query is.
    let mut form = realm.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", request.service.unwrap_or_default())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &request.scopes.join(" "))
        .append_pair("refresh_token", refresh_token);
    let mut exchange = Exchange::new(Method::POST, realm);
    exchange.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    exchange.body = Some(form.query().unwrap_or_default().to_owned().into());
    exchange
}
