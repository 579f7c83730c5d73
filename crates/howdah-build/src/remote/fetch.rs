//! Trees that come from elsewhere: vertices of the graph, and contexts that the command line gives.

use std::collections::HashMap;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use howdah_image::layer::{Limits, unpack};
use howdah_image::{Digest, SnapshotId};
use howdah_solver::{Cache as _, Class, Graph, Key, Recipe, Vertex};

use super::git::Checkout;
use super::http::Download;
use super::reference::{GitReference, shown};
use super::{Remote, RemoteError};
use crate::cache::{Records, migrate};
use crate::copy::{is_archive, open_archive};
use crate::error::StepError;
use crate::op::{Fields, Op};
use crate::request::TEXT_LIMIT;
use crate::root::{Root, RootLayer};
use crate::timing::Timings;
use crate::transport::Imports;

/// What BuildKit calls the file of a context that is one file of a URL.
const SINGLE_FILE: &str = "context";
/// Mode of what was downloaded (moby/buildkit `source/http`).
pub(crate) const FILE_MODE: u32 = 0o600;

/// A tree that [`Remote`] can bring into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched(pub(crate) FetchOp);

/// A tree from elsewhere. Not in the key: where it comes from, since everything in it is named by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchOp {
    /// In the key: the commit, the directory, whether `.git` and submodules are in it.
    Git(Checkout),
    /// What is in an archive. In the key: the digest of the archive.
    Archive { name: String, digest: Digest },
    /// One file. In the key: the digest of its content.
    File { name: String, download: Download },
}

/// A build context that came from elsewhere.
#[derive(Clone, Debug)]
pub enum RemoteContext {
    /// Files, the Dockerfile among them.
    Tree(Fetched),
    /// A Dockerfile, and a tree that has nothing but this file.
    Text {
        /// The Dockerfile.
        text: String,
        /// The tree.
        file: Fetched,
    },
}

impl Fetched {
    /// The address as people know it.
    pub fn name(&self) -> String {
        self.0.name()
    }
}

impl FetchOp {
    pub(crate) fn name(&self) -> String {
        match self {
            FetchOp::Git(checkout) => checkout.shown(),
            FetchOp::Archive { name, .. } | FetchOp::File { name, .. } => name.clone(),
        }
    }

    pub(crate) fn digest(&self) -> (Key, Fields) {
        let flag = |value: bool| if value { "yes" } else { "no" };
        let mut recipe;
        match self {
            FetchOp::Git(checkout) => {
                recipe = Recipe::new("git", 1);
                recipe
                    .text("commit", &checkout.commit)
                    .text("directory", &checkout.subdirectory)
                    .text("keep-git-dir", flag(checkout.keep_git_dir))
                    .text("submodules", flag(!checkout.skip_submodules));
                // They stand in `.git`.
                if checkout.keep_git_dir {
                    recipe.text("origin", &checkout.shown());
                    recipe.list("name", &checkout.name);
                }
            }
            FetchOp::Archive { digest, .. } => {
                recipe = Recipe::new("archive", 1);
                recipe.text("digest", &digest.to_string());
            }
            FetchOp::File { download, .. } => {
                recipe = Recipe::new("file", 1);
                recipe.text("digest", &download.digest.to_string());
            }
        }
        recipe.finish()
    }
}

impl Remote {
    /// What an address means now: a commit of a repository, an archive, or another file. Files are downloaded.
    pub fn look_up(&self, address: &str, keep_git_dir: bool) -> Result<Fetched, RemoteError> {
        if let Some(reference) = GitReference::parse(address)? {
            let keep = reference.keep_git_dir.unwrap_or(keep_git_dir);
            return Ok(Fetched(FetchOp::Git(self.resolve(&reference, keep)?)));
        }
        let name = shown(address);
        let download = self.download(address, None)?;
        Ok(Fetched(FetchOp::File { name, download }))
    }

    /// A build context of the command line: as [`Remote::look_up`], but an archive stands for what is in it. Gives the text
    /// instead of a file that is no archive: it is a Dockerfile.
    pub fn context(&self, address: &str, keep_git_dir: bool) -> Result<RemoteContext, RemoteError> {
        match self.look_up(address, keep_git_dir)?.0 {
            FetchOp::File { name, download } => self.archive_or_text(name, download),
            op => Ok(RemoteContext::Tree(Fetched(op))),
        }
    }

    /// As [`Remote::context`], from a stream that `name` describes.
    pub fn stream(&self, name: &str, mut stream: impl Read) -> Result<RemoteContext, RemoteError> {
        let error = || RemoteError::io(format!("read the context from `{name}`"));
        let mut blob = self.store.write_blob()?;
        io::copy(&mut stream, &mut blob).map_err(error())?;
        blob.flush().map_err(error())?;
        let (digest, _) = blob.commit(None)?;
        let download = Download {
            digest,
            modified: 0,
        };
        self.archive_or_text(name.to_owned(), download)
    }

    fn archive_or_text(
        &self,
        name: String,
        download: Download,
    ) -> Result<RemoteContext, RemoteError> {
        let digest = download.digest;
        let path = self.store.blob_path(&digest);
        let error = || RemoteError::io(format!("read `{name}`"));
        if is_archive(&path).map_err(error())? {
            return Ok(RemoteContext::Tree(Fetched(FetchOp::Archive {
                name,
                digest,
            })));
        }
        let file = fs_err::File::open(&path).map_err(error())?;
        let text = io::read_to_string(file.take(TEXT_LIMIT)).map_err(error())?;
        let file = Fetched(FetchOp::File { name, download });
        Ok(RemoteContext::Text { text, file })
    }

    /// Reads a file of a tree, which is brought into the store for it; `None` if there is no such file.
    pub fn read(&self, tree: &Fetched, path: &str) -> Result<Option<String>, StepError> {
        let root = self.bring(&tree.0)?;
        let content = root.view(&self.store).read(path.as_bytes(), TEXT_LIMIT);
        let content = content.map_err(RemoteError::io(format!("read `{path}`")))?;
        Ok(content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The tree, from the store if it is there, for the graph to find it afterwards.
    fn bring(&self, op: &FetchOp) -> Result<Arc<Root>, StepError> {
        migrate(&self.store)?;
        let mut graph = Graph::default();
        let id = graph.add(Vertex::new(
            Op::Fetch(op.clone()),
            op.digest().0,
            Vec::new(),
            Class::Work,
        ));
        let key = *graph.vertex(id).key();
        // Not part of a build whose time is told.
        let timings = Timings::default();
        let imports = Imports::none(&self.store);
        let records = Records::new(self.store.clone(), HashMap::new(), &imports, &timings);
        let find = || Ok::<_, StepError>(records.find(&[key])?.pop().flatten());
        if let Some(root) = find()? {
            return Ok(root);
        }
        let _lock = records
            .lock(&key, &self.cancel)?
            .ok_or(RemoteError::Cancelled)?;
        if let Some(root) = find()? {
            return Ok(root);
        }
        let root = Root::default().with(self.fetch(op)?);
        records.save(&[key], &root)?;
        Ok(root)
    }

    /// Makes the layer that is the tree.
    pub(crate) fn fetch(&self, op: &FetchOp) -> Result<RootLayer, RemoteError> {
        let staging = self.store.stage()?;
        match op {
            FetchOp::Git(checkout) => self.check_out(checkout, &staging)?,
            FetchOp::Archive { name, digest } => {
                let path = self.blob(name, digest)?;
                let error = || RemoteError::io(format!("read `{name}`"));
                let archive = open_archive(&path).map_err(error())?;
                let archive = archive.ok_or_else(|| RemoteError::Lost {
                    name: name.clone(),
                    digest: *digest,
                })?;
                let unpacked = unpack(archive, staging.upper(), &Limits::default());
                unpacked.map_err(|source| RemoteError::Unpack {
                    name: name.clone(),
                    source,
                })?;
            }
            FetchOp::File { name, download } => {
                let path = self.blob(name, &download.digest)?;
                let file = staging.upper().join(SINGLE_FILE);
                let error = || RemoteError::io(format!("copy `{name}`"));
                fs_err::copy(&path, &file).map_err(error())?;
                let mode = PermissionsExt::from_mode(FILE_MODE);
                fs_err::set_permissions(&file, mode).map_err(error())?;
                let seconds = u64::try_from(download.modified).unwrap_or(0);
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                fs_err::OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .and_then(|file| file.set_modified(time))
                    .map_err(error())?;
            }
        }
        let id = SnapshotId::random();
        staging.seal(&id)?;
        Ok(RootLayer {
            snapshots: vec![id],
            content: op.digest().0,
        })
    }

    /// A blob that an archive or a file is.
    fn blob(&self, name: &str, digest: &Digest) -> Result<PathBuf, RemoteError> {
        if self.store.has_blob(digest) {
            return Ok(self.store.blob_path(digest));
        }
        Err(RemoteError::Lost {
            name: name.to_owned(),
            digest: *digest,
        })
    }
}
