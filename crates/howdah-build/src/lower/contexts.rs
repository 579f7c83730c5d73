//! Where files come from: the build context, named contexts, stages and images, and the remote sources of `ADD`.

use std::rc::Rc;
use std::sync::Arc;

use howdah_dockerfile::Add;
use howdah_image::{Digest, Image, Platform};
use howdah_solver::VertexId;

use super::stage::{FileLowering, Site, instruction_error};
use crate::context::Scan;
use crate::copy::Pattern;
use crate::error::{BuildError, LowerError};
use crate::op::CopySource;
use crate::remote::{FetchOp, GitReference, RemoteError, file_name};
use crate::request::{ContextSource, NamedContext};

/// What a name in `--from` or `from=` leads to.
pub(super) enum From {
    /// Files of the host, known already.
    Scan(Arc<Scan>),
    /// The root filesystem of a stage or an image, or a tree from elsewhere.
    Root(VertexId),
}

/// What a named context turns out to be.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// An image.
    Image(Rc<Image>),
    /// `docker-image://scratch`
    Nothing,
    /// A directory.
    Files(Arc<Scan>),
    /// A tree from elsewhere.
    Tree(FetchOp),
}

impl FileLowering<'_, '_> {
    /// The named context that stands for a name of a stage or an image: `name::platform` for that platform, else `name`
    /// (moby/buildkit `frontend/dockerui/config.go`, `NamedContext`). `scratch` and `context` are themselves
    /// (`dockerfile2llb/convert.go`, `namedContextFunc`).
    pub(super) fn named_context(&self, name: &str, platform: &Platform) -> Option<&NamedContext> {
        if ["scratch", "context"]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name))
        {
            return None;
        }
        let normal = normal(name);
        let find = |wanted: Option<&Platform>| {
            let mut contexts = self.target.contexts.iter();
            let found = contexts.find(|(known, _)| {
                let (known, platform) = split_platform(known);
                platform.as_ref() == wanted && (known == name || self::normal(known) == normal)
            });
            found.map(|(_, context)| context)
        };
        find(Some(platform)).or_else(|| find(None))
    }

    /// What `--from` means here: a stage, a named context, else an image; without it the build context.
    pub(super) fn from(&mut self, site: &Site<'_>, name: Option<&str>) -> Result<From, BuildError> {
        let error = |error| instruction_error(site.place.clone(), error);
        let Some(name) = name else {
            return self.context_files(site);
        };
        // A stage that a named context replaces is that context.
        if let Some(stage) = self.named_stage(name) {
            if stage > site.stage {
                let stage = name.to_owned();
                return Err(error(LowerError::LaterStage { stage }));
            }
            return self.stage(stage).map(|state| From::Root(state.root));
        }
        // The target's, whatever the stage is for (moby/buildkit `dockerfile2llb/convert.go`: a stage of its own without a flag).
        let platform = self.target_platform();
        let context = self.named_context(name, &platform).cloned();
        let sources = &mut self.lowering.sources;
        let named = match context {
            Some(context) => sources.named(&context, &platform).map_err(error)?,
            None if name == "scratch" => Named::Nothing,
            None => Named::Image(sources.image(name, &platform).map_err(error)?),
        };
        let step = self.source_step(site, format!("FROM {name}"));
        Ok(match named {
            Named::Image(image) => From::Root(self.lowering.base(Some(&image), step)?),
            Named::Nothing => From::Root(self.lowering.base(None, step)?),
            Named::Files(scan) => From::Scan(scan),
            Named::Tree(op) => From::Root(self.lowering.tree(&op, step)),
        })
    }

    fn context_files(&mut self, site: &Site<'_>) -> Result<From, BuildError> {
        let target = self.target;
        match &target.context {
            ContextSource::Directory(directory) => {
                let scan = self
                    .lowering
                    .sources
                    .scan(directory, target.ignore.as_ref());
                scan.map(From::Scan)
                    .map_err(|error| instruction_error(site.place.clone(), error))
            }
            ContextSource::Fetched(fetched) => {
                let step = self.source_step(site, format!("fetch {}", fetched.name()));
                Ok(From::Root(self.lowering.tree(&fetched.0, step)))
            }
            ContextSource::Empty => {
                let step = self.source_step(site, "FROM scratch".to_owned());
                Ok(From::Root(self.lowering.base(None, step)?))
            }
        }
    }

    /// A URL or a repository. Only `ADD` takes them.
    pub(super) fn remote_source(
        &mut self,
        site: &Site<'_>,
        add: Option<&Add>,
        address: &str,
        others: &mut Vec<VertexId>,
    ) -> Result<CopySource, BuildError> {
        let error = |error| instruction_error(site.place.clone(), error);
        let Some(add) = add else {
            return Err(error(LowerError::RemoteCopy {
                address: crate::remote::shown(address),
            }));
        };
        let reference =
            GitReference::parse(address).map_err(|wrong| error(RemoteError::from(wrong).into()))?;
        let Some(reference) = reference else {
            return self.url(add, address).map_err(error);
        };
        let op = self.repository(add, reference).map_err(error)?;
        let step = self.source_step(site, format!("fetch {}", op.name()));
        others.push(self.lowering.tree(&op, step));
        let everything = Pattern {
            text: "/".to_owned(),
            parents: false,
        };
        Ok(CopySource::Input {
            number: others.len(),
            patterns: vec![everything],
            place: format!("`{}`", op.name()),
        })
    }

    fn url(&mut self, add: &Add, address: &str) -> Result<CopySource, LowerError> {
        let checksum = add.checksum.as_ref().map(|checksum| {
            checksum.text.parse().map_err(|_| RemoteError::BadChecksum {
                checksum: checksum.text.clone(),
                expected: "a digest of the form sha256:<64 hex digits>",
            })
        });
        // With its digest known, it need not be here unless the step runs.
        let digest: Digest = match checksum.transpose()? {
            Some(digest) => digest,
            None => self.lowering.sources.download(address)?,
        };
        Ok(CopySource::Url {
            name: file_name(address),
            address: address.to_owned(),
            digest,
            unpack: add.unpack.unwrap_or(false),
        })
    }

    fn repository(
        &mut self,
        add: &Add,
        mut reference: GitReference,
    ) -> Result<FetchOp, LowerError> {
        let contradiction = |flag| Err(LowerError::Contradiction { flag });
        match (reference.keep_git_dir, add.keep_git_dir) {
            (Some(there), Some(here)) if there != here => return contradiction("--keep-git-dir"),
            _ => {}
        }
        let keep = reference.keep_git_dir.or(add.keep_git_dir).unwrap_or(false);
        let checksum = add.checksum.as_ref().map(|checksum| checksum.text.clone());
        match (&reference.checksum, &checksum) {
            (Some(there), Some(here)) if there != here => return contradiction("--checksum"),
            (None, Some(_)) => reference.checksum = checksum,
            _ => {}
        }
        self.lowering.sources.commit(&reference, keep)
    }
}

/// Whether a source is a URL or a repository.
pub(super) fn is_remote(source: &str) -> bool {
    let is_repository = || !matches!(GitReference::parse(source), Ok(None));
    source.starts_with("http://") || source.starts_with("https://") || is_repository()
}

/// `name::linux/arm64`
fn split_platform(name: &str) -> (&str, Option<Platform>) {
    let parts = name.rsplit_once("::");
    match parts.and_then(|(name, platform)| Some((name, platform.parse().ok()?))) {
        Some((name, platform)) => (name, Some(platform)),
        None => (name, None),
    }
}

/// The name of a context as BuildKit compares it: an image's short name, without `:latest`.
fn normal(name: &str) -> String {
    let familiar = name
        .parse::<howdah_image::Reference>()
        .map_or_else(|_| name.to_owned(), |reference| reference.familiar());
    match familiar.strip_suffix(":latest") {
        Some(short) => short.to_owned(),
        None => familiar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_stands_for_an_image_however_it_is_written() {
        for name in ["alpine", "alpine:latest", "docker.io/library/alpine"] {
            assert_eq!(normal(name), "alpine");
        }
        assert_eq!(normal("alpine:3"), "alpine:3");
        assert_eq!(normal("Not A Reference"), "Not A Reference");
    }
}
