//! What is asked of the history, and what it answers: which steps of a build ran, why, and what they cost.

use std::collections::HashMap;
use std::path::Path;

use howdah_image::{Store, StoreError};
use serde::Serialize;

use super::HistoryError;
use super::cause::Cause;
use super::past::Past;
use super::rows::{BuildRow, StepOutcome};
use super::same::ran;

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

/// Whether a build is of a directory: of a context that is it, is in it, or holds it.
pub(super) fn belongs(build: &BuildRow, directory: &Path) -> bool {
    let mut contexts = build.directories.lines().map(Path::new);
    contexts.any(|context| context.starts_with(directory) || directory.starts_with(context))
}

#[cfg(test)]
mod tests {
    use super::super::same::testing::build;
    use super::*;

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
