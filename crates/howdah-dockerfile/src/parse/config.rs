//! The arguments of the instructions that set the image's configuration.

use std::{ops::Range, time::Duration};

use super::{
    Faults,
    flags::{Flags, Kind},
    instruction, json,
    stage::description,
    statement::Statement,
};
use crate::{
    Arg, ArgValue, CommandLine, Expose, Fault, Healthcheck, Onbuild, Pair, Probe, Word,
    units::{nonzero, parse_duration},
};

/// `ENV` and `LABEL`: `name=value ...`, or the old `name value`.
pub(super) fn pairs(statement: &Statement) -> Result<Vec<Pair>, Faults> {
    Flags::read(statement, &[])?;
    let keyword = statement.keyword();
    let line = statement.line;
    let words = statement.quoted_words();
    let Some(first) = words.first() else {
        return Err(no_arguments(statement, &format!("{keyword} name=value")));
    };
    if !line.text[first.clone()].contains('=') {
        return old_pair(statement, &keyword).map(|pair| vec![pair]);
    }
    let mut pairs = Vec::with_capacity(words.len());
    let mut faults = Faults::new();
    for word in words {
        let Some(length) = line.text[word.clone()].find('=') else {
            let fault = Fault::error(
                line.span(word.clone()),
                format!("`{}` has no `=`", &line.text[word]),
            );
            faults.push(fault.with_help("put the value in quotes if it contains spaces"));
            continue;
        };
        let equals = word.start + length;
        if length == 0 {
            faults.push(Fault::error(line.span(word), "no name stands before `=`"));
            continue;
        }
        pairs.push(Pair {
            name: line.word(word.start..equals),
            value: line.word(equals + 1..word.end),
            equals: true,
        });
    }
    if faults.is_empty() {
        Ok(pairs)
    } else {
        Err(faults)
    }
}

/// Everything behind the name is the value, spaces included.
fn old_pair(statement: &Statement, keyword: &str) -> Result<Pair, Faults> {
    let words = statement.blank_words();
    let [name, value, ..] = words.as_slice() else {
        let name = statement.rest_text();
        let fault = Fault::error(statement.rest_span(), format!("`{name}` gets no value"));
        return Err(fault
            .with_help(format!("write `{keyword} {name}=value`"))
            .into());
    };
    Ok(Pair {
        name: statement.line.word(name.clone()),
        value: statement.line.word(value.start..statement.rest.end),
        equals: false,
    })
}

/// `ARG name[=default] ...`
pub(super) fn arg(statement: &Statement) -> Result<Arg, Faults> {
    Flags::read(statement, &[])?;
    let line = statement.line;
    let words = statement.quoted_words();
    if words.is_empty() {
        return Err(no_arguments(statement, "ARG name=default"));
    }
    let mut values = Vec::with_capacity(words.len());
    for word in words {
        let (name, default) = match line.text[word.clone()].find('=') {
            Some(0) => {
                return Err(Fault::error(line.span(word), "no name stands before `=`").into());
            }
            Some(length) => (
                word.start..word.start + length,
                Some(line.word(word.start + length + 1..word.end)),
            ),
            None => (word, None),
        };
        let name = line.word(name);
        let comment = description(&line.comments, &name.text);
        values.push(ArgValue {
            name,
            default,
            comment,
        });
    }
    Ok(Arg { values })
}

/// The instructions with exactly one argument, spaces included.
pub(super) fn single(statement: &Statement) -> Result<Word, Faults> {
    Flags::read(statement, &[])?;
    statement.single().ok_or_else(|| {
        let keyword = statement.keyword();
        let example = match keyword.as_str() {
            "WORKDIR" => "WORKDIR /app",
            "USER" => "USER www-data",
            "STOPSIGNAL" => "STOPSIGNAL SIGTERM",
            _ => "LABEL org.opencontainers.image.authors=\"name\"",
        };
        no_arguments(statement, example)
    })
}

/// `EXPOSE port ...`
pub(super) fn expose(statement: &Statement) -> Result<Expose, Faults> {
    Flags::read(statement, &[])?;
    let words = statement.blank_words().into_iter();
    let mut ports: Vec<Word> = words.map(|range| statement.line.word(range)).collect();
    // The order in which BuildKit's history tells them.
    ports.sort_by(|left, right| left.text.cmp(&right.text));
    if ports.is_empty() {
        return Err(no_arguments(statement, "EXPOSE 8080"));
    }
    let expose = Expose { ports };
    expose.check()?;
    Ok(expose)
}

/// `VOLUME path ...` or `VOLUME ["path", ...]`
pub(super) fn volume(statement: &Statement) -> Result<Vec<Word>, Faults> {
    Flags::read(statement, &[])?;
    let paths = arguments(statement)?;
    if paths.is_empty() {
        return Err(no_arguments(statement, "VOLUME /data"));
    }
    match paths.iter().find(|path| path.text.trim().is_empty()) {
        Some(blank) => Err(Fault::error(blank.span, "the path of a volume is empty").into()),
        None => Ok(paths
            .into_iter()
            .map(|path| Word {
                text: path.text.trim().to_owned(),
                span: path.span,
            })
            .collect()),
    }
}

/// Words from either a JSON array or a list separated by white space.
pub(super) fn arguments(statement: &Statement) -> Result<Vec<Word>, Fault> {
    let line = statement.line;
    Ok(match json::array(statement, statement.rest.clone())? {
        Some(array) => array
            .strings
            .into_iter()
            .zip(array.ranges)
            .map(|(text, range)| Word {
                text,
                span: line.span(range),
            })
            .collect(),
        None => statement
            .blank_words()
            .into_iter()
            .map(|range| line.word(range))
            .collect(),
    })
}

/// `SHELL ["program", ...]`
pub(super) fn shell(statement: &Statement) -> Result<Vec<String>, Faults> {
    Flags::read(statement, &[])?;
    match json::array(statement, statement.rest.clone())? {
        Some(array) if !array.strings.is_empty() => Ok(array.strings),
        _ => {
            let fault = Fault::error(
                statement.rest_span(),
                "`SHELL` needs a JSON array with a program",
            );
            Err(fault
                .with_help(r#"write `SHELL ["/bin/bash", "-c"]`"#)
                .into())
        }
    }
}

/// `HEALTHCHECK NONE` or `HEALTHCHECK [flags] CMD command`
pub(super) fn healthcheck(statement: &Statement) -> Result<Healthcheck, Faults> {
    let words = statement.blank_words();
    let example = "HEALTHCHECK CMD curl -f http://localhost/";
    let Some(kind) = words.first() else {
        return Err(no_arguments(statement, example));
    };
    let known = [
        "interval",
        "timeout",
        "start-period",
        "start-interval",
        "retries",
    ]
    .map(|name| (name, Kind::Value));
    let flags = Flags::read(statement, &known)?;
    let argument = words.get(1).map_or(statement.rest.end, |word| word.start)..statement.rest.end;
    match statement.line.text[kind.clone()]
        .to_ascii_uppercase()
        .as_str()
    {
        "NONE" if argument.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(Fault::error(
            statement.line.span(argument),
            "`HEALTHCHECK NONE` takes no arguments",
        )
        .into()),
        "CMD" if argument.is_empty() => Err(Fault::error(
            statement.rest_span(),
            "no command stands behind `HEALTHCHECK CMD`",
        )
        .with_help(format!("write `{example}`"))
        .into()),
        "CMD" => Ok(Healthcheck::Probe(Probe {
            command: probe_command(statement, argument)?,
            interval: duration(&flags, "interval")?,
            timeout: duration(&flags, "timeout")?,
            start_period: duration(&flags, "start-period")?,
            start_interval: duration(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })),
        other => {
            let fault = Fault::error(
                statement.line.span(kind.clone()),
                format!("`HEALTHCHECK {other}` does not exist"),
            );
            Err(fault
                .with_help("write `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`")
                .into())
        }
    }
}

fn probe_command(statement: &Statement, range: Range<usize>) -> Result<CommandLine, Fault> {
    match json::array(statement, range.clone())? {
        Some(array) if array.strings.is_empty() => Err(Fault::error(
            statement.line.span(range),
            "the command of the health check is empty",
        )),
        Some(array) => Ok(CommandLine::Exec(array.strings)),
        None => Ok(CommandLine::Shell(statement.line.text[range].to_owned())),
    }
}

fn duration(flags: &Flags, name: &str) -> Result<Option<Duration>, Fault> {
    let Some(word) = flags.nonempty(name) else {
        return Ok(None);
    };
    match parse_duration(&word.text) {
        // Docker's least time between two probes is a millisecond; zero means the default.
        Some(nanoseconds) if nanoseconds == 0 || nanoseconds >= 1_000_000 => {
            Ok(nonzero(nanoseconds))
        }
        Some(_) => Err(Fault::error(
            word.span,
            format!("`--{name}` cannot be less than 1ms"),
        )),
        None => Err(
            Fault::error(word.span, format!("`{}` is not a duration", word.text))
                .with_help("write it with a unit, such as `30s` or `1m30s`"),
        ),
    }
}

fn retries(flags: &Flags) -> Result<Option<u32>, Fault> {
    let Some(word) = flags.nonempty("retries") else {
        return Ok(None);
    };
    match word
        .text
        .parse::<i32>()
        .ok()
        .and_then(|count| u32::try_from(count).ok())
    {
        Some(count) => Ok(Some(count).filter(|&count| count > 0)),
        None => Err(Fault::error(
            word.span,
            format!("`{}` is not a number of retries", word.text),
        )),
    }
}

/// `ONBUILD instruction`
pub(super) fn onbuild(statement: &Statement, warnings: &mut Faults) -> Result<Onbuild, Faults> {
    Flags::read(statement, &[])?;
    if statement.rest.is_empty() {
        return Err(no_arguments(statement, "ONBUILD COPY . /app"));
    }
    let mut inner = Statement::split(statement.line, statement.rest.start, statement.escape);
    let keyword = inner.keyword();
    if ["ONBUILD", "FROM", "MAINTAINER"].contains(&keyword.as_str()) {
        return Err(Fault::error(
            inner.name_span(),
            format!("`{keyword}` cannot be an ONBUILD trigger"),
        )
        .into());
    }
    let mut expression = statement.rest_text().to_owned();
    for heredoc in &statement.heredocs {
        expression.push('\n');
        expression.push_str(&heredoc.content);
        expression.push_str(&heredoc.name);
    }
    inner.heredocs.clone_from(&statement.heredocs);
    // BuildKit looks at the instruction only when it is triggered, in another build; here it must not stop this one.
    if let Err(faults) = instruction::parse(&inner, warnings) {
        warnings.extend(faults.into_iter().map(|fault| Fault {
            severity: crate::Severity::Warning,
            ..fault
        }));
    }
    Ok(Onbuild { expression })
}

pub(super) fn no_arguments(statement: &Statement, example: &str) -> Faults {
    let fault = Fault::error(
        statement.rest_span(),
        format!("`{}` has no argument", statement.keyword()),
    );
    fault.with_help(format!("write `{example}`")).into()
}
