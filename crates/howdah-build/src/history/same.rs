//! Which step of one build is which step of another.

use howdah_solver::Key;

use super::rows::{BuildRow, StepOutcome, StepRow};

/// Whether it was executed, with whatever result.
pub(super) fn ran(step: &StepRow) -> bool {
    matches!(step.outcome, StepOutcome::Executed | StepOutcome::Failed)
}

fn has_result(step: &StepRow) -> bool {
    matches!(step.outcome, StepOutcome::Hit | StepOutcome::Executed)
}

/// The instruction, as progress shows it.
pub(super) fn text(step: &StepRow) -> &str {
    step.name
        .split_once("] ")
        .map_or(step.name.as_str(), |(_, text)| text)
}

/// The same step in another build. The same instruction may stand in a stage several times.
pub(super) fn same_step(old: &BuildRow, new: &BuildRow, index: usize) -> Option<usize> {
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
pub(super) fn in_its_place(old: &BuildRow, new: &BuildRow, index: usize) -> Option<usize> {
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
pub(super) mod testing {
    use super::*;

    /// A build with these instructions, all found in the cache.
    pub(in super::super) fn build(id: i64, steps: &[&str]) -> BuildRow {
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
}

#[cfg(test)]
mod tests {
    use super::testing::build;
    use super::*;

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
}
