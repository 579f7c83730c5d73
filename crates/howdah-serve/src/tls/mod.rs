//! TLS by rustls: certificates from files, which can be read anew while connections go on, or by an authority of one's own
//! for development.

mod local;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
}

/// The TLS of a server: what the next connection gets.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Certificates,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    pub(crate) fn new(certificates: Certificates) -> Result<Self, TlsError> {
        let current = RwLock::new(load(&certificates)?);
        Ok(Self {
            certificates,
            current,
        })
    }

    /// Reads the certificate anew. When that fails, the one from before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = load(&self.certificates)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn load(certificates: &Certificates) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key, path) = match certificates {
        Certificates::Files { chain, key } => (read_chain(chain)?, read_key(key)?, chain.clone()),
        Certificates::Local { directory, names } => {
            let issued = local::issue(directory, names)?;
            (issued.chain, issued.key, directory.clone())
        }
    };
    let unfit = |source| TlsError::Unfit {
        path: path.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
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
