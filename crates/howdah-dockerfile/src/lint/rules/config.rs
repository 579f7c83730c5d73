//! Instructions that set the image's configuration.

use std::collections::BTreeMap;

use crate::lint::rule::{
    JSON_ARGS_RECOMMENDED, LEGACY_KEY_VALUE_FORMAT, MULTIPLE_INSTRUCTIONS_DISALLOWED,
    SECRETS_USED_IN_ARG_OR_ENV, WORKDIR_RELATIVE_PATH,
};
use crate::lint::scope::Scope;
use crate::lint::secrets;
use crate::lint::sink::{Sink, Site};
use crate::{Command, CommandLine, Instruction, Lines, Pair};

/// The instructions of a stage of which only the last counts, and where they stand.
#[derive(Debug, Default)]
pub(in crate::lint) struct Once {
    seen: BTreeMap<&'static str, Lines>,
}

/// One instruction; `command` is its expansion.
pub(in crate::lint) fn check(
    instruction: &Instruction,
    command: &Command,
    (scope, once): (&Scope, &mut Once),
    sink: &mut Sink,
) {
    let site = Site::from(instruction);
    match command {
        Command::Cmd(line) | Command::Entrypoint(line) => {
            used_once(&site, command, once, sink);
            if matches!(line, CommandLine::Shell(_)) && !scope.has_shell {
                let message = format!("`{}` in shell form gets no signals", command.name());
                sink.report(&site, &JSON_ARGS_RECOMMENDED, message);
            }
        }
        Command::Healthcheck(_) => used_once(&site, command, once, sink),
        Command::Env(pairs) => {
            legacy_format(&site, "ENV", pairs, sink);
            for pair in pairs {
                secret(&site, "ENV", &pair.name.text, sink);
            }
        }
        Command::Label(pairs) => legacy_format(&site, "LABEL", pairs, sink),
        Command::Arg(arg) => {
            for value in &arg.values {
                secret(&site, "ARG", &value.name.text, sink);
            }
        }
        Command::Workdir(path) if !scope.workdir_set && !path.text.starts_with('/') => {
            let message = format!(
                "the first `WORKDIR` of the stage is relative: `{}`",
                path.text
            );
            sink.report(&site, &WORKDIR_RELATIVE_PATH, message);
        }
        _ => {}
    }
}

/// The earlier one is at fault: it has no effect.
fn used_once(site: &Site, command: &Command, once: &mut Once, sink: &mut Sink) {
    let name = command.name();
    if let Some(earlier) = once.seen.insert(name, site.lines) {
        let place = Site {
            lines: earlier,
            comments: site.comments.clone(),
        };
        let message = format!(
            "this `{name}` has no effect, line {} replaces it",
            site.lines.first
        );
        sink.report(&place, &MULTIPLE_INSTRUCTIONS_DISALLOWED, message);
    }
}

fn legacy_format(site: &Site, name: &str, pairs: &[Pair], sink: &mut Sink) {
    for pair in pairs.iter().filter(|pair| !pair.equals) {
        let message = format!(
            "`{name} {0} ...` should be `{name} {0}=...`",
            pair.name.text
        );
        sink.report(site, &LEGACY_KEY_VALUE_FORMAT, message);
    }
}

fn secret(site: &Site, instruction: &str, name: &str, sink: &mut Sink) {
    const HARMLESS: [&str; 3] = ["public", "file", "version"];
    if secrets::names_secret(name) && !secrets::has_word(name, &HARMLESS) {
        let message = format!("`{instruction} {name}` seems to hold a secret");
        sink.report(site, &SECRETS_USED_IN_ARG_OR_ENV, message);
    }
}
