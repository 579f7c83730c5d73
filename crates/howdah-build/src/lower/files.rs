//! `COPY` and `ADD`.

use howdah_dockerfile::{Add, Copy, Files, Word};
use howdah_solver::VertexId;

use super::contexts::{From, is_remote};
use super::stage::{FileLowering, Site, StageState, in_workdir, instruction_error};
use super::wording;
use crate::context::Scan;
use crate::copy::{Chmod, CopyError, Pattern, select};
use crate::error::{BuildError, LowerError};
use crate::op::{CopyOp, CopySource, Op};
use crate::pattern::Excludes;

impl FileLowering<'_, '_> {
    pub(super) fn copy(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        copy: &Copy,
    ) -> Result<(), BuildError> {
        let from = copy.from.as_ref().map(|from| from.text.as_str());
        let mode = FilesMode {
            from,
            parents: copy.parents,
            unpack: false,
            add: None,
        };
        self.files(site, state, &copy.files, mode)
    }

    pub(super) fn add_files(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        add: &Add,
    ) -> Result<(), BuildError> {
        let remote = |word: &Word| is_remote(&word.text);
        if add.checksum.is_some() && !matches!(add.files.sources.as_slice(), [word] if remote(word))
        {
            return Err(instruction_error(site.place.clone(), LowerError::Checksum));
        }
        let mode = FilesMode {
            from: None,
            parents: false,
            unpack: add.unpack.unwrap_or(true),
            add: Some(add),
        };
        self.files(site, state, &add.files, mode)
    }

    fn files(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        files: &Files,
        mode: FilesMode<'_>,
    ) -> Result<(), BuildError> {
        let error = |error| instruction_error(site.place.clone(), error);
        let excludes: Vec<String> = files
            .excludes
            .iter()
            .map(|word| word.text.clone())
            .collect();
        let mut sources = Vec::new();
        let mut others = Vec::new();
        let alike = |left: &Word, right: &Word| !is_remote(&left.text) && !is_remote(&right.text);
        for words in files.sources.chunk_by(alike) {
            sources.push(match words {
                [word] if is_remote(&word.text) => {
                    self.remote_source(site, mode.add, &word.text, &mut others)?
                }
                words => self.local_source(site, mode, words, &excludes, &mut others)?,
            });
        }
        sources.extend(files.heredocs.iter().map(|heredoc| CopySource::Inline {
            name: heredoc.name.clone(),
            content: heredoc.content.clone(),
        }));
        // A variable that is not set gives an empty value, which is none.
        let text = |word: &Option<Word>| {
            let text = word.as_ref().map(|word| word.text.clone());
            text.filter(|text| !text.is_empty())
        };
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
            excludes,
            // BuildKit makes no layer of its own where a mode is asked for.
            link: files.link && chmod.is_none(),
            chmod,
            unpack: mode.unpack,
            step: self.identity(site),
        };
        let instruction = if mode.add.is_some() { "ADD" } else { "COPY" };
        let shown = wording::files(instruction, files, mode.parents);
        self.step_onto(site, state, Op::Copy(op), others, shown);
        Ok(())
    }

    /// Files of the context or of what `--from` names.
    fn local_source(
        &mut self,
        site: &Site<'_>,
        mode: FilesMode<'_>,
        words: &[Word],
        excludes: &[String],
        others: &mut Vec<VertexId>,
    ) -> Result<CopySource, BuildError> {
        let pattern = |word: &Word| Pattern {
            text: word.text.clone(),
            parents: mode.parents,
        };
        let patterns = words.iter().map(pattern).collect();
        let place = mode.from.map_or_else(
            || "the build context".to_owned(),
            |from| format!("`{from}`"),
        );
        match self.from(site, mode.from)? {
            From::Scan(scan) => from_scan(&scan, patterns, excludes, &place)
                .map_err(|error| instruction_error(site.place.clone(), error)),
            From::Root(root) => {
                others.push(root);
                // The vertex's first input is the root filesystem.
                Ok(CopySource::Input {
                    number: others.len(),
                    patterns,
                    place,
                })
            }
        }
    }
}

#[derive(Clone, Copy)]
struct FilesMode<'a> {
    from: Option<&'a str>,
    parents: bool,
    unpack: bool,
    /// The instruction, if it is `ADD`.
    add: Option<&'a Add>,
}

pub(super) fn from_scan(
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
