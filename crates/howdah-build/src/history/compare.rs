//! What in the key of a step changed since another run of it: files and their lines, fields, the base image, the step below.

use howdah_image::StoreError;
use howdah_solver::Key;

use super::archive::Archive;
use super::cause::{Cause, compare_fields, contents};
use super::describe::KeptFields;
use super::files::{self, FileChange};
use super::lines::changed_lines;
use super::rows::{BuildRow, StepOutcome, StepRow};
use super::same::{ran, text};

/// More changed files of one step are only counted.
const MOST_FILES: usize = 20;

impl Archive<'_> {
    /// Adds to `causes` everything in which two runs of a step differ but the instruction.
    pub(super) fn compare(
        &self,
        (old_build, old): (&BuildRow, &StepRow),
        (build, step): (&BuildRow, &StepRow),
        causes: &mut Vec<Cause>,
    ) -> Result<(), StoreError> {
        let instruction_changed = causes
            .iter()
            .any(|cause| matches!(cause, Cause::Instruction { .. }));
        if let (Some(before), Some(after)) = (self.fields(&old.key)?, self.fields(&step.key)?) {
            causes.extend(self.changed_files((&old.key, &before), (&step.key, &after))?);
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
    fn changed_files(
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
                    .map_or(Ok(None), |digest| self.files(&digest)),
                None => Ok(Some(Vec::new())),
            };
            let (Some(before), Some(after)) = (listed(before)?, listed(after)?) else {
                known = false;
                continue;
            };
            for pair in files::differences(&before, &after) {
                count += 1;
                if changes.len() < MOST_FILES {
                    changes.extend(self.changed_file(old_key, key, pair)?);
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

    fn changed_file(
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
            && let Some(before) = self.text(old_key, old)?
            && let Some(after) = self.text(key, new)?
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
        let fields = self.fields(&base.key)?.unwrap_or_default();
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
}
