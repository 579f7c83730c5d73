//! Logging in and out.

use reqwest::{Method, StatusCode};

use super::answer::{answer_error, words_of};
use super::auth::login::{self, Kept, Secret};
use super::auth::{Authorizer, Credentials, host_of};
use super::hosts::DOCKER_HUB;
use super::remote::ping;
use super::transport::Exchange;
use super::{Registry, RegistryError};

impl Registry {
    /// Checks a login with the registry and keeps it as Docker does. `registry` may have a scheme and a path, which mean
    /// nothing.
    pub fn login(&self, registry: &str, user: &str, password: &str) -> Result<Kept, RegistryError> {
        let registry = registry_name(registry);
        let path = self.docker_config()?;
        let credentials = Credentials::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let identity = self.runtime.block_on(self.check(registry, credentials))?;
        let secret = identity
            .as_deref()
            .map_or(Secret::Password(password), Secret::IdentityToken);
        login::keep(path, registry, user, &secret)
    }

    /// Forgets a login. Says whether there was one.
    pub fn logout(&self, registry: &str) -> Result<bool, RegistryError> {
        login::forget(self.docker_config()?, registry_name(registry))
    }

    fn docker_config(&self) -> Result<&std::path::Path, RegistryError> {
        let path = self.options.docker_config.as_deref();
        path.ok_or(RegistryError::NoDockerConfig)
    }

    /// Gives the token that may be kept in the password's place, if the registry has one to give.
    async fn check(
        &self,
        registry: &str,
        credentials: Credentials,
    ) -> Result<Option<String>, RegistryError> {
        let transport = &self.shared.transport;
        let endpoint = transport.hosts().origin(registry)?;
        let authorizer = Authorizer::with(registry.to_owned(), credentials);
        let base = ping(transport, &endpoint, &authorizer).await?;
        let identity = authorizer.check(transport).await?;
        let mut exchange = Exchange::new(Method::GET, base);
        exchange.authorization = authorizer.header(transport, &Vec::new()).await?;
        let mut response = transport.send(exchange).await?;
        match response.status() {
            status if status.is_success() => Ok(identity),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Denied {
                reference: registry.to_owned(),
                registry: registry.to_owned(),
                logged_in: true,
                said: words_of(&mut response).await,
            }),
            _ => Err(answer_error(registry, registry, response).await),
        }
    }
}

/// The registry that a person means: by its host, or by an address of it; all names of Docker Hub are one.
fn registry_name(text: &str) -> &str {
    match host_of(text) {
        "index.docker.io" | "registry-1.docker.io" | "" => DOCKER_HUB,
        host => host,
    }
}
