//! `basic_auth`: names and passwords (RFC 7617).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use howdah_caddyfile::BasicAuth;
use http::StatusCode;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::trip::Trip;
use super::{Failure, headers};

/// So many passwords that were right are remembered: bcrypt is slow on purpose, and a page has many files.
const MOST_REMEMBERED: usize = 1000;

/// Passwords that were right, by digests of everything that counted.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<HashSet<[u8; 32]>>);

impl Remembered {
    async fn is_right(&self, auth: &BasicAuth, name: &str, password: String) -> bool {
        let user = auth.users.iter().find(|(one, _)| one == name);
        // A name that is not known takes as long as one that is.
        let Some((_, hash)) = user.or_else(|| auth.users.first()) else {
            return false;
        };
        let key = Sha256::new()
            .chain_update(hash)
            .chain_update(password.as_bytes())
            .finalize()
            .into();
        if user.is_some() && self.has(&key) {
            return true;
        }
        let hash = hash.clone();
        // It keeps a processor busy for a while.
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash)).await;
        let is_right = user.is_some() && matches!(verified, Ok(Ok(true)));
        if is_right {
            self.add(key);
        }
        is_right
    }

    fn has(&self, key: &[u8; 32]) -> bool {
        self.lock().contains(key)
    }

    fn add(&self, key: [u8; 32]) {
        let mut all = self.lock();
        if all.len() >= MOST_REMEMBERED {
            all.clear();
        }
        all.insert(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trip<'_> {
    /// Fails with 401 unless the request has the name and password of one of these users.
    pub(super) async fn authenticate(&mut self, auth: &BasicAuth) -> Result<(), Failure> {
        if let Some((name, password)) = self.credentials()
            && self.server.remembered.is_right(auth, &name, password).await
        {
            self.variables.insert("auth.user.id".into(), name);
            return Ok(());
        }
        let challenge = format!("Basic realm=\"{}\"", auth.realm);
        headers::set(self, "www-authenticate", challenge);
        Err(StatusCode::UNAUTHORIZED.into())
    }

    fn credentials(&self) -> Option<(String, String)> {
        let value = self.parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, credentials) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(credentials.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    }
}
