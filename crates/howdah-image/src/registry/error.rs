//! What can go wrong with a registry, told so that a person knows what to do.

use std::io;
use std::path::PathBuf;

use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::layer::LayerError;
use crate::{Reference, StoreError};

/// A pull or push that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such image there.
    #[error("image `{0}` is not in its registry")]
    NotFound(String),
    /// No right to it, or wrong credentials. Registries say the same of private repositories that do not exist.
    #[error("the registry denies access to `{reference}`{}", detail(said))]
    Denied {
        /// The image.
        reference: String,
        /// The registry's words, if any.
        said: String,
    },
    /// Too many requests.
    #[error("the registry `{0}` refuses further requests for now: its rate limit is reached")]
    RateLimited(String),
    /// No connection.
    #[error("cannot reach the registry `{registry}`")]
    Unreachable {
        /// Its host.
        registry: String,
        /// Why not.
        source: OciDistributionError,
    },
    /// Any other answer that is not the expected one.
    #[error("the registry failed on `{reference}`")]
    Failed {
        /// The image.
        reference: String,
        /// Its answer.
        source: OciDistributionError,
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
    /// Manifests get their digest from their content.
    #[error("cannot push to `{0}`: a name to push to has a tag, no digest")]
    PushToDigest(String),
    /// Docker's configuration cannot be read.
    #[error("cannot read Docker's configuration `{}`", path.display())]
    DockerConfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
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
    /// A login that only Docker's OAuth flow can use.
    #[error(
        "the login for `{0}` is an identity token, which howdah cannot use; log in with a user name and password"
    )]
    IdentityToken(String),
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

fn detail(said: &str) -> String {
    let said = said.trim();
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// Sorts oci-client's errors by what a person can do about them.
pub(super) fn classify(reference: &Reference, source: OciDistributionError) -> RegistryError {
    let name = reference.familiar();
    match status_of(&source) {
        Some(404) => RegistryError::NotFound(name),
        Some(401 | 403) => RegistryError::Denied {
            reference: name,
            said: words_of(&source),
        },
        Some(429) => RegistryError::RateLimited(reference.registry().to_owned()),
        Some(_) => RegistryError::Failed {
            reference: name,
            source,
        },
        None => match source {
            OciDistributionError::RequestError(_) => RegistryError::Unreachable {
                registry: reference.registry().to_owned(),
                source,
            },
            source => RegistryError::Failed {
                reference: name,
                source,
            },
        },
    }
}

/// The HTTP status that an error stands for; `None` when there was no answer, or none with a meaning of its own.
fn status_of(source: &OciDistributionError) -> Option<u16> {
    match source {
        OciDistributionError::ImageManifestNotFoundError(_) => Some(404),
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => Some(401),
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::RegistryError { envelope, .. } => {
            Some(match envelope.errors.first()?.code {
                OciErrorCode::ManifestUnknown
                | OciErrorCode::NameUnknown
                | OciErrorCode::BlobUnknown
                | OciErrorCode::NotFound => 404,
                OciErrorCode::Unauthorized | OciErrorCode::Denied => 401,
                OciErrorCode::Toomanyrequests => 429,
                _ => 400,
            })
        }
        _ => None,
    }
}

fn words_of(source: &OciDistributionError) -> String {
    match source {
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .first()
            .map(|error| error.message.clone())
            .unwrap_or_default(),
        // A token server answers in JSON of its own making.
        OciDistributionError::AuthenticationFailure(text) => {
            serde_json::from_str::<serde_json::Value>(text)
                .ok()
                .and_then(|answer| Some(answer.get("details")?.as_str()?.to_owned()))
                .unwrap_or_default()
        }
        _ => String::new(),
    }
}
