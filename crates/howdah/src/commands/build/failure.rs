//! How a failed build is told.

use howdah_build::{BuildError, CopyError, LowerError, Place, RunError, StepError, Target};

use crate::commands::display::printable;
use crate::commands::{CommandError, transfer};

/// Exit code of a shell for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Prints what belongs to the failure (faults, the step's last output, the line) and makes the command's error.
pub(super) fn report(error: BuildError, targets: &[Target]) -> CommandError {
    match error {
        BuildError::Cancelled => CommandError::new("the build was stopped").code(INTERRUPTED),
        BuildError::Faults {
            ref name,
            ref text,
            ref faults,
        } => {
            for fault in faults {
                anstream::eprintln!("{}", fault.render(name, text));
            }
            CommandError::from(error)
        }
        BuildError::UnknownStage { ref stages, .. } => {
            let hint = match stages.as_slice() {
                [] => "its stages have no names; give them some with AS, or use their numbers"
                    .to_owned(),
                stages => format!("its stages are {}", stages.join(", ")),
            };
            CommandError::from(error).hint(hint)
        }
        BuildError::Step {
            place,
            name,
            source,
            output,
        } => {
            if !output.is_empty() {
                anstream::eprintln!("------\n > {name}:");
                for line in &output {
                    anstream::eprintln!("   {line}");
                }
                anstream::eprintln!("------");
            }
            show_lines(&place, targets);
            let hint = step_hint(&source);
            with_hint(CommandError::from(*source), hint)
        }
        BuildError::Instruction { place, source } => {
            show_lines(&place, targets);
            let hint = lower_hint(&source);
            with_hint(CommandError::from(*source), hint)
        }
        error => CommandError::from(error),
    }
}

/// The instruction's lines with their numbers, and one before and after.
fn show_lines(place: &Place, targets: &[Target]) {
    let dockerfile = targets
        .iter()
        .map(|target| &target.dockerfile)
        .find(|dockerfile| dockerfile.name == place.file);
    let Some(dockerfile) = dockerfile else { return };
    anstream::eprintln!("{}:{}", place.file, place.line);
    let lines: Vec<&str> = dockerfile.text.lines().collect();
    let first = place.line.saturating_sub(1);
    let continued = lines
        .iter()
        .skip(first)
        .take_while(|line| line.trim_end().ends_with('\\'))
        .count();
    let last = first + continued;
    for (index, line) in lines
        .iter()
        .enumerate()
        .take(last + 2)
        .skip(first.saturating_sub(1))
    {
        let mark = if (first..=last).contains(&index) {
            ">>>"
        } else {
            "   "
        };
        anstream::eprintln!("{:4} | {mark} {}", index + 1, printable(line));
    }
}

fn with_hint(error: CommandError, hint: Option<String>) -> CommandError {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn step_hint(error: &StepError) -> Option<String> {
    match error {
        StepError::Run(RunError::NoSecret { id }) => {
            Some(format!("give it with --secret id={id},src=FILE"))
        }
        StepError::Run(RunError::NoAgent) => {
            Some("start an agent and give --ssh default".to_owned())
        }
        StepError::Run(RunError::Exit { code: 127, .. }) => {
            Some("127: a command was not found".to_owned())
        }
        StepError::Run(RunError::Exit { code: 137, .. }) => {
            Some("137: it was killed, often because the memory was used up".to_owned())
        }
        StepError::Copy(error) => copy_hint(error),
        _ => None,
    }
}

fn lower_hint(error: &LowerError) -> Option<String> {
    match error {
        LowerError::Copy(error) => copy_hint(error),
        LowerError::Image { name, .. } if name.starts_with("debian:") => {
            Some(format!("without a registry: howdah image bootstrap {name}"))
        }
        LowerError::Image { source, .. } => source.downcast_ref().and_then(transfer::hint),
        _ => None,
    }
}

fn copy_hint(error: &CopyError) -> Option<String> {
    match error {
        CopyError::NotFound { ignored: true, .. } => Some(".dockerignore leaves it out".to_owned()),
        CopyError::NotFound { place, .. } if place == "the build context" => {
            Some("paths are relative to the build context, not to the Dockerfile".to_owned())
        }
        CopyError::UnknownOwner { .. } => Some("create the user first, or give numbers".to_owned()),
        _ => None,
    }
}
