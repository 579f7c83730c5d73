//! What an authority looks for to see that a name is ours (RFC 8555 section 8), while it looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The protocol by which an authority asks for the certificate of a challenge (RFC 8737 section 4).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";
/// Where it asks for the file of one (RFC 8555 section 8.3).
const PATH: &str = "/.well-known/acme-challenge/";

/// The proofs that are offered at the moment. One for the whole server.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// By token.
    files: Mutex<HashMap<String, String>>,
    /// By name.
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Challenges {
    pub(super) fn offer_file(&self, token: &str, content: &str) {
        lock(&self.files).insert(token.to_owned(), content.to_owned());
    }

    pub(super) fn offer_certificate(&self, name: &str, certificate: CertifiedKey) {
        lock(&self.certificates).insert(name.to_owned(), Arc::new(certificate));
    }

    pub(super) fn withdraw_all(&self) {
        lock(&self.files).clear();
        lock(&self.certificates).clear();
    }

    /// The content of a file of this path, if it is one of a challenge.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PATH)?;
        lock(&self.files).get(token).cloned()
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        lock(&self.certificates).get(name).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses the certificate of a handshake.
#[derive(Debug)]
pub(super) struct Chooser {
    /// By names. None until the first one was issued: a handshake fails then.
    pub(super) choices: Vec<(Vec<String>, Option<Arc<CertifiedKey>>)>,
    pub(super) challenges: Arc<Challenges>,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks_for_proof = hello
            .alpn()
            .is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_TLS));
        if asks_for_proof {
            return self.challenges.certificate(hello.server_name()?);
        }
        self.choices
            .get(chosen(&self.choices, hello.server_name()))?
            .1
            .clone()
    }
}

/// The one with this name, or with a star for it, or else one for all names, or the first one.
fn chosen<T>(choices: &[(Vec<String>, T)], name: Option<&str>) -> usize {
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let star = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
    let has = |wanted: &str| {
        let mut all = choices.iter();
        all.position(|(names, _)| names.iter().any(|one| one == wanted))
    };
    has(&name)
        .or_else(|| has(&star?))
        .or_else(|| choices.iter().position(|(names, _)| names.is_empty()))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_chooses_the_certificate() {
        let of = |names: &[&str]| (names.iter().map(|name| (*name).to_owned()).collect(), ());
        let choices: Vec<(Vec<String>, ())> = vec![
            of(&["a.example"]),
            of(&["*.example", "b.test"]),
            of(&[]),
            of(&["c.example"]),
        ];
        let place = |name| chosen(&choices, name);
        assert_eq!((place(Some("A.example")), place(Some("c.example"))), (0, 3));
        assert_eq!((place(Some("d.example")), place(Some("b.test"))), (1, 1));
        assert_eq!((place(Some("x.y")), place(None)), (2, 2));
        assert_eq!(chosen(&choices[..2], Some("x")), 0);
    }
}
