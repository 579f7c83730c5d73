//! TLS by rustls: certificates from files, which can be read anew while connections go on, by an authority of one's own for
//! development, or by a public one, which issues them by itself (ACME).

pub(crate) mod acme;
mod challenges;
mod keep;
mod local;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, watch};
use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::log::Log;
pub use acme::{AcmeConfig, AcmeError};
use challenges::Chooser;
pub(crate) use challenges::{ACME_TLS, Challenges};
pub use local::LocalError;

/// Where a server's certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificates {
    /// From PEM files.
    Files {
        /// The certificate and what leads to its authority, in this order.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// From an authority that is made at the first use and kept in a directory.
    Local {
        /// Holds `root.crt`, which browsers are to trust, and `root.key`.
        directory: PathBuf,
        /// Names and addresses of the server.
        names: Vec<String>,
    },
    /// From an authority that sees by itself whose names they are (RFC 8555).
    Acme(AcmeConfig),
    /// Several, each for its names, in lower case, which may begin with `*.`; the first one without names, or else the first one,
    /// is for all others.
    Several(Vec<(Vec<String>, Certificates)>),
}

impl Certificates {
    /// Each with its names.
    fn each(&self) -> Vec<(&[String], &Certificates)> {
        match self {
            Self::Several(all) => all
                .iter()
                .flat_map(|(names, one)| one.each().into_iter().map(|(_, one)| (&**names, one)))
                .collect(),
            one => vec![(&[], one)],
        }
    }

    fn authorities(&self) -> impl Iterator<Item = &AcmeConfig> {
        self.each().into_iter().filter_map(|(_, one)| match one {
            Self::Acme(config) => Some(config),
            _ => None,
        })
    }
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of its kind.
    #[error("cannot read the {what} in `{}`", path.display())]
    Read {
        /// Certificate or private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Certificate and key do not fit, or are of an unknown kind.
    #[error("cannot use the certificate in `{}`", path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authority for development cannot be used.
    #[error("cannot make a certificate for development")]
    Local(#[from] LocalError),
    /// What an authority issued cannot be read.
    #[error("cannot use what was issued before")]
    Acme(#[from] AcmeError),
}

/// The TLS of a server: what the next connection gets.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Certificates,
    current: watch::Sender<Arc<ServerConfig>>,
    challenges: Arc<Challenges>,
    /// Somebody wants a certificate at once.
    wanted: Notify,
    /// Held while a certificate is ordered: proofs of several orders would get in each other's way.
    ordering: Mutex<()>,
}

impl Tls {
    pub(crate) fn new(certificates: Certificates) -> Result<Self, TlsError> {
        let challenges = Arc::default();
        let current = watch::Sender::new(load(&certificates, &challenges)?);
        Ok(Self {
            certificates,
            current,
            challenges,
            wanted: Notify::new(),
            ordering: Mutex::new(()),
        })
    }

    /// Reads the certificate anew, or asks for it if none was issued yet. When that fails, the one from before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.current
            .send_replace(load(&self.certificates, &self.challenges)?);
        self.wanted.notify_waiters();
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of every new certificate.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Gets certificates for as long as the future is polled, if they come from an authority that is to be asked. `has_plain`: is
    /// there a listener without TLS, too?
    pub(crate) async fn keep_valid(&self, has_plain: bool, log: &Log) {
        let all = self.certificates.authorities();
        join_all(all.map(|config| acme::run(self, config, has_plain, log))).await;
    }

    pub(crate) fn challenges(&self) -> Arc<Challenges> {
        Arc::clone(&self.challenges)
    }
}

fn load(
    certificates: &Certificates,
    challenges: &Arc<Challenges>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut choices = Vec::new();
    for (names, one) in certificates.each() {
        choices.push((names.to_vec(), load_one(one)?));
    }
    let chooser = Chooser {
        choices,
        challenges: Arc::clone(challenges),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Unfit {
            path: PathBuf::new(),
            source,
        })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if certificates.authorities().next().is_some() {
        config.alpn_protocols.push(ACME_TLS.to_vec());
    }
    Ok(Arc::new(config))
}

/// None if none was issued yet.
fn load_one(certificates: &Certificates) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
    Ok(match certificates {
        Certificates::Files { chain, key } => {
            Some(certified(read_chain(chain)?, read_key(key)?, chain)?)
        }
        Certificates::Local { directory, names } => {
            let issued = local::issue(directory, names)?;
            Some(certified(issued.chain, issued.key, directory)?)
        }
        Certificates::Acme(config) => acme::stored(config)?.map(|issued| issued.certificate),
        // They were taken apart.
        Certificates::Several(_) => None,
    })
}

/// Certificate and key, if they belong together. `path`: where they are from.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<Arc<CertifiedKey>, TlsError> {
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map(Arc::new)
        .map_err(|source| TlsError::Unfit {
            path: path.to_owned(),
            source,
        })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Read {
        what: "certificate",
        path: path.to_owned(),
        source,
    };
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(failed)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Read {
        what: "private key",
        path: path.to_owned(),
        source,
    })
}
