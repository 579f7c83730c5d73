//! How well the cache works: hit rates by steps, seconds and bytes, for everything, each stage, each step and each day.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use howdah_image::Store;
use howdah_solver::Key;
use serde::Serialize;

use super::HistoryError;
use super::rows::{self, BuildRow, StepOutcome, StepRow};
use super::same::text;
use super::why::{BuildSummary, belongs, summary};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Which builds are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Only those of this directory, of a context above or below it.
    pub directory: Option<&'a Path>,
    /// Only those begun at or after this moment, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only so many, the newest ones.
    pub last: Option<usize>,
}

/// What the cache saved, and what it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Steps that were found in the cache.
    pub cached_steps: u64,
    /// Steps that ran, failed ones included.
    pub executed_steps: u64,
    /// What the cached steps took when they ran.
    pub saved_seconds: f64,
    /// What the executed steps took.
    pub spent_seconds: f64,
    /// What the cached steps wrote when they ran.
    pub saved_bytes: u64,
    /// What the executed steps wrote.
    pub written_bytes: u64,
}

impl Tally {
    /// The part of the steps that was found, from 0 to 1; `None` without steps.
    pub fn step_rate(&self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown with two digits"
        )]
        let (cached, executed) = (self.cached_steps as f64, self.executed_steps as f64);
        rate(cached, executed)
    }

    /// The part of the time that was saved.
    pub fn second_rate(&self) -> Option<f64> {
        rate(self.saved_seconds, self.spent_seconds)
    }

    /// The part of the bytes that need not be written.
    pub fn byte_rate(&self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown with two digits"
        )]
        let (saved, written) = (self.saved_bytes as f64, self.written_bytes as f64);
        rate(saved, written)
    }

    fn add(&mut self, step: &StepRow, cost: (f64, u64)) {
        match step.outcome {
            StepOutcome::Hit => {
                self.cached_steps += 1;
                self.saved_seconds += cost.0;
                self.saved_bytes += cost.1;
            }
            StepOutcome::Executed | StepOutcome::Failed => {
                self.executed_steps += 1;
                self.spent_seconds += step.seconds;
                self.written_bytes += step.bytes;
            }
            StepOutcome::Unreached | StepOutcome::Base => {}
        }
    }
}

fn rate(saved: f64, spent: f64) -> Option<f64> {
    (saved + spent > 0.0).then(|| saved / (saved + spent))
}

/// A part of the builds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The stage, or the step as progress shows it without its number.
    pub name: String,
    /// What the cache did for it.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A day on which something was built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// How many builds.
    pub builds: u64,
    /// What the cache did for them.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A build with its tally.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountedBuild {
    /// Which build.
    #[serde(flatten)]
    pub summary: BuildSummary,
    /// What the cache did for it.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The whole report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// All builds together.
    pub total: Tally,
    /// By stage, in the order of the newest build; stages that it does not have come last.
    pub stages: Vec<Part>,
    /// By step, in the same order.
    pub steps: Vec<Part>,
    /// By day, oldest first; days without builds are not in it.
    pub days: Vec<Day>,
    /// The builds, newest first.
    pub builds: Vec<CountedBuild>,
}

/// Reads the history of `store` and counts.
pub fn report(store: &Store, selection: &Selection<'_>) -> Result<Report, HistoryError> {
    crate::cache::migrate(store)?;
    let mut builds = rows::builds(store)?;
    builds.retain(|build| {
        selection.since.is_none_or(|since| build.started >= since)
            && selection
                .directory
                .is_none_or(|directory| belongs(build, directory))
    });
    builds.truncate(selection.last.unwrap_or(usize::MAX));
    for build in &mut builds {
        build.steps = rows::steps(store, build.id)?;
    }
    let costs = rows::costs(store)?;
    Ok(count(&builds, &costs))
}

/// What executions cost by key and, for results that came from elsewhere, by step: seconds and bytes.
#[derive(Debug, Default)]
pub(super) struct Costs {
    pub(super) by_key: HashMap<Key, (f64, u64)>,
    pub(super) by_step: HashMap<Key, (f64, u64)>,
}

/// The report over `builds`, newest first.
fn count(builds: &[BuildRow], costs: &Costs) -> Report {
    let mut report = Report::default();
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    let mut stages = Parts::default();
    let mut steps = Parts::default();
    for build in builds {
        let mut tally = Tally::default();
        let number = build.started.div_euclid(DAY);
        let day = days.entry(number).or_insert(Day {
            day: number,
            builds: 0,
            tally: Tally::default(),
        });
        day.builds += 1;
        for step in build
            .steps
            .iter()
            .filter(|step| step.outcome != StepOutcome::Base)
        {
            let known = costs
                .by_key
                .get(&step.key)
                .or_else(|| costs.by_step.get(&step.identity));
            let cost = known.copied().unwrap_or_default();
            for tally in [
                &mut tally,
                &mut day.tally,
                &mut report.total,
                stages.tally(&step.stage),
                steps.tally(&format!("[{}] {}", step.stage, text(step))),
            ] {
                tally.add(step, cost);
            }
        }
        report.builds.push(CountedBuild {
            summary: summary(build),
            tally,
        });
    }
    report.stages = stages.0;
    report.steps = steps.0;
    report.days = days.into_values().collect();
    report
}

/// Parts by name, in the order in which they came.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn tally(&mut self, name: &str) -> &mut Tally {
        let place = self
            .0
            .iter()
            .position(|part| part.name == name)
            .unwrap_or_else(|| {
                self.0.push(Part {
                    name: name.to_owned(),
                    tally: Tally::default(),
                });
                self.0.len() - 1
            });
        &mut self.0[place].tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, key: &str, outcome: StepOutcome, seconds: f64) -> StepRow {
        StepRow {
            identity: Key::of(name.as_bytes()),
            name: format!(
                "[{}/2] {name}",
                if name.starts_with("COPY") {
                    "app 1"
                } else {
                    "deps 1"
                }
            ),
            stage: if name.starts_with("COPY") {
                "app"
            } else {
                "deps"
            }
            .into(),
            file: "Dockerfile".into(),
            line: 1,
            key: Key::of(key.as_bytes()),
            inputs: Vec::new(),
            outcome,
            reason: String::new(),
            seconds,
            cpu_seconds: 0.0,
            peak_memory: 0,
            bytes: if outcome == StepOutcome::Executed {
                100
            } else {
                0
            },
        }
    }

    fn build(id: i64, started: i64, steps: Vec<StepRow>) -> BuildRow {
        BuildRow {
            id,
            started,
            seconds: 1.0,
            targets: "shop".into(),
            directories: String::new(),
            outcome: "done".into(),
            steps,
        }
    }

    #[test]
    fn three_builds_on_two_days() {
        use StepOutcome::{Base, Executed, Failed, Hit, Unreached};
        let builds = [
            build(
                3,
                2 * DAY + 5,
                vec![
                    step("RUN a", "k1", Hit, 0.0),
                    step("COPY b", "k3", Failed, 1.0),
                    step("RUN c", "k4", Unreached, 0.0),
                ],
            ),
            build(
                2,
                2 * DAY,
                vec![
                    step("FROM x", "b", Base, 0.0),
                    step("RUN a", "k1", Hit, 0.0),
                    step("COPY b", "k3", Executed, 1.0),
                ],
            ),
            build(
                1,
                DAY + 1,
                vec![
                    step("RUN a", "k1", Executed, 8.0),
                    step("COPY b", "k2", Executed, 2.0),
                ],
            ),
        ];
        let costs = Costs {
            by_key: [(Key::of(b"k1"), (8.0, 100))].into(),
            by_step: HashMap::new(),
        };
        let report = count(&builds, &costs);
        let total = &report.total;
        assert_eq!((total.cached_steps, total.executed_steps), (2, 4));
        assert_eq!((total.saved_seconds, total.spent_seconds), (16.0, 12.0));
        assert_eq!((total.saved_bytes, total.written_bytes), (200, 300));
        assert_eq!(total.step_rate(), Some(2.0 / 6.0));
        assert_eq!(total.byte_rate(), Some(0.4));
        let days: Vec<(i64, u64, Option<f64>)> = report
            .days
            .iter()
            .map(|day| (day.day, day.builds, day.tally.step_rate()))
            .collect();
        assert_eq!(days, [(1, 1, Some(0.0)), (2, 2, Some(0.5))]);
        let stages: Vec<(&str, Option<f64>)> = report
            .stages
            .iter()
            .map(|part| (part.name.as_str(), part.tally.step_rate()))
            .collect();
        assert_eq!(stages, [("deps", Some(2.0 / 3.0)), ("app", Some(0.0))]);
        assert_eq!(report.steps[0].name, "[deps] RUN a");
        assert_eq!(
            report
                .builds
                .iter()
                .map(|build| build.summary.id)
                .collect::<Vec<_>>(),
            [3, 2, 1]
        );
    }

    #[test]
    fn nothing_gives_no_rate() {
        let report = count(&[], &Costs::default());
        assert_eq!(report, Report::default());
        assert_eq!(report.total.step_rate(), None);
        assert_eq!(report.total.second_rate(), None);
    }
}
