//! Credentials as Docker keeps them: `config.json` with `auths`, `credsStore` and `credHelpers`
//! (docs.docker.com/reference/cli/docker/login, "Credential stores").

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;

use super::super::RegistryError;
use super::super::hosts::DOCKER_HUB;
use super::helper::Helper;

/// The key that `docker login` uses for Docker Hub, kept from the first version of its interface.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What this client can prove itself with.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) enum Credentials {
    Anonymous,
    Password {
        user: String,
        password: String,
    },
    /// Buys tokens from the token server in the password's place.
    Identity(String),
    /// Is itself the token that the registry wants.
    Registry(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(redacted)")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, AuthEntry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// The key under which Docker keeps a registry's login.
pub(super) fn key(registry: &str) -> &str {
    if is_hub(registry) {
        DOCKER_HUB_KEY
    } else {
        registry
    }
}

/// The helper that keeps a registry's login: its own, else the one of all.
pub(super) fn helper(
    helpers: &BTreeMap<String, String>,
    store: &str,
    registry: &str,
) -> Option<Helper> {
    let named = helpers
        .iter()
        .find(|(key, _)| names_registry(key, registry));
    named
        .map(|(_, helper)| helper.as_str())
        .or(Some(store))
        .filter(|helper| !helper.is_empty())
        .map(Helper::new)
}

/// The credentials for a registry; anonymous when there are none.
pub(super) fn find(
    config_path: Option<&Path>,
    registry: &str,
) -> Result<Credentials, RegistryError> {
    let Some(path) = config_path else {
        return Ok(Credentials::Anonymous);
    };
    let fault = |source| RegistryError::Config {
        path: path.to_owned(),
        source,
    };
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Credentials::Anonymous);
        }
        Err(error) => return Err(fault(error)),
    };
    let config: DockerConfig =
        serde_json::from_slice(&text).map_err(|error| fault(error.into()))?;
    if let Some(helper) = helper(&config.cred_helpers, &config.creds_store, registry)
        && let Some(found) = helper.get(key(registry))?
    {
        return Ok(found);
    }
    let exact = config.auths.get(key(registry));
    let similar = || {
        let mut entries = config.auths.iter();
        entries
            .find(|(key, _)| names_registry(key, registry))
            .map(|(_, entry)| entry)
    };
    let entry = exact.or_else(similar);
    entry
        .map_or(Some(Credentials::Anonymous), from_entry)
        .ok_or_else(|| {
            fault(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the login for `{registry}` is not base64 of user:password"),
            ))
        })
}

/// Whether a key of `auths` means the registry: keys are hosts, or addresses with scheme and path.
pub(super) fn names_registry(key: &str, registry: &str) -> bool {
    let host = host_of(key);
    host == registry || (is_hub(host) && is_hub(registry))
}

/// The host in an address that may have a scheme and a path.
pub(in super::super) fn host_of(address: &str) -> &str {
    let host = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    host.split('/').next().unwrap_or(host)
}

fn is_hub(host: &str) -> bool {
    [DOCKER_HUB, "index.docker.io", "registry-1.docker.io"].contains(&host)
}

/// `None`: the entry is malformed.
fn from_entry(entry: &AuthEntry) -> Option<Credentials> {
    if !entry.registrytoken.is_empty() {
        return Some(Credentials::Registry(entry.registrytoken.clone()));
    }
    if !entry.identitytoken.is_empty() {
        return Some(Credentials::Identity(entry.identitytoken.clone()));
    }
    if entry.auth.is_empty() {
        let password = || Credentials::Password {
            user: entry.username.clone(),
            password: entry.password.clone(),
        };
        let named = !entry.username.is_empty();
        return Some(if named {
            password()
        } else {
            Credentials::Anonymous
        });
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(entry.auth.trim())
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    // Docker pads the decoded text with NULs in old files.
    let (user, password) = text.trim_end_matches('\0').split_once(':')?;
    Some(Credentials::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(config: &str, registry: &str) -> Result<Credentials, RegistryError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs_err::write(&path, config).unwrap();
        find(Some(&path), registry)
    }

    #[test]
    fn finds_logins_as_docker_writes_them() {
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},"localhost:5000":{"auth":"YTpi"},
            "ghcr.io":{},"acr.io":{"auth":"AAAA","identitytoken":"x"},"own.io":{"registrytoken":"y"}},"HttpHeaders":{}}"#;
        let login = |user: &str, password: &str| Credentials::Password {
            user: user.into(),
            password: password.into(),
        };
        let found = |registry| find_in(config, registry).unwrap();
        assert!(found("docker.io") == login("user", "pa:ss"));
        assert!(found("localhost:5000") == login("a", "b"));
        assert!(found("localhost:5001") == Credentials::Anonymous);
        assert!(found("ghcr.io") == Credentials::Anonymous);
        assert!(found("acr.io") == Credentials::Identity("x".into()));
        assert!(found("own.io") == Credentials::Registry("y".into()));
        assert!(find(None, "docker.io").unwrap() == Credentials::Anonymous);
        let missing = Path::new("/nonexistent/config.json");
        assert!(find(Some(missing), "docker.io").unwrap() == Credentials::Anonymous);
    }

    #[test]
    fn faults_name_the_file_and_the_helper() {
        for config in ["{", r#"{"auths":{"a.io":{"auth":"!"}}}"#] {
            let error = find_in(config, "a.io").unwrap_err();
            assert!(matches!(error, RegistryError::Config { .. }));
        }
        let helper = find_in(r#"{"credHelpers":{"a.io":"does-not-exist"}}"#, "a.io").unwrap_err();
        assert!(
            helper
                .to_string()
                .contains("docker-credential-does-not-exist"),
            "{helper}"
        );
    }
}
