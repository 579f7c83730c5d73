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
                comments: line.comments.clone(),
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
            empty_continuations: Vec::new(),
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
        if line.blank {
            let last = reader.lines_since(line).last;
            self.dockerfile.empty_continuations.push(last);
        }
        match Parsed::read(line, reader, text, escape, &mut self.dockerfile.warnings) {
            Ok(Parsed::From(from)) => self.dockerfile.stages.push(from.stage),
            Ok(Parsed::Instruction(instruction)) => self.place(instruction)?,
            Err(faults) => {
                self.broken_stage |= Statement::split(line, 0, escape).keyword() == "FROM";
                return Err(faults);
            }
        }
        Ok(())
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
