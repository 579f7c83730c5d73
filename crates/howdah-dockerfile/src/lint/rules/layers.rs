//! Files that a later layer stores again or replaces.

use super::{Lineage, copy::from_context};
use crate::lint::Subject;
use crate::lint::commands::{Call, operands, program};
use crate::lint::rule::{COPIED_FILES_CHANGED_IN_LATER_LAYER, LATE_COPY_OVERWRITES_BUILT_FILES};
use crate::lint::sink::Sink;
use crate::lint::walk::{Step, join};
use crate::{Command, Files};

/// `chown -R` and `chmod -R` of what COPY and ADD brought.
pub(super) fn changed_copies(lineage: &Lineage, sink: &mut Sink) {
    let mut copied: Vec<String> = Vec::new();
    for step in lineage.steps() {
        match &step.command {
            Command::Copy(copy) => copied.push(destination(step, &copy.files)),
            Command::Add(add) => copied.push(destination(step, &add.files)),
            Command::Run(run) => changed_by(&run.calls(), step, (lineage, &copied), sink),
            _ => {}
        }
    }
}

fn changed_by(
    calls: &[Call],
    step: &Step,
    (lineage, copied): (&Lineage, &[String]),
    sink: &mut Sink,
) {
    let new = made_here(step, calls);
    for call in calls {
        for path in recursive_change(call) {
            let path = lineage.path(path);
            let path = literal_part(&path);
            if path.is_empty() {
                continue;
            }
            let path = join(&step.workdir, path);
            let overlaps = |known: &&String| is_below(known, &path) || is_below(&path, known);
            if let Some(known) = copied
                .iter()
                .find(overlaps)
                .filter(|_| !new.contains(&path))
            {
                let name = program(call);
                let message =
                    format!("`{name}` of `{path}` stores again what was copied to `{known}`");
                sink.report(&step.site, &COPIED_FILES_CHANGED_IN_LATER_LAYER, message);
            }
        }
    }
}

fn destination(step: &Step, files: &Files) -> String {
    join(&step.workdir, &files.destination.text)
}

/// Directories that the same instruction makes.
fn made_here(step: &Step, calls: &[Call]) -> Vec<String> {
    let made = calls.iter().filter(|call| program(call) == "mkdir");
    made.flat_map(|call| operands(call))
        .map(|path| join(&step.workdir, path))
        .collect()
}

/// The paths that a call changes with all that is in them.
fn recursive_change(call: &Call) -> Vec<&str> {
    let recursive = |word: &String| {
        word == "--recursive"
            || (word.starts_with('-') && !word.starts_with("--") && word.contains('R'))
    };
    match program(call) {
        "chown" | "chmod" | "chgrp" if call.iter().any(recursive) => {
            operands(call).skip(1).collect()
        }
        "find"
            if call
                .iter()
                .any(|word| matches!(word.as_str(), "chown" | "chmod")) =>
        {
            operands(call).take(1).collect()
        }
        _ => Vec::new(),
    }
}

/// Where a variable or a wildcard begins, nothing is known.
fn literal_part(path: &str) -> &str {
    let end = path.find(['$', '*', '?', '[']).unwrap_or(path.len());
    &path[..end]
}

/// Whether `path` is `directory` or in it.
fn is_below(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A copy of the context over what came from another stage.
pub(super) fn overwritten(subject: &Subject, lineage: &Lineage, sink: &mut Sink) {
    let mut built: Vec<(String, &str)> = Vec::new();
    for step in lineage.steps() {
        if let Command::Copy(copy) = &step.command
            && let Some(from) = &copy.from
        {
            built.push((destination(step, &copy.files), &from.text));
            continue;
        }
        let Some(files) = from_context(&step.command) else {
            continue;
        };
        let into = destination(step, files);
        for source in &files.sources {
            let source = join("", &source.text);
            let hits = built.iter().filter(|(built, _)| {
                let inside = is_below(built, &into) && (source == "/" || *built != into);
                inside && !ignored(subject, &format!("{source}/{}", &built[into.len()..]))
            });
            for (built, from) in hits {
                let message =
                    format!("the context may overwrite `{built}`, which came from `{from}`");
                sink.report(&step.site, &LATE_COPY_OVERWRITES_BUILT_FILES, message);
            }
        }
    }
}

/// Whether .dockerignore keeps a path out, or the directories in it that hold what is built.
fn ignored(subject: &Subject, path: &str) -> bool {
    let Some(ignore) = subject.ignore else {
        return false;
    };
    let path = join("", path);
    let below = [
        "",
        "/build",
        "/dist",
        "/assets",
        "/js",
        "/css",
        "/hot",
        "/mix-manifest.json",
    ];
    let mut candidates = below.iter().map(|name| format!("{path}{name}"));
    candidates.any(|candidate| ignore.is_ignored(candidate.trim_matches('/')))
}
