//! `--dry-run` and `--timing`: looking at a build.

use std::time::Duration;

use howdah_build::{Builder, Forecast, Options, Phase, Prediction, Target};

use super::failure;
use crate::commands::CommandError;
use crate::commands::display::printable;
use crate::commands::why::told_cause;

/// How a build is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct InsightArgs {
    /// Say which steps would run, and why, and run none. Base images that are not here are pulled.
    #[arg(long, conflicts_with_all = ["outputs", "iidfile"])]
    pub(super) dry_run: bool,
    /// Say where the time went.
    #[arg(long)]
    pub(super) timing: bool,
}

/// Prints what a build would do.
pub(super) fn dry_run(
    builder: &Builder<'_>,
    targets: &[Target],
    options: &Options,
) -> Result<(), CommandError> {
    let forecast = builder
        .predict(targets, options)
        .map_err(|error| failure::report(error, targets))?;
    anstream::print!(
        "{}",
        told(&forecast, jiff::Timestamp::now().as_millisecond())
    );
    Ok(())
}

fn told(forecast: &[Forecast], now: i64) -> String {
    let mut text = String::new();
    for step in forecast {
        let mut line = |indent: usize, words: &str| {
            text.extend([" ".repeat(indent).as_str(), &printable(words), "\n"]);
        };
        line(0, &format!("#{} {}", step.number, step.name));
        let seconds = step
            .last_seconds
            .map(|seconds| format!(" (took {seconds:.2} s the last time)"));
        let seconds = seconds.unwrap_or_default();
        match step.prediction {
            Prediction::Hit(_) => line(3, "cached"),
            Prediction::Executes => line(3, &format!("would run{seconds}")),
            Prediction::Depends => {
                line(
                    3,
                    &format!("would run unless its input comes out the same{seconds}"),
                );
            }
        }
        for cause in &step.causes {
            told_cause(cause, now, &mut line);
        }
    }
    let count = |wanted: fn(&Prediction) -> bool| {
        forecast
            .iter()
            .filter(|step| wanted(&step.prediction))
            .count()
    };
    let cached = count(|prediction| matches!(prediction, Prediction::Hit(_)));
    let executes = count(|prediction| *prediction == Prediction::Executes);
    let depends = count(|prediction| *prediction == Prediction::Depends);
    text + &format!("{cached} steps cached, {executes} would run, {depends} may run\n")
}

/// Where the time of a command went: before the build, in its phases, and the steps that ran.
pub(super) fn timing(
    before: Duration,
    phases: &[(Phase, Duration)],
    steps: &[(String, Duration)],
) -> String {
    let mut text = format!("{:>9}  phase\n", "ms");
    let mut row = |name: &str, duration: Duration| {
        let line = format!("{:>9.2}  {name}\n", duration.as_secs_f64() * 1000.0);
        text.push_str(&line);
    };
    row("open the store, read the command line", before);
    for (phase, duration) in phases {
        row(phase_name(*phase), *duration);
        if *phase == Phase::Steps {
            for (name, duration) in steps {
                row(&format!("    {}", printable(name)), *duration);
            }
        }
    }
    row(
        "total",
        before
            + phases
                .iter()
                .map(|(_, duration)| *duration)
                .sum::<Duration>(),
    );
    text
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Database => "bring the database up to date",
        Phase::Parse => "parse Dockerfiles",
        Phase::Bases => "find base images",
        Phase::Contexts => "walk contexts, read what changed",
        Phase::Graph => "make the graph and its keys",
        Phase::Lookup => "ask the cache",
        Phase::Steps => "run steps",
        Phase::Images => "make images",
        Phase::History => "write the history",
        Phase::Rest => "the rest of the build",
    }
}

#[cfg(test)]
mod tests {
    use howdah_build::Cause;

    use super::*;

    #[test]
    fn a_forecast_in_words() {
        let step = |number, name: &str, prediction, causes, last_seconds| Forecast {
            number,
            name: name.to_owned(),
            prediction,
            causes,
            last_seconds,
        };
        let forecast = [
            step(
                2,
                "[a 2/3] COPY x y",
                Prediction::Executes,
                vec![Cause::FirstTime],
                None,
            ),
            step(
                3,
                "[a 3/3] RUN make",
                Prediction::Depends,
                Vec::new(),
                Some(1.5),
            ),
        ];
        assert_eq!(
            told(&forecast, 0),
            "#2 [a 2/3] COPY x y\n   would run\n   ran for the first time\n#3 [a 3/3] RUN make\n   \
             would run unless its input comes out the same (took 1.50 s the last time)\n\
             0 steps cached, 1 would run, 1 may run\n"
        );
    }

    #[test]
    fn times_add_up() {
        let milliseconds = Duration::from_millis;
        let phases = [
            (Phase::Graph, milliseconds(2)),
            (Phase::Steps, milliseconds(40)),
        ];
        let text = timing(
            milliseconds(1),
            &phases,
            &[("RUN make".to_owned(), milliseconds(39))],
        );
        assert!(
            text.ends_with("    40.00  run steps\n    39.00      RUN make\n    43.00  total\n"),
            "{text}"
        );
    }
}
