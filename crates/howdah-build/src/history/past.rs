//! The builds of a store, and each step against its last run.

use std::collections::HashMap;
use std::rc::Rc;

use howdah_image::{Store, StoreError};
use howdah_solver::Key;

use super::HistoryError;
use super::archive::Archive;
use super::cause::Cause;
use super::rows::{self, BuildRow};
use super::same::{in_its_place, ran, same_step, text};
use super::why::{Answer, Question, StepCost, belongs};

/// The builds of a store, steps loaded when they are asked for.
#[derive(Debug)]
pub(super) struct Past<'a> {
    archive: Archive<'a>,
    /// Newest first, without steps.
    builds: Vec<BuildRow>,
    loaded: HashMap<i64, Rc<BuildRow>>,
}

impl<'a> Past<'a> {
    /// `planned`: what the keys of a build are made of that was not run.
    pub(super) fn new(
        store: &'a Store,
        planned: HashMap<Key, super::Description>,
    ) -> Result<Past<'a>, StoreError> {
        Ok(Past {
            archive: Archive { store, planned },
            builds: rows::builds(store)?,
            loaded: HashMap::new(),
        })
    }

    pub(super) fn find(&self, id: i64) -> Result<&BuildRow, HistoryError> {
        let build = self.builds.iter().find(|build| build.id == id);
        build.ok_or(HistoryError::UnknownBuild(id))
    }

    pub(super) fn chosen(&self, question: &Question<'_>) -> Result<i64, HistoryError> {
        if let Some(id) = question.build {
            return self.find(id).map(|build| build.id);
        }
        let of_directory = question
            .directory
            .and_then(|directory| self.builds.iter().find(|build| belongs(build, directory)));
        let build = of_directory.or(self.builds.first());
        build.map(|build| build.id).ok_or(HistoryError::NoBuild)
    }

    /// A build with its steps; one that is not there has none.
    pub(super) fn build(&mut self, id: i64) -> Result<Rc<BuildRow>, StoreError> {
        if let Some(build) = self.loaded.get(&id) {
            return Ok(Rc::clone(build));
        }
        let mut build = self
            .builds
            .iter()
            .find(|build| build.id == id)
            .cloned()
            .unwrap_or(BuildRow {
                id,
                started: 0,
                seconds: 0.0,
                targets: String::new(),
                directories: String::new(),
                outcome: String::new(),
                steps: Vec::new(),
            });
        build.steps = rows::steps(self.archive.store, id)?;
        let build = Rc::new(build);
        self.loaded.insert(id, Rc::clone(&build));
        Ok(build)
    }

    /// Why a step ran, and what it cost.
    pub(super) fn answer(
        &mut self,
        build: &BuildRow,
        index: usize,
        since: Option<i64>,
    ) -> Result<Answer, StoreError> {
        let step = &build.steps[index];
        let (compared_with, causes) = if ran(step) {
            self.causes(build, index, since)?
        } else {
            (None, Vec::new())
        };
        Ok(Answer {
            number: index + 1,
            name: step.name.clone(),
            file: step.file.clone(),
            line: step.line,
            outcome: step.outcome,
            compared_with,
            causes,
            cost: StepCost {
                seconds: step.seconds,
                cpu_seconds: step.cpu_seconds,
                peak_memory: step.peak_memory,
                bytes: step.bytes,
            },
        })
    }

    fn causes(
        &mut self,
        build: &BuildRow,
        index: usize,
        since: Option<i64>,
    ) -> Result<(Option<i64>, Vec<Cause>), StoreError> {
        let step = &build.steps[index];
        let mut causes = Vec::new();
        if step.reason == rows::CACHE_NOT_ASKED {
            causes.push(Cause::NoCache);
        }
        let Some((old_build, old_index)) = self.last_run(build, index, since)? else {
            if causes.is_empty() {
                let failed =
                    rows::last_with(self.archive.store, &step.identity, build.id, "failed")?;
                causes.push(failed.map_or(Cause::FirstTime, |build| Cause::FailedBefore { build }));
            }
            return Ok((None, causes));
        };
        let old = &old_build.steps[old_index];
        if old.identity != step.identity && text(old) != text(step) {
            causes.push(Cause::Instruction {
                old: text(old).to_owned(),
                new: text(step).to_owned(),
            });
        }
        if old.key == step.key {
            if causes.is_empty() {
                let removed = rows::removed_at(self.archive.store, &step.key)?;
                causes.push(removed.map_or(Cause::Lost, |at| Cause::Removed { at }));
            }
        } else {
            self.archive
                .compare((&old_build, old), (build, step), &mut causes)?;
        }
        if causes.is_empty() {
            causes.push(Cause::Unknown);
        }
        Ok((Some(old_build.id), causes))
    }

    /// The step in the build to compare with.
    fn last_run(
        &mut self,
        build: &BuildRow,
        index: usize,
        since: Option<i64>,
    ) -> Result<Option<(Rc<BuildRow>, usize)>, StoreError> {
        let step = &build.steps[index];
        let last = match since {
            Some(since) => Some(since),
            None => rows::last_with(self.archive.store, &step.identity, build.id, "hit executed")?,
        };
        if let Some(last) = last {
            let old = self.build(last)?;
            if let Some(found) = same_step(&old, build, index) {
                return Ok(Some((old, found)));
            }
        }
        let before = self
            .builds
            .iter()
            .find(|known| known.id < build.id && known.directories == build.directories);
        let Some(id) = since.or(before.map(|known| known.id)) else {
            return Ok(None);
        };
        let old = self.build(id)?;
        Ok(in_its_place(&old, build, index).map(|found| (old, found)))
    }
}
