//! Why steps ran: each against its last run.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use howdah_image::{Store, StoreError};
use howdah_solver::Key;
use serde::Serialize;

use super::HistoryError;
use super::archive::Archive;
use super::cause::{Cause, compare_fields, contents};
use super::describe::KeptFields;
use super::files::{self, FileChange};
use super::lines::changed_lines;
use super::rows::{self, BuildRow, StepOutcome, StepRow};

/// More changed files of one step are only counted.
const MOST_FILES: usize = 20;

/// What is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// The last build of this directory, of a context above or below it.
    pub directory: Option<&'a Path>,
    /// This build instead.
    pub build: Option<i64>,
    /// Compare with this build instead of each step's last run.
    pub since: Option<i64>,
    /// Only this step: its number, or a part of its name.
    pub step: Option<&'a str>,
}

/// A build in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuildSummary {
    /// Its number.
    pub id: i64,
    /// Milliseconds since 1970.
    pub started: i64,
    /// How long it took.
    pub seconds: f64,
    /// The names of its targets.
    pub targets: String,
    /// `done`, `failed` or `cancelled`.
    pub outcome: String,
}

/// What a step cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepCost {
    /// How long it ran.
    pub seconds: f64,
    /// Processor time of its container.
    pub cpu_seconds: f64,
    /// The most memory its container had, in bytes.
    pub peak_memory: u64,
    /// Bytes written into its layer.
    pub bytes: u64,
}

/// One step, and why it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Its number in the build, from 1.
    pub number: usize,
    /// `[web composer-build 2/6] RUN composer install`
    pub name: String,
    /// The Dockerfile.
    pub file: String,
    /// The instruction's line in it.
    pub line: usize,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The build with the step's last run, if there is one.
    pub compared_with: Option<i64>,
    /// Why it ran; empty if it did not.
    pub causes: Vec<Cause>,
    /// What it cost.
    pub cost: StepCost,
}

/// Why the steps of a build ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// Which build.
    pub build: BuildSummary,
    /// The steps that ran; with [`Question::step`] the steps meant.
    pub steps: Vec<Answer>,
    /// How many steps need not run.
    pub cached: usize,
}

/// Answers from the history in `store`.
pub fn why(store: &Store, question: &Question<'_>) -> Result<Why, HistoryError> {
    crate::cache::migrate(store)?;
    let mut past = Past::new(store, HashMap::new())?;
    let id = past.chosen(question)?;
    if let Some(since) = question.since {
        past.find(since)?;
    }
    let build = past.build(id)?;
    let wanted: Vec<usize> = match question.step {
        Some(text) => {
            let meant = meant(&build, text);
            if meant.is_empty() {
                let step = text.to_owned();
                return Err(HistoryError::UnknownStep { build: id, step });
            }
            meant
        }
        None => (0..build.steps.len())
            .filter(|index| ran(&build.steps[*index]))
            .collect(),
    };
    let steps = wanted
        .into_iter()
        .map(|index| past.answer(&build, index, question.since))
        .collect::<Result<_, StoreError>>()?;
    let cached = build
        .steps
        .iter()
        .filter(|step| step.outcome == StepOutcome::Hit)
        .count();
    Ok(Why {
        build: summary(&build),
        steps,
        cached,
    })
}

fn ran(step: &StepRow) -> bool {
    matches!(step.outcome, StepOutcome::Executed | StepOutcome::Failed)
}

fn has_result(step: &StepRow) -> bool {
    matches!(step.outcome, StepOutcome::Hit | StepOutcome::Executed)
}

pub(super) fn summary(build: &BuildRow) -> BuildSummary {
    BuildSummary {
        id: build.id,
        started: build.started,
        seconds: build.seconds,
        targets: build.targets.clone(),
        outcome: build.outcome.clone(),
    }
}

/// The steps that a person means: by the number that progress shows, else by a part of the name.
fn meant(build: &BuildRow, text: &str) -> Vec<usize> {
    let steps = || {
        build
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.outcome != StepOutcome::Base)
    };
    if let Ok(number) = text.trim_start_matches('#').parse::<usize>() {
        return steps()
            .map(|(index, _)| index)
            .filter(|index| index + 1 == number)
            .collect();
    }
    let text = text.to_lowercase();
    steps()
        .filter(|(_, step)| step.name.to_lowercase().contains(&text))
        .map(|(index, _)| index)
        .collect()
}

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

    fn find(&self, id: i64) -> Result<&BuildRow, HistoryError> {
        let build = self.builds.iter().find(|build| build.id == id);
        build.ok_or(HistoryError::UnknownBuild(id))
    }

    fn chosen(&self, question: &Question<'_>) -> Result<i64, HistoryError> {
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
    fn build(&mut self, id: i64) -> Result<Rc<BuildRow>, StoreError> {
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
            self.compare(&old_build, old, build, step, &mut causes)?;
        }
        if causes.is_empty() {
            causes.push(Cause::Unknown);
        }
        Ok((Some(old_build.id), causes))
    }

    fn compare(
        &self,
        old_build: &BuildRow,
        old: &StepRow,
        build: &BuildRow,
        step: &StepRow,
        causes: &mut Vec<Cause>,
    ) -> Result<(), StoreError> {
        let instruction_changed = causes
            .iter()
            .any(|cause| matches!(cause, Cause::Instruction { .. }));
        if let (Some(before), Some(after)) = (
            self.archive.fields(&old.key)?,
            self.archive.fields(&step.key)?,
        ) {
            causes.extend(self.files((&old.key, &before), (&step.key, &after))?);
            // The changed instruction says it all, but for what it does not show.
            let shown = |cause: &Cause| !matches!(cause, Cause::Field { .. } | Cause::Text { .. });
            let fields = compare_fields(&before, &after).into_iter();
            causes.extend(fields.filter(|cause| !instruction_changed || shown(cause)));
        }
        for (place, input) in step.inputs.iter().enumerate() {
            let new_input = build.steps.get(*input);
            let old_input = old
                .inputs
                .get(place)
                .and_then(|input| old_build.steps.get(*input));
            let (Some(new_input), Some(old_input)) = (new_input, old_input) else {
                continue;
            };
            if new_input.key == old_input.key {
                continue;
            }
            causes.push(if new_input.outcome == StepOutcome::Base {
                Cause::Base {
                    old: self.image(old_input)?,
                    new: self.image(new_input)?,
                }
            } else {
                Cause::Parent {
                    step: new_input.name.clone(),
                    number: input + 1,
                    ran: ran(new_input),
                }
            });
        }
        Ok(())
    }

    /// The changed files of the contexts that a step took from.
    fn files(
        &self,
        (old_key, old): (&Key, &KeptFields),
        (key, new): (&Key, &KeptFields),
    ) -> Result<Option<Cause>, StoreError> {
        let (old_contents, new_contents) = (contents(old), contents(new));
        if old_contents == new_contents {
            return Ok(None);
        }
        let (mut changes, mut count, mut known) = (Vec::new(), 0, true);
        for place in 0..old_contents.len().max(new_contents.len()) {
            let (before, after) = (old_contents.get(place), new_contents.get(place));
            if before == after {
                continue;
            }
            let listed = |digest: Option<&&str>| match digest {
                Some(digest) => digest
                    .parse()
                    .ok()
                    .map_or(Ok(None), |digest| self.archive.files(&digest)),
                None => Ok(Some(Vec::new())),
            };
            let (Some(before), Some(after)) = (listed(before)?, listed(after)?) else {
                known = false;
                continue;
            };
            for pair in files::differences(&before, &after) {
                count += 1;
                if changes.len() < MOST_FILES {
                    changes.extend(self.change(old_key, key, pair)?);
                }
            }
        }
        Ok(Some(if known || count > 0 {
            Cause::Files {
                files: changes,
                count,
            }
        } else {
            Cause::UnknownFiles
        }))
    }

    fn change(
        &self,
        old_key: &Key,
        key: &Key,
        pair: files::Pair<'_>,
    ) -> Result<Option<FileChange>, StoreError> {
        let Some(mut change) = files::difference(pair) else {
            return Ok(None);
        };
        if let (Some(old), Some(new)) = pair
            && change.difference == files::FileDifference::Changed
            && let Some(before) = self.archive.text(old_key, old)?
            && let Some(after) = self.archive.text(key, new)?
        {
            (change.lines, change.changed_lines) = changed_lines(&before, &after);
        }
        Ok(Some(change))
    }

    /// `name@digest` of a base image.
    fn image(&self, base: &StepRow) -> Result<String, StoreError> {
        let name = text(base)
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .nth(1)
            .unwrap_or("image");
        let fields = self.archive.fields(&base.key)?.unwrap_or_default();
        let value = |wanted: &str| {
            fields
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.clone())
        };
        let digest = value("digest")
            .or_else(|| value("id"))
            .unwrap_or_else(|| format!("key {}", base.key));
        Ok(format!("{name}@{digest}"))
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

/// Whether a build is of a directory: of a context that is it, is in it, or holds it.
pub(super) fn belongs(build: &BuildRow, directory: &Path) -> bool {
    let mut contexts = build.directories.lines().map(Path::new);
    contexts.any(|context| context.starts_with(directory) || directory.starts_with(context))
}

/// The instruction, as progress shows it.
pub(super) fn text(step: &StepRow) -> &str {
    step.name
        .split_once("] ")
        .map_or(step.name.as_str(), |(_, text)| text)
}

/// The same step in another build. The same instruction may stand in a stage several times.
fn same_step(old: &BuildRow, new: &BuildRow, index: usize) -> Option<usize> {
    let identity = new.steps[index].identity;
    let number = new.steps[..index]
        .iter()
        .filter(|step| step.identity == identity)
        .count();
    let mut same = (0..old.steps.len()).filter(|other| old.steps[*other].identity == identity);
    same.nth(number)
        .filter(|found| has_result(&old.steps[*found]))
}

/// The step of another build that stood where this one stands, and is not in this build any more: its instruction was
/// changed into this one.
fn in_its_place(old: &BuildRow, new: &BuildRow, index: usize) -> Option<usize> {
    let stage = |build: &BuildRow| -> Vec<usize> {
        let same = |step: &StepRow| {
            step.stage == new.steps[index].stage && step.outcome != StepOutcome::Base
        };
        (0..build.steps.len())
            .filter(|other| same(&build.steps[*other]))
            .collect()
    };
    let (old_stage, new_stage) = (stage(old), stage(new));
    let has = |build: &BuildRow, places: &[usize], identity: &Key| {
        places
            .iter()
            .any(|place| build.steps[*place].identity == *identity)
    };
    let position = new_stage.iter().position(|place| *place == index)?;
    // Counted from the last step before it that both builds have.
    let anchor = new_stage[..position]
        .iter()
        .rposition(|place| has(old, &old_stage, &new.steps[*place].identity));
    let first = match anchor {
        Some(anchor) => {
            let identity = new.steps[new_stage[anchor]].identity;
            old_stage
                .iter()
                .position(|place| old.steps[*place].identity == identity)?
                + 1
        }
        None => 0,
    };
    let offset = position - anchor.map_or(0, |anchor| anchor + 1);
    let candidate = *old_stage.get(first + offset)?;
    let old_step = &old.steps[candidate];
    let keyword = |step: &StepRow| {
        text(step)
            .split_whitespace()
            .next()
            .map(str::to_ascii_uppercase)
    };
    let replaced = !has(new, &new_stage, &old_step.identity)
        && keyword(old_step) == keyword(&new.steps[index])
        && has_result(old_step);
    replaced.then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(id: i64, steps: &[&str]) -> BuildRow {
        let step = |text: &&str| StepRow {
            identity: Key::of(text.as_bytes()),
            name: format!("[stage-0 1/2] {text}"),
            stage: "stage-0".into(),
            file: "Dockerfile".into(),
            line: 1,
            key: Key::of(text.as_bytes()),
            inputs: Vec::new(),
            outcome: StepOutcome::Hit,
            reason: String::new(),
            seconds: 0.0,
            cpu_seconds: 0.0,
            peak_memory: 0,
            bytes: 0,
        };
        BuildRow {
            id,
            started: 0,
            seconds: 0.0,
            targets: String::new(),
            directories: "/home/me/shop".into(),
            outcome: "done".into(),
            steps: steps.iter().map(step).collect(),
        }
    }

    #[test]
    fn a_changed_instruction_is_known_by_its_place() {
        let old = build(1, &["RUN a", "RUN b", "COPY . .", "RUN c"]);
        let new = build(2, &["RUN a", "RUN b2", "COPY . .", "RUN c"]);
        assert_eq!(in_its_place(&old, &new, 1), Some(1));
        // Another kind of instruction, a new one, and one that is still there are no successors.
        assert_eq!(
            in_its_place(
                &old,
                &build(2, &["RUN a", "COPY b b", "COPY . .", "RUN c"]),
                1
            ),
            None
        );
        let grown = build(2, &["RUN a", "RUN new", "RUN b", "COPY . .", "RUN c"]);
        assert_eq!(in_its_place(&old, &grown, 1), None);
        let first = build(2, &["RUN a2", "RUN b", "COPY . .", "RUN c"]);
        assert_eq!(in_its_place(&old, &first, 0), Some(0));
    }

    #[test]
    fn the_second_of_two_equal_instructions_is_the_second() {
        let old = build(1, &["RUN a", "COPY x y", "RUN a"]);
        let new = build(2, &["RUN a", "RUN z", "COPY x y", "RUN a"]);
        assert_eq!(same_step(&old, &new, 0), Some(0));
        assert_eq!(same_step(&old, &new, 3), Some(2));
        assert_eq!(same_step(&old, &new, 1), None);
    }

    #[test]
    fn steps_are_meant_by_number_or_by_a_part_of_their_name() {
        let build = build(
            1,
            &[
                "RUN composer install",
                "COPY composer.lock ./",
                "RUN npm ci",
            ],
        );
        assert_eq!(meant(&build, "#2"), [1]);
        assert_eq!(meant(&build, "Composer"), [0, 1]);
        assert!(meant(&build, "9").is_empty() && meant(&build, "yarn").is_empty());
    }

    #[test]
    fn a_build_belongs_to_the_directories_around_its_contexts() {
        let build = build(1, &[]);
        for directory in ["/home/me/shop", "/home/me", "/home/me/shop/app"] {
            assert!(belongs(&build, Path::new(directory)), "{directory}");
        }
        assert!(!belongs(&build, Path::new("/home/me/shop2")));
    }
}
