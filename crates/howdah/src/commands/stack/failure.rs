//! A stack that did not come up: what failed, how it ended, and what it said last.

use howdah_compose::{Container, HealthStatus, Phase, StackPaths, last_words, tail};

use super::super::CommandError;

/// How many of the last lines are shown.
const LINES: usize = 20;

/// Prints the last lines of what failed, and gives the error.
pub(crate) fn tell(
    message: String,
    hint: Option<String>,
    containers: &[Container],
    paths: &StackPaths,
) -> CommandError {
    for container in containers.iter().filter(|container| has_failed(container)) {
        let lines = tail(&paths.log(&container.id), LINES).unwrap_or_default();
        if lines.is_empty() {
            continue;
        }
        anstream::eprintln!("the last output of {}:", container.name);
        for line in lines {
            anstream::eprintln!("  \u{1b}[2m|\u{1b}[0m {}", line.log.trim_end());
        }
    }
    let error = CommandError::new(message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn has_failed(container: &Container) -> bool {
    match &container.phase {
        Phase::Exited(ended) | Phase::Backoff { exit: ended, .. } => ended.code != 0,
        Phase::Failed { .. } => true,
        Phase::Running { .. } => container.health() == Some(HealthStatus::Unhealthy),
        _ => false,
    }
}

/// The keeper ended in the middle of a request.
pub(crate) fn keeper_lost(paths: &StackPaths) -> CommandError {
    let words = last_words(paths).map_or(String::new(), |words| format!(": {words}"));
    let message = format!(
        "the keeper of stack `{}` ended before it was done{words}",
        paths.project()
    );
    CommandError::new(message)
        .hint("run the command again: another keeper goes on from what is written down")
}
