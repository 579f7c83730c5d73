//! Scripts that containers start with, and what they do each time.

use howdah_dockerfile::lint::commands::{base_name, calls, migrates, program};
use howdah_dockerfile::lint::rule::{MIGRATIONS_AT_START, SUPERVISOR_AS_ROOT};
use howdah_dockerfile::{Command, Files};

use super::files::read;
use super::{Place, Recipe, Saying};

/// The scripts of the context that ENTRYPOINT and CMD name.
pub(super) fn check(recipe: &Recipe, saying: &mut Saying) {
    let instructions = || {
        recipe
            .file
            .stages
            .iter()
            .flat_map(|stage| &stage.instructions)
    };
    let started: Vec<String> = instructions()
        .filter_map(|instruction| match &instruction.command {
            Command::Cmd(line) | Command::Entrypoint(line) => Some(line.calls()),
            _ => None,
        })
        .flatten()
        .flatten()
        .map(|word| base_name(&word).to_owned())
        .collect();
    for instruction in instructions() {
        let (Command::Copy(howdah_dockerfile::Copy {
            files, from: None, ..
        })
        | Command::Add(howdah_dockerfile::Add { files, .. })) = &instruction.command
        else {
            continue;
        };
        for source in started_sources(files, &started) {
            if let Some(script) = read(&recipe.context.join(source.trim_start_matches('/'))) {
                let place = Place::of_file(&script);
                if let Some(line) = migrating_line(&script.text) {
                    let message = "the start script of the container runs the migrations";
                    saying.say(&place, line, &MIGRATIONS_AT_START, message);
                }
            }
        }
    }
}

/// The sources that become, under their own or the destination's name, what is started.
fn started_sources<'files>(files: &'files Files, started: &[String]) -> Vec<&'files str> {
    let is_started = |path: &str| started.iter().any(|word| word == base_name(path));
    let renamed = files.sources.len() == 1 && is_started(&files.destination.text);
    let sources = files.sources.iter().map(|source| source.text.as_str());
    sources
        .filter(|source| renamed || is_started(source))
        .collect()
}

/// The line on which a script migrates before it goes on.
fn migrating_line(text: &str) -> Option<usize> {
    let serves = calls(text)
        .iter()
        .filter(|call| !matches!(program(call), "set" | "echo" | "fi" | "cd"))
        .count()
        > 1;
    let lines = text
        .lines()
        .position(|line| calls(line).iter().any(|call| migrates(call)));
    lines.filter(|_| serves).map(|index| index + 1)
}

/// `user=root` of supervisord's own section (<http://supervisord.org/configuration.html#supervisord-section-settings>).
pub(super) fn supervisor(text: &str, place: &Place, saying: &mut Saying) {
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            section = line;
        }
        let option = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()));
        if section == "[supervisord]" && matches!(option, Some(("user", "root" | "0"))) {
            let message = "supervisord is told to run as root";
            saying.say(place, index + 1, &SUPERVISOR_AS_ROOT, message);
        }
    }
}
