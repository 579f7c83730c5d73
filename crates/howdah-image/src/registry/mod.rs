//! Pull and push: a blocking face over `oci-client`, which speaks the OCI distribution specification.

mod credentials;
mod error;
mod pull;
mod push;

use std::path::PathBuf;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use tokio::runtime::Runtime;

use crate::layer::PackOptions;
use crate::{Digest, Image, Platform, Reference, Store};

pub use error::RegistryError;

/// Blobs that move at the same time; Docker's default is three down and five up.
const PARALLEL: usize = 4;
/// Progress is told no more often than this many bytes.
const PROGRESS_STEP: u64 = 256 * 1024;

/// Where credentials are, and what to ask for.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Docker's `config.json` (`~/.docker/config.json`), when there may be one.
    pub docker_config: Option<PathBuf>,
    /// Of an image for several platforms, which one; this machine's when absent.
    pub platform: Option<Platform>,
    /// How layers that were never packed are packed for a push.
    pub pack: PackOptions,
}

/// Progress of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Which blob.
    pub digest: Digest,
    /// Bytes moved so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// What happens with it.
    pub state: TransferState,
}

/// What happens with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    /// It is there already; nothing moves.
    Present,
    /// It moves.
    Moving,
    /// It has arrived and is unpacked.
    Unpacking,
    /// It is done.
    Done,
}

/// A client for any number of registries.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
    runtime: Runtime,
}

/// One registry, with credentials.
struct Connection {
    client: Client,
    auth: RegistryAuth,
    reference: Reference,
    /// The same in oci-client's type.
    remote: oci_client::Reference,
}

impl Registry {
    /// A client; nothing is sent yet.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        // The first one wins, and it does not matter whose it was.
        drop(rustls::crypto::ring::default_provider().install_default());
        // One thread: the work is waiting, except for unpacking, which has threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|source| RegistryError::Start { source })?;
        Ok(Self { options, runtime })
    }

    /// Fetches an image with the layers that are missing, and names it.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        progress: &dyn Fn(Transfer),
    ) -> Result<Image, RegistryError> {
        self.runtime.block_on(async {
            let connection = self.connect(reference, RegistryOperation::Pull).await?;
            let platform = self.options.platform.clone().unwrap_or_default();
            pull::pull(store, &connection, &platform, progress).await
        })
    }

    /// Sends an image with the blobs that the registry lacks, the manifest last. Gives the manifest's digest.
    pub fn push(
        &self,
        store: &Store,
        image: &Image,
        reference: &Reference,
        progress: &dyn Fn(Transfer),
    ) -> Result<Digest, RegistryError> {
        if reference.digest().is_some() {
            return Err(RegistryError::PushToDigest(reference.familiar()));
        }
        self.runtime.block_on(async {
            let connection = self.connect(reference, RegistryOperation::Push).await?;
            push::push(store, image, &connection, &self.options.pack, progress).await
        })
    }

    async fn connect(
        &self,
        reference: &Reference,
        operation: RegistryOperation,
    ) -> Result<Connection, RegistryError> {
        let auth = credentials::find(self.options.docker_config.as_deref(), reference.registry())?;
        let client = Client::try_from(client_config(reference.registry()))
            .map_err(|source| error::classify(reference, source))?;
        let connection = Connection {
            client,
            auth,
            reference: reference.clone(),
            remote: remote(reference),
        };
        // Asked for at once: later calls would go on without a token and be refused with less to say.
        connection
            .client
            .auth(&connection.remote, &connection.auth, operation)
            .await
            .map_err(|source| error::classify(reference, source))?;
        Ok(connection)
    }
}

impl Connection {
    fn error(&self, source: oci_client::errors::OciDistributionError) -> RegistryError {
        error::classify(&self.reference, source)
    }
}

fn client_config(registry: &str) -> ClientConfig {
    let mut config = ClientConfig {
        // A stream of chunks would need a request for each few megabytes.
        use_monolithic_push: true,
        user_agent: concat!("howdah/", env!("CARGO_PKG_VERSION")),
        connect_timeout: Some(std::time::Duration::from_secs(30)),
        read_timeout: Some(std::time::Duration::from_mins(1)),
        ..ClientConfig::default()
    };
    if is_loopback(registry) {
        // As Docker: registries on the machine itself need no certificate, and no proxy leads to them.
        config.protocol = ClientProtocol::HttpsExcept(vec![registry.to_owned()]);
        config.http_proxy = Some("http://localhost".to_owned());
        config.no_proxy = Some("localhost,127.0.0.0/8,::1/128".to_owned());
    }
    config
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.split(':').next().unwrap_or(registry),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn remote(reference: &Reference) -> oci_client::Reference {
    let registry = reference.registry().to_owned();
    let repository = reference.repository().to_owned();
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => {
            oci_client::Reference::with_digest(registry, repository, digest.to_string())
        }
        (None, tag) => oci_client::Reference::with_tag(
            registry,
            repository,
            tag.unwrap_or("latest").to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_is_spoken_to_in_the_clear() {
        for registry in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.3.2.1",
            "[::1]:5000",
        ] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in [
            "docker.io",
            "127.0.0.1.example.com",
            "localhost.example.com:5000",
            "[::2]:5000",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
