//! `COPY` and `ADD`.

use std::sync::Arc;

use howdah_dockerfile::{Add, Copy, Files};
use howdah_solver::VertexId;

use super::stage::{FileLowering, Site, StageState, in_workdir, instruction_error};
use super::wording;
use crate::context::Scan;
use crate::copy::{Chmod, CopyError, Pattern, select};
use crate::error::{BuildError, LowerError};
use crate::op::{CopyOp, CopySource, Op};
use crate::pattern::Excludes;
use crate::request::NamedContext;

/// What a name in `--from` or `from=` leads to.
pub(super) enum From {
    /// Files of the host, known already.
    Scan(Arc<Scan>),
    /// The root filesystem of a stage or an image.
    Root(VertexId),
}

impl FileLowering<'_, '_> {
    pub(super) fn copy(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        copy: &Copy,
    ) -> Result<(), BuildError> {
        let from = copy.from.as_ref().map(|from| from.text.as_str());
        self.files(
            site,
            state,
            &copy.files,
            FilesMode {
                instruction: "COPY",
                from,
                parents: copy.parents,
                unpack: false,
            },
        )
    }

    pub(super) fn add_files(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        add: &Add,
    ) -> Result<(), BuildError> {
        let remote = add
            .files
            .sources
            .iter()
            .find(|source| is_remote(&source.text));
        if let Some(remote) = remote {
            let what = format!("ADD of the remote source `{}`", remote.text);
            return Err(instruction_error(
                site.place.clone(),
                LowerError::Unsupported(what),
            ));
        }
        let unpack = add.unpack.unwrap_or(true);
        self.files(
            site,
            state,
            &add.files,
            FilesMode {
                instruction: "ADD",
                from: None,
                parents: false,
                unpack,
            },
        )
    }

    fn files(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        files: &Files,
        mode: FilesMode<'_>,
    ) -> Result<(), BuildError> {
        let error = |error| instruction_error(site.place.clone(), error);
        let patterns: Vec<Pattern> = files
            .sources
            .iter()
            .map(|word| Pattern {
                text: word.text.clone(),
                parents: mode.parents,
            })
            .collect();
        let excludes: Vec<String> = files
            .excludes
            .iter()
            .map(|word| word.text.clone())
            .collect();
        let mut sources = Vec::new();
        let mut others = Vec::new();
        if !patterns.is_empty() {
            let place = mode.from.map_or_else(
                || "the build context".to_owned(),
                |from| format!("`{from}`"),
            );
            match self.from(site, mode.from)? {
                From::Scan(scan) => {
                    sources.push(from_scan(&scan, patterns, &excludes, &place).map_err(error)?);
                }
                From::Root(root) => {
                    others.push(root);
                    sources.push(CopySource::Input { patterns, place });
                }
            }
        }
        sources.extend(files.heredocs.iter().map(|heredoc| CopySource::Inline {
            name: heredoc.name.clone(),
            content: heredoc.content.clone(),
        }));
        let text =
            |word: &Option<howdah_dockerfile::Word>| word.as_ref().map(|word| word.text.clone());
        let chmod = text(&files.chmod);
        if let Some(chmod) = &chmod {
            Chmod::parse(chmod).map_err(|wrong| error(wrong.into()))?;
        }
        let destination = &files.destination.text;
        let op = CopyOp {
            sources,
            into_directory: destination.is_empty()
                || destination == "."
                || destination.ends_with('/'),
            destination: in_workdir(state, destination),
            chown: text(&files.chown),
            chmod,
            excludes,
            link: files.link,
            unpack: mode.unpack,
            step: self.identity(site),
        };
        let shown = wording::files(mode.instruction, files, mode.parents);
        self.step_onto(site, state, Op::Copy(op), others, shown);
        Ok(())
    }

    /// What `--from` means here; without it the build context.
    pub(super) fn from(&mut self, site: &Site<'_>, name: Option<&str>) -> Result<From, BuildError> {
        let error = |error| instruction_error(site.place.clone(), error);
        let target = self.target;
        let Some(name) = name else {
            let scan = self
                .lowering
                .sources
                .scan(&target.context, target.ignore.as_ref());
            return scan.map(From::Scan).map_err(error);
        };
        let image = match target.contexts.get(name) {
            Some(NamedContext::Directory(path)) => {
                return self
                    .lowering
                    .sources
                    .scan(path, None)
                    .map(From::Scan)
                    .map_err(error);
            }
            Some(NamedContext::Image(reference)) => reference.as_str(),
            None => match self.named_stage(name) {
                Some(stage) => return self.stage(stage).map(|state| From::Root(state.root)),
                None => name,
            },
        };
        let image = self.lowering.sources.image(image).map_err(error)?;
        let step = self.image_step(site, name);
        Ok(From::Root(self.lowering.base(Some(&image), step)?))
    }
}

#[derive(Clone, Copy)]
struct FilesMode<'a> {
    /// `COPY` or `ADD`
    instruction: &'static str,
    from: Option<&'a str>,
    parents: bool,
    unpack: bool,
}

fn from_scan(
    scan: &Scan,
    patterns: Vec<Pattern>,
    excludes: &[String],
    place: &str,
) -> Result<CopySource, LowerError> {
    let selection = select(scan, &patterns, &Excludes::new(excludes)?, place);
    let selection = selection.map_err(|error| match error {
        CopyError::NotFound {
            source_path, place, ..
        } => {
            let ignored = scan.ignores(source_path.as_bytes());
            CopyError::NotFound {
                source_path,
                place,
                ignored,
            }
        }
        error => error,
    })?;
    let digest = selection.digest(false);
    Ok(CopySource::Context {
        patterns,
        selection,
        digest,
    })
}

/// Whether `ADD` takes a source for a URL or a Git repository (moby/buildkit `frontend/dockerfile/dockerfile2llb`).
fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"]
        .iter()
        .any(|prefix| source.starts_with(prefix))
}
