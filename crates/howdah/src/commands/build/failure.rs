//! How a failed build is told.

use howdah_build::{
    BuildError, CopyError, LowerError, Place, RemoteError, RunError, StepError, Target,
};

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
        StepError::Run(RunError::NoAgent { id }) => {
            Some(format!("start an agent and give --ssh {id}"))
        }
        StepError::Run(RunError::Exit { code: 127, .. }) => {
            Some("127: a command was not found".to_owned())
        }
        StepError::Run(RunError::Exit { code: 137, .. }) => {
            Some("137: it was killed, often because the memory was used up".to_owned())
        }
        StepError::Run(RunError::NoEmulator { .. }) => Some(
            "install one, for example: apt-get install qemu-user-static binfmt-support; or do the work in a stage FROM \
             --platform=$BUILDPLATFORM"
                .to_owned(),
        ),
        StepError::Copy(error) => copy_hint(error),
        StepError::Remote(error) => remote_hint(error),
        _ => None,
    }
}

fn lower_hint(error: &LowerError) -> Option<String> {
    match error {
        LowerError::Copy(error) => copy_hint(error),
        LowerError::Remote(error) => remote_hint(error),
        LowerError::RemoteCopy { .. } => Some("ADD takes URLs and Git repositories".to_owned()),
        LowerError::LaterStage { .. } => Some("move that stage up".to_owned()),
        LowerError::MountNumber { .. } => {
            Some("name the stage with `FROM … AS name`, and mount from=name".to_owned())
        }
        LowerError::NotAllowed(entitlement) => {
            Some(format!("allow it with --allow {}", entitlement.name()))
        }
        LowerError::Image { name, .. } if name.starts_with("debian:") => {
            Some(format!("without a registry: howdah image bootstrap {name}"))
        }
        LowerError::Image { source, .. } => source.downcast_ref().and_then(transfer::hint),
        _ => None,
    }
}

/// A failure to read a context before the build.
pub(super) fn step_error(error: StepError) -> CommandError {
    let hint = step_hint(&error);
    with_hint(CommandError::from(error), hint)
}

/// A failure to fetch something before the build.
pub(super) fn remote_error(error: RemoteError) -> CommandError {
    match error {
        RemoteError::Cancelled => CommandError::new("the build was stopped").code(INTERRUPTED),
        error => {
            let hint = remote_hint(&error);
            with_hint(CommandError::from(error), hint)
        }
    }
}

fn remote_hint(error: &RemoteError) -> Option<String> {
    match error {
        RemoteError::NoGit { .. } => {
            Some("install git, for example: apt-get install git".to_owned())
        }
        RemoteError::Git { said, .. }
            if said.contains("Authentication failed")
                || said.contains("could not read Username") =>
        {
            Some("give a token with --secret id=GIT_AUTH_TOKEN,env=VARIABLE".to_owned())
        }
        RemoteError::Git { said, .. } if said.contains("Permission denied (publickey") => {
            Some("start an agent that has the key, and give --ssh default".to_owned())
        }
        RemoteError::Checksum { .. } => {
            Some("if the new content is right, put its checksum into --checksum".to_owned())
        }
        RemoteError::Transfer { .. } => {
            Some("is the address right, and HTTPS_PROXY set if this machine needs one?".to_owned())
        }
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
