//! What can go wrong with a registry, told so that a person knows what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;

use super::answer::is_trouble;
use crate::StoreError;
use crate::export::ExportError;
use crate::layer::LayerError;

/// A pull or push that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such image there.
    #[error("image `{0}` is not in its registry")]
    NotFound(String),
    /// No right to it, or wrong credentials. Registries say the same of private repositories that do not exist.
    #[error("the registry denies access to `{reference}`{}", detail(said))]
    Denied {
        /// The image, or the registry when a login failed.
        reference: String,
        /// The registry's name, for a login.
        registry: String,
        /// Whether a login was sent.
        logged_in: bool,
        /// The registry's words, if any.
        said: String,
    },
    /// Too many requests, after some waiting.
    #[error(
        "the registry `{registry}` refuses further requests for now{}",
        detail(said)
    )]
    RateLimited {
        /// Its host.
        registry: String,
        /// The registry's words, if any.
        said: String,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// No connection.
    #[error("cannot reach the registry `{registry}`")]
    Unreachable {
        /// Its host.
        registry: String,
        /// Why not.
        source: TransportError,
    },
    /// Any other answer that is not the expected one.
    #[error("the registry answers {status} for `{reference}`{}", detail(said))]
    Failed {
        /// The image.
        reference: String,
        /// The HTTP status.
        status: StatusCode,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Duration>,
        /// The registry's words, if any.
        said: String,
    },
    /// No address can be made of it.
    #[error("`{0}` is not the address of a registry")]
    Address(String),
    /// A token server whose answer is of no use.
    #[error("cannot get a token for the registry `{registry}` from `{realm}`: {what}")]
    TokenServer {
        /// The registry that sent us there.
        registry: String,
        /// The token server's address.
        realm: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A document of the image that cannot be understood.
    #[error("cannot read the {document} of `{reference}`")]
    Document {
        /// The image.
        reference: String,
        /// Which document.
        document: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// A document that contradicts itself, or the limits.
    #[error("the {document} of `{reference}` {what}")]
    Invalid {
        /// The image.
        reference: String,
        /// Which document.
        document: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// Not made for the wanted platform.
    #[error("image `{reference}` does not exist for {platform}")]
    NoPlatform {
        /// The image.
        reference: String,
        /// What was wanted.
        platform: String,
    },
    /// A blob that does not arrive whole.
    #[error("cannot fetch the blob {digest}")]
    Blob {
        /// Which.
        digest: crate::Digest,
        /// Why not.
        source: io::Error,
    },
    /// A blob of the store whose bytes are not what its name says; it has been removed.
    #[error("the blob {0} in the store was damaged and has been removed")]
    Damaged(crate::Digest),
    /// A layer that cannot be packed or unpacked.
    #[error("layer {number} of {count} of `{reference}` failed")]
    Layer {
        /// The image.
        reference: String,
        /// Counted from one.
        number: usize,
        /// All layers of the image.
        count: usize,
        /// Why.
        source: Box<LayerError>,
    },
    /// Images that cannot be made ready to be sent.
    #[error("cannot export the image")]
    Export {
        /// Why not.
        source: ExportError,
    },
    /// Manifests get their digest from their content.
    #[error("cannot push to `{0}`: a name to push to has a tag, no digest")]
    PushToDigest(String),
    /// No file was named in which to keep it.
    #[error("there is no place for a login: neither DOCKER_CONFIG nor HOME is set")]
    NoDockerConfig,
    /// A configuration file cannot be read or written.
    #[error("cannot use the configuration `{}`", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use the certificate or key `{}`", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A credential helper failed.
    #[error(
        "the credential helper `{helper}` failed for `{registry}`{}",
        detail(said)
    )]
    CredentialHelper {
        /// The program.
        helper: String,
        /// For which registry.
        registry: String,
        /// What it printed.
        said: String,
        /// Why it did not run, when it did not.
        source: Option<io::Error>,
    },
    /// The client cannot be set up.
    #[error("cannot start the registry client")]
    Start {
        /// Why not.
        source: io::Error,
    },
    /// The store refused.
    #[error("cannot reach the images in the store")]
    Store {
        /// Why not.
        source: StoreError,
    },
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No such host.
    #[error("its name is not known to DNS, or no name server answers")]
    Name,
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// Its certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// Plain HTTP, most likely.
    #[error("it does not speak TLS")]
    NoTls,
    /// The connection ended in the middle.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The peer is dead, or behaves so.
    #[error("it was silent for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// A loop, most likely.
    #[error("it redirects more than {0} times")]
    Redirects(usize),
    /// Encrypted requests do not become plain ones.
    #[error("it redirects from HTTPS to plain HTTP at `{0}`")]
    Downgrade(String),
    /// It sends us on, but nowhere.
    #[error("its answer has no usable `Location`")]
    Address,
}

impl RegistryError {
    /// Whether another registry with the same image may do better.
    pub(super) fn is_of_registry(&self) -> bool {
        !matches!(self, Self::Store { .. } | Self::Start { .. })
    }

    /// Whether another try may do better. Hosts that are asked for something have answered before: one that refuses
    /// connections may be restarting.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Failed { status, .. } => is_trouble(*status),
            Self::Unreachable { source, .. } => matches!(
                source,
                TransportError::Broken(_) | TransportError::Silent(_) | TransportError::Connect(_)
            ),
            _ => false,
        }
    }

    /// When the registry wants to be asked again, if it said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Failed { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// What is wrong, for a line that names the registry already.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::RateLimited { .. } => "HTTP 429 Too Many Requests".to_owned(),
            Self::Failed { status, .. } => format!("HTTP {status}"),
            Self::Unreachable { source, .. } => source.to_string(),
            error => error.to_string(),
        }
    }

    /// The whole chain in one line.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    pub(super) fn certificate(
        path: &Path,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self::Certificate {
            path: path.to_owned(),
            source,
        }
    }
}

fn detail(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}
