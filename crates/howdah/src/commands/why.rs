//! `howdah why`.

use std::process::ExitCode;

use howdah_build::{
    Answer, Cause, FileChange, FileDifference, LineChange, Question, StepOutcome, Why, why,
};
use howdah_image::Store;

use super::display::{human_duration, human_size, printable};
use super::{CommandError, Context};

/// Changed lines of a file that are shown; --json has more.
const LINES: usize = 5;

/// Say why the steps of the last build ran: what changed since each ran before, and what it cost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this step: its number in the progress, or a part of its text.
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// Another build than the last one of this directory.
    #[arg(long, value_name = "BUILD")]
    build: Option<i64>,
    /// Compare with this build instead of each step's last run.
    #[arg(long, value_name = "BUILD")]
    since: Option<i64>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let store = Store::open(context.root())?;
    let directory = std::env::current_dir().ok();
    let question = Question {
        directory: directory.as_deref(),
        build: args.build,
        since: args.since,
        step: args.step.as_deref(),
    };
    let answers = why(&store, &question).map_err(refused)?;
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&answers)?);
    } else {
        anstream::print!(
            "{}",
            told(&answers, jiff::Timestamp::now().as_millisecond())
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: howdah_build::HistoryError) -> CommandError {
    use howdah_build::HistoryError;
    let hint = match error {
        HistoryError::NoBuild => Some("`howdah build` makes one"),
        HistoryError::UnknownBuild(_) => Some("`howdah cache report` lists the builds"),
        HistoryError::UnknownStep { .. } => {
            Some("give a part of its instruction, or the number that the progress shows")
        }
        _ => None,
    };
    let error = CommandError::from(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// All of it as text. `now`: milliseconds since 1970.
fn told(why: &Why, now: i64) -> String {
    let build = &why.build;
    let age = u64::try_from((now - build.started) / 1000).unwrap_or_default();
    let ran = why
        .steps
        .iter()
        .filter(|step| step.outcome != StepOutcome::Hit)
        .count();
    let mut text = format!(
        "build {} of {}, {} ago, {} in {:.2} s: {ran} ran, {} cached\n",
        build.id,
        build.targets,
        human_duration(age).to_lowercase(),
        build.outcome,
        build.seconds,
        why.cached,
    );
    for step in &why.steps {
        text.push('\n');
        answer(step, now, &mut text);
    }
    text
}

fn answer(step: &Answer, now: i64, text: &mut String) {
    let mut line = |indent: usize, words: &str| {
        // Names and lines of files are not ours.
        text.extend([" ".repeat(indent).as_str(), &printable(words), "\n"]);
    };
    line(0, &format!("#{} {}", step.number, step.name));
    line(3, &format!("{}:{}", step.file, step.line));
    match step.outcome {
        StepOutcome::Hit => return line(3, "did not run: its result was in the cache"),
        StepOutcome::Unreached => return line(3, "did not run: the build ended before it"),
        StepOutcome::Base => return line(3, "is an image"),
        StepOutcome::Executed | StepOutcome::Failed => {}
    }
    for cause in &step.causes {
        told_cause(cause, now, &mut line);
    }
    if let Some(build) = step.compared_with {
        line(3, &format!("compared with build {build}"));
    }
    line(3, &cost(step));
}

fn cost(step: &Answer) -> String {
    let cost = &step.cost;
    let failed = if step.outcome == StepOutcome::Failed {
        "failed after"
    } else {
        "took"
    };
    let mut parts = vec![format!("{failed} {:.2} s", cost.seconds)];
    if cost.cpu_seconds > 0.0 {
        parts.push(format!("{:.2} s CPU", cost.cpu_seconds));
    }
    if cost.peak_memory > 0 {
        parts.push(format!("{} memory", human_size(cost.peak_memory)));
    }
    parts.push(format!("{} written", human_size(cost.bytes)));
    parts.join(", ")
}

/// Tells a cause in one line or several: `line` gets the indentation and the words.
pub(super) fn told_cause(cause: &Cause, now: i64, line: &mut dyn FnMut(usize, &str)) {
    match cause {
        Cause::Instruction { old, new } => {
            line(3, "the instruction changed:");
            line(5, &format!("- {old}"));
            line(5, &format!("+ {new}"));
        }
        Cause::Files { files, count } => {
            for file in files {
                told_file(file, line);
            }
            if *count > files.len() {
                line(3, &format!("and {} more files", count - files.len()));
            }
        }
        Cause::Text { name, lines } => {
            line(3, &format!("its {name} changed:"));
            told_lines(lines, lines.len(), line);
        }
        cause => line(3, &in_a_line(cause, now)),
    }
}

/// A cause without details of its own.
fn in_a_line(cause: &Cause, now: i64) -> String {
    let value = |value: &Option<String>| {
        let quoted = value.as_ref().map(|value| format!("`{value}`"));
        quoted.unwrap_or_else(|| "not set".to_owned())
    };
    match cause {
        Cause::FirstTime => "ran for the first time".to_owned(),
        Cause::FailedBefore { build } => {
            format!("ran again: it failed in build {build}, so there is no result yet")
        }
        Cause::NoCache => "ran because of --no-cache".to_owned(),
        Cause::Removed { at } => {
            let ago = human_duration(u64::try_from((now - at) / 1000).unwrap_or_default());
            let when = jiff::Timestamp::from_millisecond(*at).unwrap_or_default();
            let when = when.strftime("%Y-%m-%d %H:%M UTC");
            let ago = ago.to_lowercase();
            format!("nothing changed: its result was removed by a prune on {when}, {ago} ago")
        }
        Cause::Lost => "nothing changed: its result was not in the store any more".to_owned(),
        Cause::UnknownFiles => "files changed; which ones is not known any more".to_owned(),
        Cause::BuildArg { name, old, new } => {
            format!(
                "build argument {name} changed: {} -> {}",
                value(old),
                value(new)
            )
        }
        Cause::Environment { name, old, new } => {
            format!("variable {name} changed: {} -> {}", value(old), value(new))
        }
        Cause::Field { name, old, new } => {
            format!("{name} changed: `{}` -> `{}`", old.join(" "), new.join(" "))
        }
        Cause::Base { old, new } => format!("the base image changed: {old} -> {new}"),
        Cause::Parent {
            step,
            number,
            ran: true,
        } => {
            format!("because step #{number} ran with another result: {step}")
        }
        Cause::Parent {
            step,
            number,
            ran: false,
        } => {
            format!("because step #{number} has another result than then: {step}")
        }
        _ => "its key changed; in what is not known any more".to_owned(),
    }
}

fn told_file(file: &FileChange, line: &mut dyn FnMut(usize, &str)) {
    let what = match file.difference {
        FileDifference::Added => "is new",
        FileDifference::Removed => "is gone",
        FileDifference::Changed => "changed",
        FileDifference::Mode => "has other permissions",
        FileDifference::Type => "has another type",
    };
    match file.lines.first() {
        Some(first) => {
            line(3, &format!("{}:{} {what}:", file.path, first.line));
            told_lines(&file.lines, file.changed_lines, line);
        }
        None => line(3, &format!("{} {what}", file.path)),
    }
}

fn told_lines(lines: &[LineChange], count: usize, line: &mut dyn FnMut(usize, &str)) {
    for change in lines.iter().take(LINES) {
        for (sign, text) in [("-", &change.old), ("+", &change.new)] {
            if let Some(text) = text {
                line(5, &format!("{:>5} {sign} {text}", change.line));
            }
        }
    }
    if count > LINES {
        line(5, &format!("      and {} more lines", count - LINES));
    }
}
