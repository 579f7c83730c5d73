//! Credentials as Docker keeps them: `config.json` with `auths`, `credsStore` and `credHelpers`
//! (docs.docker.com/reference/cli/docker/login, "Credential stores"; the helpers' protocol is that of
//! docker-credential-helpers).

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::RegistryError;

/// The key that `docker login` uses for Docker Hub, kept from the first version of its interface.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// A user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, AuthEntry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl std::fmt::Debug for AuthEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuthEntry(redacted)")
    }
}

/// What a credential helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// The credentials for a registry; anonymous when there are none.
pub(super) fn find(
    config_path: Option<&Path>,
    registry: &str,
) -> Result<RegistryAuth, RegistryError> {
    let Some(path) = config_path else {
        return Ok(RegistryAuth::Anonymous);
    };
    let config_error = |source| RegistryError::DockerConfig {
        path: path.to_owned(),
        source,
    };
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(RegistryAuth::Anonymous);
        }
        Err(error) => return Err(config_error(error)),
    };
    let config: DockerConfig =
        serde_json::from_slice(&text).map_err(|error| config_error(error.into()))?;
    let helper = config
        .cred_helpers
        .get(registry)
        .or(config.creds_store.as_ref());
    if let Some(helper) = helper.filter(|helper| !helper.is_empty())
        && let Some(auth) = ask_helper(helper, registry)?
    {
        return Ok(auth);
    }
    let entry = config
        .auths
        .iter()
        .find(|(key, _)| names_registry(key, registry));
    entry.map_or(Ok(RegistryAuth::Anonymous), |(_, entry)| {
        from_entry(entry, registry).map_err(|fault| {
            fault.unwrap_or_else(|| {
                config_error(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the login for `{registry}` is not base64 of user:password"),
                ))
            })
        })
    })
}

/// Whether a key of `auths` means the registry: keys are hosts, or addresses with scheme and path.
fn names_registry(key: &str, registry: &str) -> bool {
    let host = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = host.split('/').next().unwrap_or(host);
    let hub = |host| {
        matches!(
            host,
            "docker.io" | "index.docker.io" | "registry-1.docker.io"
        )
    };
    host == registry || (hub(host) && hub(registry))
}

/// `Err(None)`: the entry is malformed.
fn from_entry(entry: &AuthEntry, registry: &str) -> Result<RegistryAuth, Option<RegistryError>> {
    if !entry.identitytoken.is_empty() {
        return Err(Some(RegistryError::IdentityToken(registry.to_owned())));
    }
    if entry.auth.is_empty() {
        let named = !entry.username.is_empty();
        let basic = || RegistryAuth::Basic(entry.username.clone(), entry.password.clone());
        return Ok(if named {
            basic()
        } else {
            RegistryAuth::Anonymous
        });
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(entry.auth.trim())
        .map_err(|_| None)?;
    let text = String::from_utf8(bytes).map_err(|_| None)?;
    // Docker pads the decoded text with NULs in old files.
    let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or(None)?;
    Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

/// Runs `docker-credential-<helper> get`. `None` when it knows nothing of the registry.
fn ask_helper(helper: &str, registry: &str) -> Result<Option<RegistryAuth>, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let key = if registry == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        registry
    };
    let fault = |said: String, source| RegistryError::CredentialHelper {
        helper: program.clone(),
        registry: registry.to_owned(),
        said,
        source,
    };
    let run = || -> io::Result<std::process::Output> {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(key.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().map_err(|source| fault(String::new(), Some(source)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // The exact words of the protocol (docker-credential-helpers, credentials/error.go).
        return if said.contains("credentials not found") {
            Ok(None)
        } else {
            Err(fault(said, None))
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|error| fault(String::new(), Some(error.into())))?;
    if answer.username == TOKEN_USER {
        return Err(RegistryError::IdentityToken(registry.to_owned()));
    }
    Ok(Some(RegistryAuth::Basic(answer.username, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(config: &str, registry: &str) -> Result<RegistryAuth, RegistryError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs_err::write(&path, config).unwrap();
        find(Some(&path), registry)
    }

    #[test]
    fn finds_logins_as_docker_writes_them() {
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},"localhost:5000":{"auth":"YTpi"},
            "ghcr.io":{}},"HttpHeaders":{}}"#;
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        assert_eq!(
            find_in(config, "docker.io").unwrap(),
            basic("user", "pa:ss")
        );
        assert_eq!(find_in(config, "localhost:5000").unwrap(), basic("a", "b"));
        assert_eq!(
            find_in(config, "localhost:5001").unwrap(),
            RegistryAuth::Anonymous
        );
        assert_eq!(find_in(config, "ghcr.io").unwrap(), RegistryAuth::Anonymous);
        assert_eq!(find(None, "docker.io").unwrap(), RegistryAuth::Anonymous);
        assert_eq!(
            find(Some(Path::new("/nonexistent/config.json")), "docker.io").unwrap(),
            RegistryAuth::Anonymous
        );
    }

    #[test]
    fn faults_name_the_file_the_helper_and_the_token() {
        assert!(matches!(
            find_in("{", "a.io"),
            Err(RegistryError::DockerConfig { .. })
        ));
        assert!(matches!(
            find_in(r#"{"auths":{"a.io":{"auth":"!"}}}"#, "a.io"),
            Err(RegistryError::DockerConfig { .. })
        ));
        let helper = find_in(r#"{"credHelpers":{"a.io":"does-not-exist"}}"#, "a.io").unwrap_err();
        assert!(
            helper
                .to_string()
                .contains("docker-credential-does-not-exist"),
            "{helper}"
        );
        let token = find_in(r#"{"auths":{"a.io":{"identitytoken":"x"}}}"#, "a.io");
        assert!(matches!(token, Err(RegistryError::IdentityToken(_))));
    }
}
