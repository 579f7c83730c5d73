//! Pull and push: a blocking client of the OCI distribution specification (github.com/opencontainers/distribution-spec).
//!
//! From the bottom: `transport` makes one HTTP exchange, `auth` finds the proofs a registry asks for, `remote` puts both
//! together for one repository and tries again; `manifests`, `download` and `upload` are the specification's operations, `pull`
//! and `push` whole images.

mod answer;
mod auth;
mod backoff;
mod content;
mod download;
mod error;
mod hosts;
mod manifests;
mod network;
mod pull;
mod push;
mod remote;
mod session;
mod sources;
mod transport;
mod upload;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::export::{Export, ExportOptions};
use crate::{Digest, Image, Platform, Reference, Store};

use self::hosts::Hosts;
use self::remote::{Remote, Shared};
use self::transport::Transport;

pub use auth::login::Kept;
pub use content::{Blob, Document};
pub use error::{RegistryError, TransportError};
pub use hosts::ConfigFiles;

/// Blobs that move at the same time; Docker's default is three down and five up.
const PARALLEL: usize = 4;
/// Progress is told no more often than this many bytes.
const PROGRESS_STEP: u64 = 256 * 1024;

/// Where credentials are, and what to ask for.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Docker's `config.json` (`~/.docker/config.json`), when there may be one.
    pub docker_config: Option<PathBuf>,
    /// Mirrors, certificates and registries without TLS.
    pub config_files: ConfigFiles,
    /// Of an image for several platforms, which one; this machine's when absent.
    pub platform: Option<Platform>,
}

/// What a person may want to know of while it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A blob moves.
    Blob(Transfer),
    /// A registry is asked again after a pause.
    Waiting {
        /// Which.
        registry: String,
        /// What it said, or what broke.
        reason: String,
        /// The pause.
        delay: Duration,
    },
    /// A mirror cannot give the image; the next one, or the registry itself, is asked.
    MirrorFailed {
        /// Its host.
        mirror: String,
        /// Why not.
        reason: String,
    },
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
    /// The registry had it in another repository; nothing moves.
    Mounted,
    /// It moves.
    Moving,
    /// It has arrived and is unpacked.
    Unpacking,
    /// It is done.
    Done,
}

/// A client for any number of registries. Its functions block, and may be called by several threads at once.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
    shared: Shared,
    runtime: Runtime,
}

impl Registry {
    /// A client; nothing is sent yet.
    pub fn new(options: RegistryOptions) -> Result<Self, RegistryError> {
        // One thread for the connections; hashing and writing are the caller's thread's work.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|source| RegistryError::Start { source })?;
        let transport = Transport::new(Hosts::load(&options.config_files)?);
        Ok(Self {
            shared: Shared::new(transport, options.docker_config.clone()),
            options,
            runtime,
        })
    }

    /// Fetches an image with the layers that are missing, and names it.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        notify: &dyn Fn(Notice),
    ) -> Result<Image, RegistryError> {
        let platform = self.options.platform.clone().unwrap_or_default();
        self.read(reference, notify, async |remote| {
            pull::pull(store, &remote, reference, &platform).await
        })
    }

    /// Sends an image with the blobs that the registry lacks, the manifest last. Gives the manifest's digest.
    pub fn push(
        &self,
        store: &Store,
        image: &Image,
        reference: &Reference,
        notify: &dyn Fn(Notice),
    ) -> Result<Digest, RegistryError> {
        let export = Export {
            variants: &[image.into()],
            names: std::slice::from_ref(reference),
            options: &ExportOptions::default(),
        };
        self.push_export(store, &export, notify)
    }

    /// Sends images under all the names they should have. Gives the digest to which the names lead.
    pub fn push_export(
        &self,
        store: &Store,
        export: &Export<'_>,
        notify: &dyn Fn(Notice),
    ) -> Result<Digest, RegistryError> {
        if let Some(pinned) = export.names.iter().find(|name| name.digest().is_some()) {
            return Err(RegistryError::PushToDigest(pinned.familiar()));
        }
        match self.send_export(store, export, notify) {
            // The damaged blob has been removed, so its layer is packed again.
            Err(RegistryError::Damaged(_)) => self.send_export(store, export, notify),
            other => other,
        }
    }

    fn send_export(
        &self,
        store: &Store,
        export: &Export<'_>,
        notify: &dyn Fn(Notice),
    ) -> Result<Digest, RegistryError> {
        let error = |source| RegistryError::Export { source };
        let bundle = export.bundle(store).map_err(error)?;
        let digest = bundle.root().digest;
        let mut repositories: Vec<&Reference> = export.names.iter().collect();
        repositories.sort_by_key(|name| name.name());
        repositories.dedup_by_key(|name| name.name());
        for name in repositories {
            self.write(name, notify, async |remote| {
                push::send_parts(store, &bundle, &remote, name).await
            })?;
        }
        // No name leads to the new image before all can: somebody may deploy them together.
        for name in export.names {
            self.write(name, notify, async |remote| {
                push::send_root(&bundle, &remote, name).await
            })?;
            for variant in export.variants {
                store
                    .record_manifest(variant.image, &name.with_digest(digest))
                    .map_err(|source| RegistryError::Store { source })?;
            }
        }
        Ok(digest)
    }

    /// Whether the repository that `reference` names has a blob.
    pub fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool, RegistryError> {
        self.write(reference, &|_| (), async |remote| {
            upload::exists(&remote, digest, false).await
        })
    }

    /// Fetches a blob into the store unless it is there. A broken transfer goes on where it stopped, also after the death of the
    /// process.
    pub fn fetch_blob(
        &self,
        store: &Store,
        reference: &Reference,
        blob: &Blob,
        notify: &dyn Fn(Notice),
    ) -> Result<(), RegistryError> {
        self.read(reference, notify, async |remote| {
            download::fetch(&remote, store, blob).await?;
            sources::note(store, reference, &[blob.digest])
        })
    }

    /// Sends a blob of the store unless the repository has it; it is mounted where another repository of the registry does.
    /// Says by which way it got there: `Present`, `Mounted` or `Done`.
    pub fn send_blob(
        &self,
        store: &Store,
        reference: &Reference,
        blob: &Blob,
        notify: &dyn Fn(Notice),
    ) -> Result<TransferState, RegistryError> {
        self.write(reference, notify, async |remote| {
            push::send_stored(store, &remote, reference, blob).await
        })
    }

    /// Sends a small blob that is in no store, such as an image's configuration.
    pub fn send_bytes(&self, reference: &Reference, bytes: &[u8]) -> Result<Blob, RegistryError> {
        self.write(reference, &|_| (), async |remote| {
            let blob = Blob::of(bytes);
            let content = upload::Content::Bytes(bytes);
            upload::send(&remote, &blob, content, &[]).await?;
            Ok(blob)
        })
    }

    /// Fetches a small blob that is not kept; one of more than `limit` bytes is an error.
    pub fn fetch_bytes(
        &self,
        reference: &Reference,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        self.read(reference, &|_| (), async |remote| {
            let bytes = download::read(&remote, digest, limit).await?;
            bytes.ok_or_else(|| RegistryError::Invalid {
                reference: reference.familiar(),
                document: "blob",
                what: "is larger than expected",
            })
        })
    }

    /// Fetches the manifest or index that `reference` names by digest or tag, checked against the digest.
    pub fn fetch_manifest(&self, reference: &Reference) -> Result<Document, RegistryError> {
        self.read(reference, &|_| (), async |remote| {
            manifests::get(&remote, &manifests::name_of(reference)).await
        })
    }

    /// Puts a manifest or index under the tag of `reference`, or under its digest when it has none. Everything it names must be
    /// in the repository already.
    pub fn send_manifest(
        &self,
        reference: &Reference,
        document: &Document,
    ) -> Result<Digest, RegistryError> {
        self.write(reference, &|_| (), async |remote| {
            manifests::put(&remote, &manifests::name_of(reference), document).await?;
            Ok(document.digest())
        })
    }

    /// Does `work` at the first place that can: the mirrors, then the registry itself, whose failure is the one that counts.
    fn read<'a, T, F: Future<Output = Result<T, RegistryError>>>(
        &'a self,
        reference: &'a Reference,
        notify: &'a dyn Fn(Notice),
        work: impl Fn(Remote<'a>) -> F,
    ) -> Result<T, RegistryError> {
        let endpoints = self
            .shared
            .transport
            .hosts()
            .endpoints(reference.registry())?;
        self.runtime.block_on(async {
            for endpoint in &endpoints {
                let attempt = match Remote::open(&self.shared, endpoint, reference, notify).await {
                    Ok(remote) => work(remote).await,
                    Err(error) => Err(error),
                };
                match attempt {
                    Err(error) if endpoint.is_mirror && error.is_of_registry() => {
                        notify(Notice::MirrorFailed {
                            mirror: endpoint.host.clone(),
                            reason: error.with_causes(),
                        });
                    }
                    other => return other,
                }
            }
            Err(RegistryError::NotFound(reference.familiar()))
        })
    }

    fn write<'a, T, F: Future<Output = Result<T, RegistryError>>>(
        &'a self,
        reference: &'a Reference,
        notify: &'a dyn Fn(Notice),
        work: impl FnOnce(Remote<'a>) -> F,
    ) -> Result<T, RegistryError> {
        let endpoint = self.shared.transport.hosts().origin(reference.registry())?;
        self.runtime.block_on(async {
            work(Remote::open(&self.shared, &endpoint, reference, notify).await?).await
        })
    }
}
