//! The protocol of docker-credential-helpers: `docker-credential-<name> get|store|erase`, JSON on its standard streams
//! (github.com/docker/docker-credential-helpers, `client/client.go`).

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use super::super::RegistryError;
use super::Credentials;

/// A user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// The exact words of the protocol (`credentials/error.go`) for a registry nothing is known of.
const NOT_FOUND: &str = "credentials not found";
/// No helper has more to say.
const LONGEST_ANSWER: u64 = 1 << 20;

/// A credential helper, by the name Docker's configuration has for it.
#[derive(Debug, Clone)]
pub(super) struct Helper {
    program: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Login {
    #[serde(default, rename = "ServerURL", skip_deserializing)]
    server_url: String,
    username: String,
    secret: String,
}

impl Helper {
    pub(super) fn new(name: &str) -> Self {
        Self {
            program: format!("docker-credential-{name}"),
        }
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// What it knows of the registry kept under `key`.
    pub(super) fn get(&self, key: &str) -> Result<Option<Credentials>, RegistryError> {
        let output = self.run("get", key, key)?;
        if !output.status.success() {
            return if said(&output).contains(NOT_FOUND) {
                Ok(None)
            } else {
                Err(self.fault(key, said(&output), None))
            };
        }
        let login: Login = serde_json::from_slice(&output.stdout)
            .map_err(|error| self.fault(key, String::new(), Some(error.into())))?;
        Ok(Some(match login.username.as_str() {
            TOKEN_USER => Credentials::Identity(login.secret),
            "" if login.secret.is_empty() => Credentials::Anonymous,
            _ => Credentials::Password {
                user: login.username,
                password: login.secret,
            },
        }))
    }

    pub(super) fn store(
        &self,
        key: &str,
        user: &str,
        secret: &Secret<'_>,
    ) -> Result<(), RegistryError> {
        let (username, secret) = match secret {
            Secret::Password(password) => (user, password),
            Secret::IdentityToken(token) => (TOKEN_USER, token),
        };
        let login = Login {
            server_url: key.to_owned(),
            username: username.to_owned(),
            secret: (*secret).to_owned(),
        };
        let input = serde_json::to_string(&login)
            .map_err(|error| self.fault(key, String::new(), Some(error.into())))?;
        let output = self.run("store", key, &input)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(self.fault(key, said(&output), None))
        }
    }

    /// Forgets the login. Says whether there was one.
    pub(super) fn erase(&self, key: &str) -> Result<bool, RegistryError> {
        let known = self.get(key)?.is_some();
        let output = self.run("erase", key, key)?;
        if output.status.success() || said(&output).contains(NOT_FOUND) {
            Ok(known)
        } else {
            Err(self.fault(key, said(&output), None))
        }
    }

    fn run(&self, action: &str, key: &str, input: &str) -> Result<Output, RegistryError> {
        let run = || -> io::Result<Output> {
            let mut child = Command::new(&self.program)
                .arg(action)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // A helper that does not read its input may still answer.
                match stdin.write_all(input.as_bytes()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                    _ => {}
                }
            }
            let mut stdout = Vec::new();
            if let Some(pipe) = child.stdout.take() {
                pipe.take(LONGEST_ANSWER).read_to_end(&mut stdout)?;
            }
            Ok(Output {
                status: child.wait()?,
                stdout,
                stderr: Vec::new(),
            })
        };
        run().map_err(|source| self.fault(key, String::new(), Some(source)))
    }

    fn fault(&self, key: &str, said: String, source: Option<io::Error>) -> RegistryError {
        RegistryError::CredentialHelper {
            helper: self.program.clone(),
            registry: key.to_owned(),
            said,
            source,
        }
    }
}

/// What a login is proved with.
#[derive(Clone, Copy)]
pub(in super::super) enum Secret<'a> {
    Password(&'a str),
    /// Given by the token server in the password's place.
    IdentityToken(&'a str),
}

/// Errors are told on standard output.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
