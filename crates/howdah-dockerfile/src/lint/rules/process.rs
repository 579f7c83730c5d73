//! What runs in the container: its user, its command, its health check.

use super::Lineage;
use crate::lint::commands::{Call, base_name, calls, migrates, program, side_effect};
use crate::lint::rule::{
    HEALTHCHECK_SIDE_EFFECTS, MIGRATIONS_AT_START, ROOT_BEFORE_COMMAND, SUPERVISOR_AS_ROOT,
};
use crate::lint::sink::Sink;
use crate::lint::walk::Step;
use crate::{Command, CommandLine, Files, Healthcheck};

/// All of them. Only stages that nothing is based on run as they end.
pub(super) fn check(lineage: &Lineage, sink: &mut Sink) {
    for step in lineage.steps() {
        if let Command::Healthcheck(Healthcheck::Probe(probe)) = &step.command {
            for effect in probe
                .command
                .calls()
                .iter()
                .filter_map(|call| side_effect(call))
            {
                let message = format!("the health check changes something: `{effect}`");
                sink.report(&step.site, &HEALTHCHECK_SIDE_EFFECTS, message);
            }
        }
    }
    if !lineage.is_leaf {
        return;
    }
    root_user(lineage, sink);
    for step in starting(lineage) {
        let (Command::Cmd(line) | Command::Entrypoint(line)) = &step.command else {
            continue;
        };
        supervisor(lineage, step, &line.calls(), sink);
        migrations(lineage, step, line, sink);
    }
}

/// The ENTRYPOINT and the CMD that count.
fn starting<'w>(lineage: &Lineage<'w>) -> Vec<&'w Step> {
    let last =
        |wanted: fn(&Command) -> bool| lineage.steps().rev().find(|step| wanted(&step.command));
    let entrypoint = last(|command| matches!(command, Command::Entrypoint(_)));
    let cmd = last(|command| matches!(command, Command::Cmd(_)));
    entrypoint.into_iter().chain(cmd).collect()
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), Some("" | "root" | "0"))
}

fn root_user(lineage: &Lineage, sink: &mut Sink) {
    let mut users = lineage.steps().filter_map(|step| match &step.command {
        Command::User(user) => Some((step, user)),
        _ => None,
    });
    if let Some((step, user)) = users.next_back().filter(|(_, user)| is_root(&user.text)) {
        let message = format!("the last user is `{}`", user.text);
        sink.report(&step.site, &ROOT_BEFORE_COMMAND, message);
    }
}

fn supervisor(lineage: &Lineage, step: &Step, calls: &[Call], sink: &mut Sink) {
    let supervises = |call: &Call| match program(call) {
        "supervisord" => true,
        "howdah" => call.get(1).is_some_and(|word| word == "supervise"),
        _ => false,
    };
    let root = lineage
        .stages
        .last()
        .is_some_and(|stage| is_root(&stage.end.user));
    if let Some(call) = calls.iter().find(|call| root && supervises(call)) {
        let message = format!("`{}` runs as root", program(call));
        sink.report(&step.site, &SUPERVISOR_AS_ROOT, message);
    }
}

/// A command that migrates and then goes on to serve; one that only migrates is a job. Scripts that the Dockerfile itself
/// holds are looked into.
fn migrations(lineage: &Lineage, step: &Step, line: &CommandLine, sink: &mut Sink) {
    let calls = line.calls();
    if calls.len() > 1 && calls.iter().any(|call| migrates(call)) {
        let message = "the command of the container runs the migrations";
        sink.report(&step.site, &MIGRATIONS_AT_START, message);
    }
    for (writer, files) in lineage.steps().filter_map(with_files) {
        let target = base_name(&files.destination.text);
        let starts = calls.iter().flatten().any(|word| base_name(word) == target);
        for heredoc in files.heredocs.iter().filter(|_| starts) {
            if is_migrating_script(&heredoc.content) {
                let message =
                    format!("`{target}` runs the migrations whenever the container starts");
                sink.report(&writer.site, &MIGRATIONS_AT_START, message);
            }
        }
    }
}

fn with_files(step: &Step) -> Option<(&Step, &Files)> {
    match &step.command {
        Command::Copy(copy) => Some((step, &copy.files)),
        _ => None,
    }
}

fn is_migrating_script(text: &str) -> bool {
    calls(text).iter().any(|call| migrates(call))
}
