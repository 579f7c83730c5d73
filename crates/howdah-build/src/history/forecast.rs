//! What a build would do, in the words of the history.

use std::collections::HashMap;

use howdah_image::{Store, StoreError};
use howdah_solver::Prediction;

use super::Description;
use super::cause::Cause;
use super::past::Past;
use super::rows::{self, BuildRow, StepOutcome};

/// One step of a build that was not run.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Its number in the build, from 1.
    pub number: usize,
    /// `[web composer-build 2/6] RUN composer install`
    pub name: String,
    /// What would happen.
    pub prediction: Prediction,
    /// Why it would run; empty if it would not.
    pub causes: Vec<Cause>,
    /// How many seconds it took when it ran last.
    pub last_seconds: Option<f64>,
}

/// The steps of a planned build, without its images. `describe` says what the key of a step is made of.
pub(crate) fn forecast(
    store: &Store,
    mut build: BuildRow,
    predictions: &[Prediction],
    describe: &dyn Fn(usize) -> Description,
) -> Result<Vec<Forecast>, StoreError> {
    let mut planned = HashMap::new();
    for (index, (step, prediction)) in build.steps.iter_mut().zip(predictions).enumerate() {
        planned.insert(step.key, describe(index));
        step.outcome = match prediction {
            _ if step.outcome == StepOutcome::Base => StepOutcome::Base,
            Prediction::Hit(_) => StepOutcome::Hit,
            Prediction::Executes | Prediction::Depends => StepOutcome::Executed,
        };
    }
    let mut past = Past::new(store, planned)?;
    let steps = build.steps.iter().zip(predictions).enumerate();
    steps
        .filter(|(_, (step, _))| step.outcome != StepOutcome::Base)
        .map(|(index, (step, prediction))| {
            Ok(Forecast {
                number: index + 1,
                name: step.name.clone(),
                prediction: *prediction,
                causes: past.answer(&build, index, None)?.causes,
                last_seconds: rows::last_seconds(store, &step.identity)?,
            })
        })
        .collect()
}
