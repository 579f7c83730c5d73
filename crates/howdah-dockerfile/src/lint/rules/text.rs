//! What the text itself shows: case, names, comments, empty lines.

use crate::lint::Subject;
use crate::lint::rule::{
    CONSISTENT_INSTRUCTION_CASING, DUPLICATE_STAGE_NAME, FROM_AS_CASING,
    INVALID_DEFINITION_DESCRIPTION, MAINTAINER_DEPRECATED, NO_EMPTY_CONTINUATION,
    RESERVED_STAGE_NAME, STAGE_NAME_CASING, SUSPECT_ARGUMENT,
};
use crate::lint::sink::{Sink, Site};
use crate::{Command, Instruction, Lines, Stage};

/// All of them.
pub(in crate::lint) fn check(subject: &Subject, sink: &mut Sink) {
    for &line in &subject.file.empty_continuations {
        let lines = Lines {
            first: line,
            last: line,
        };
        let message = "an empty line inside a continued instruction";
        sink.report(&lines.into(), &NO_EMPTY_CONTINUATION, message);
    }
    for warning in &subject.file.warnings {
        let help = warning
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("; {help}"));
        let site = warning.span.lines(subject.text).into();
        sink.report(
            &site,
            &SUSPECT_ARGUMENT,
            format!("{}{help}", warning.message),
        );
    }
    for stage in &subject.file.stages {
        stage_line(subject, stage, sink);
    }
    let all = subject
        .file
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    for instruction in subject.file.global_args.iter().chain(all) {
        maintainer(instruction, sink);
        arg_description(instruction, sink);
    }
    stage_names(&subject.file.stages, sink);
    instruction_casing(&subject.file.stages, sink);
}

fn is_lower(word: &str) -> bool {
    word.to_lowercase() == word
}

fn is_upper(word: &str) -> bool {
    word.to_uppercase() == word
}

fn keyword(original: &str) -> &str {
    original.split_whitespace().next().unwrap_or_default()
}

fn stage_line(subject: &Subject, stage: &Stage, sink: &mut Sink) {
    let Some(name) = &stage.name else { return };
    let site = Site::from(stage);
    let written = &subject.text[name.span.range()];
    if !is_lower(written) {
        let message = format!("the stage name `{written}` has upper-case letters");
        sink.report(&site, &STAGE_NAME_CASING, message);
    }
    let from = keyword(&stage.original);
    let connective = stage
        .original
        .split_whitespace()
        .rev()
        .nth(1)
        .unwrap_or_default();
    // FROM in mixed case is the business of another rule.
    let same = match (is_lower(from), is_upper(from)) {
        (true, _) => is_lower(connective),
        (_, true) => is_upper(connective),
        _ => true,
    };
    if !same {
        let message = format!("`{connective}` is not in the case of `{from}`");
        sink.report(&site, &FROM_AS_CASING, message);
    }
    description(&site, "FROM", &[&name.text], sink);
}

fn maintainer(instruction: &Instruction, sink: &mut Sink) {
    if let Command::Maintainer(_) = instruction.command {
        let message = "`MAINTAINER` is deprecated; a label tells the author";
        sink.report(&instruction.into(), &MAINTAINER_DEPRECATED, message);
    }
}

fn arg_description(instruction: &Instruction, sink: &mut Sink) {
    if let Command::Arg(arg) = &instruction.command {
        let names: Vec<&str> = arg
            .values
            .iter()
            .map(|value| value.name.text.as_str())
            .collect();
        description(&instruction.into(), "ARG", &names, sink);
    }
}

/// The comment right above must begin with (one of) the names.
fn description(site: &Site, instruction: &str, names: &[&str], sink: &mut Sink) {
    let Some(first) = site
        .comments
        .last()
        .and_then(|comment| comment.split(' ').next())
    else {
        return;
    };
    if names.contains(&first) {
        return;
    }
    let name = match names {
        [name] => name,
        _ => "<name>",
    };
    let message = format!("the comment above `{instruction}` does not begin with `{name}`");
    sink.report(site, &INVALID_DEFINITION_DESCRIPTION, message);
}

/// The settings of single instructions do not reach these two, in BuildKit neither.
fn stage_names(stages: &[Stage], sink: &mut Sink) {
    for (index, stage) in stages.iter().enumerate() {
        let Some(name) = stage.name.as_ref().map(|name| name.text.as_str()) else {
            continue;
        };
        let site = Site::from(stage.lines);
        if matches!(name, "scratch" | "context") {
            let message = format!("`{name}` cannot be reached as a stage");
            sink.report(&site, &RESERVED_STAGE_NAME, message);
        }
        let earlier = stages[..index].iter().find(|earlier| {
            let earlier = earlier.name.as_ref();
            earlier.is_some_and(|earlier| earlier.text == name)
        });
        if let Some(earlier) = earlier {
            let line = earlier.lines.first;
            let message = format!("the stage on line {line} is named `{name}` too");
            sink.report(&site, &DUPLICATE_STAGE_NAME, message);
        }
    }
}

fn instruction_casing(stages: &[Stage], sink: &mut Sink) {
    let words: Vec<(&str, Lines)> = stages
        .iter()
        .flat_map(|stage| {
            let from = (keyword(&stage.original), stage.lines);
            let others = stage.instructions.iter();
            let others = others.map(|other| (keyword(&other.original), other.lines));
            std::iter::once(from).chain(others)
        })
        .collect();
    let lower = words.iter().filter(|(word, _)| is_lower(word)).count();
    let upper = words.iter().filter(|(word, _)| is_upper(word)).count();
    for (word, lines) in words {
        let (right, name) = if lower > upper {
            (is_lower(word), "lower")
        } else {
            (is_upper(word), "upper")
        };
        if !right {
            let message = format!("`{word}` stands among instructions in {name} case");
            sink.report(&lines.into(), &CONSISTENT_INSTRUCTION_CASING, message);
        }
    }
}
