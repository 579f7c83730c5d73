//! `FROM`, and the order of things: global arguments, then stages.

use super::{
    Faults, Parsed,
    flags::{Flags, Kind},
    lines::{Line, Reader},
    statement::Statement,
};
use crate::{Command, Directives, Dockerfile, Fault, Instruction, Lines, Span, Stage, Word};

/// A `FROM` line.
pub(super) struct From {
    stage: Stage,
}

impl From {
    pub(super) fn parse(
        statement: &Statement,
        original: String,
        lines: Lines,
    ) -> Result<From, Faults> {
        let line = statement.line;
        let words = statement.blank_words();
        let text = |index: usize| &line.text[words[index].clone()];
        let mut faults = Faults::new();
        let platform = match Flags::read(statement, &[("platform", Kind::Value)]) {
            Ok(flags) => flags.nonempty("platform"),
            Err(mut wrong) => {
                faults.append(&mut wrong);
                None
            }
        };
        let name = match words.len() {
            1 => None,
            3 if text(1).eq_ignore_ascii_case("as") => {
                match stage_name(line.word(words[2].clone())) {
                    Ok(name) => Some(name),
                    Err(fault) => {
                        faults.push(fault);
                        None
                    }
                }
            }
            _ => {
                let fault = Fault::error(
                    statement.rest_span(),
                    "`FROM` needs an image, and nothing else or `AS` and a name",
                );
                faults.push(fault.with_help("write `FROM image` or `FROM image AS name`"));
                None
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let comment = name
            .as_ref()
            .and_then(|name| description(&line.comments, &name.text));
        let base = line.word(words[0].clone());
        let span = line.whole();
        Ok(From {
            stage: Stage {
                name,
                base,
                platform,
                comment,
                original,
                span,
                lines,
                instructions: Vec::new(),
            },
        })
    }
}

/// A stage's name: a letter, then letters, digits, `-`, `_`, `.`; upper and lower case are the same.
fn stage_name(mut word: Word) -> Result<Word, Fault> {
    word.text.make_ascii_lowercase();
    let plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-_.".contains(character)
    };
    if word
        .text
        .starts_with(|first: char| first.is_ascii_lowercase())
        && word.text.chars().all(plain)
    {
        return Ok(word);
    }
    let fault = Fault::error(
        word.span,
        format!("`{}` cannot be the name of a stage", word.text),
    );
    Err(fault.with_help(
        "a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`",
    ))
}

/// The text of the comment line that begins with `name`.
pub(super) fn description(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|comment| {
        comment
            .strip_prefix(name)?
            .strip_prefix(' ')
            .map(str::to_owned)
    })
}

/// Puts instruction after instruction in its place.
pub(super) struct Builder {
    dockerfile: Dockerfile,
    /// A `FROM` with a fault was seen: what follows is not homeless.
    broken_stage: bool,
}

impl Builder {
    pub(super) fn new(directives: Directives) -> Builder {
        let dockerfile = Dockerfile {
            directives,
            global_args: Vec::new(),
            stages: Vec::new(),
            warnings: Vec::new(),
        };
        Builder {
            dockerfile,
            broken_stage: false,
        }
    }

    /// Reads and places one line.
    pub(super) fn add(
        &mut self,
        line: &Line,
        reader: &mut Reader,
        text: &str,
    ) -> Result<(), Faults> {
        let escape = self.dockerfile.directives.escape;
        match Parsed::read(line, reader, text, escape, &mut self.dockerfile.warnings) {
            Ok(Parsed::From(from)) => self.open(from.stage),
            Ok(Parsed::Instruction(instruction)) => self.place(instruction)?,
            Err(faults) => {
                self.broken_stage |= Statement::split(line, 0, escape).keyword() == "FROM";
                return Err(faults);
            }
        }
        Ok(())
    }

    fn open(&mut self, stage: Stage) {
        if let Some(name) = &stage.name {
            let same = |other: &&Stage| {
                other
                    .name
                    .as_ref()
                    .is_some_and(|other| other.text == name.text)
            };
            if self.dockerfile.stages.iter().any(|other| same(&other)) {
                let warning = Fault::warning(
                    name.span,
                    format!("two stages have the name `{}`", name.text),
                );
                self.dockerfile.warnings.push(
                    warning.with_help("later instructions mean this one; rename one of them"),
                );
            }
        }
        self.dockerfile.stages.push(stage);
    }

    fn place(&mut self, instruction: Instruction) -> Result<(), Faults> {
        let Some(stage) = self.dockerfile.stages.last_mut() else {
            match instruction.command {
                Command::Arg(_) => self.dockerfile.global_args.push(instruction),
                _ if self.broken_stage => {}
                _ => {
                    let fault = Fault::error(
                        instruction.span,
                        format!(
                            "`{}` stands before the first `FROM`",
                            instruction.command.name()
                        ),
                    );
                    return Err(fault
                        .with_help("only `ARG` may stand there; begin a stage with `FROM image`")
                        .into());
                }
            }
            return Ok(());
        };
        if matches!(
            instruction.command,
            Command::Cmd(_) | Command::Entrypoint(_) | Command::Healthcheck(_)
        ) {
            let name = instruction.command.name();
            if let Some(earlier) = stage
                .instructions
                .iter()
                .find(|earlier| earlier.command.name() == name)
            {
                let warning =
                    Fault::warning(instruction.span, format!("the second `{name}` of a stage"));
                self.dockerfile.warnings.push(warning.with_help(format!(
                    "the one on line {} has no effect; remove it",
                    earlier.lines.first
                )));
            }
        }
        stage.instructions.push(instruction);
        Ok(())
    }

    pub(super) fn finish(self, text: &str) -> Result<Dockerfile, Fault> {
        if !self.dockerfile.stages.is_empty() || self.broken_stage {
            return Ok(self.dockerfile);
        }
        let span = Span::new(text.len(), text.len());
        let message = if text.trim().is_empty() {
            "the file is empty"
        } else {
            "the file has no stage to build"
        };
        Err(Fault::error(span, message).with_help("begin with `FROM image`"))
    }
}
