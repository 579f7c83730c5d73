//! From the instruction's name to the rules for its arguments.

use super::{Faults, config, files, json, run, statement::Statement};
use crate::{Command, CommandLine, Fault, suggest::nearest};

/// All instructions that may stand in a stage, and `FROM`.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Types one instruction.
pub(super) fn parse(statement: &Statement, warnings: &mut Faults) -> Result<Command, Faults> {
    let keyword = statement.keyword();
    let command = match keyword.as_str() {
        "ADD" => Command::Add(files::add(statement)?),
        "ARG" => Command::Arg(config::arg(statement)?),
        "CMD" => Command::Cmd(command_line(statement, warnings)?),
        "COPY" => Command::Copy(files::copy(statement)?),
        "ENTRYPOINT" => Command::Entrypoint(command_line(statement, warnings)?),
        "ENV" => Command::Env(config::pairs(statement)?),
        "EXPOSE" => Command::Expose(config::expose(statement)?),
        "HEALTHCHECK" => Command::Healthcheck(config::healthcheck(statement)?),
        "LABEL" => Command::Label(config::pairs(statement)?),
        "MAINTAINER" => Command::Maintainer(config::single(statement)?),
        "ONBUILD" => Command::Onbuild(config::onbuild(statement, warnings)?),
        "RUN" => Command::Run(run::run(statement, warnings)?),
        "SHELL" => Command::Shell(config::shell(statement)?),
        "STOPSIGNAL" => Command::StopSignal(config::single(statement)?),
        "USER" => Command::User(config::single(statement)?),
        "VOLUME" => Command::Volume(config::volume(statement)?),
        "WORKDIR" => Command::Workdir(config::single(statement)?),
        _ => return Err(unknown(statement, &keyword).into()),
    };
    Ok(command)
}

fn unknown(statement: &Statement, keyword: &str) -> Fault {
    let written = &statement.line.text[statement.name.clone()];
    let fault = Fault::error(
        statement.name_span(),
        format!("unknown instruction `{written}`"),
    );
    match nearest(keyword, KEYWORDS) {
        Some(name) => fault.with_help(format!("write `{name}`")),
        None => fault.with_help("end the line above with a backslash if this one continues it"),
    }
}

/// `RUN`, `COPY` and `ADD` in shell form, also inside `ONBUILD`.
pub(super) fn may_have_heredocs(statement: &Statement) -> bool {
    match statement.keyword().as_str() {
        "ONBUILD" => {
            let inner = Statement::split(statement.line, statement.rest.start, statement.escape);
            inner.keyword() != "ONBUILD" && may_have_heredocs(&inner)
        }
        "RUN" | "COPY" | "ADD" => {
            matches!(json::array(statement, statement.rest.clone()), Ok(None))
        }
        _ => false,
    }
}

/// The arguments of `CMD` and `ENTRYPOINT`.
fn command_line(statement: &Statement, warnings: &mut Faults) -> Result<CommandLine, Faults> {
    super::flags::Flags::read(statement, &[])?;
    if let Some(array) = json::array(statement, statement.rest.clone())? {
        return Ok(CommandLine::Exec(array.strings));
    }
    warn_of_near_array(statement, warnings);
    Ok(CommandLine::Shell(statement.rest_text().to_owned()))
}

/// Warns when shell form was probably meant to be exec form.
pub(super) fn warn_of_near_array(statement: &Statement, warnings: &mut Faults) {
    if json::looks_like_array(statement.rest_text()) {
        let warning = Fault::warning(
            statement.rest_span(),
            "this is no JSON array, so a shell will run it as it stands",
        );
        warnings.push(warning.with_help("use double quotes, and commas only between the elements"));
    }
}

impl Command {
    /// The instruction's name in upper case.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Add(_) => "ADD",
            Command::Arg(_) => "ARG",
            Command::Cmd(_) => "CMD",
            Command::Copy(_) => "COPY",
            Command::Entrypoint(_) => "ENTRYPOINT",
            Command::Env(_) => "ENV",
            Command::Expose(_) => "EXPOSE",
            Command::Healthcheck(_) => "HEALTHCHECK",
            Command::Label(_) => "LABEL",
            Command::Maintainer(_) => "MAINTAINER",
            Command::Onbuild(_) => "ONBUILD",
            Command::Run(_) => "RUN",
            Command::Shell(_) => "SHELL",
            Command::StopSignal(_) => "STOPSIGNAL",
            Command::User(_) => "USER",
            Command::Volume(_) => "VOLUME",
            Command::Workdir(_) => "WORKDIR",
        }
    }
}
