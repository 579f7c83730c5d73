//! Text to tree.
//!
//! The order is that of BuildKit's parser: directives, logical lines, heredoc bodies, then each line by the rules of its
//! instruction. Unlike BuildKit it does not stop at the first fault.

mod config;
mod directives;
mod files;
mod flags;
mod heredoc;
mod instruction;
mod json;
mod lines;
mod run;
mod stage;
mod statement;

use lines::{Line, Reader};
use statement::Statement;

use crate::{Dockerfile, Fault, Heredoc, Instruction, Span, limits};

/// All that is wrong with one instruction.
type Faults = Vec<Fault>;

/// Lets `?` turn the only fault of a rule into the faults of its instruction.
impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        vec![fault]
    }
}

/// Parses a Dockerfile; every fault found in it is returned, not only the first.
pub fn parse(text: &str) -> Result<Dockerfile, Vec<Fault>> {
    if text.len() > limits::TEXT_BYTES {
        let message = format!("the file is longer than {} bytes", limits::TEXT_BYTES);
        return Err(vec![Fault::error(Span::default(), message)]);
    }
    let mut faults = Faults::new();
    let (directives, directive_lines) = directives::parse(text, &mut faults);
    let mut reader = Reader::new(text, directives.escape, directive_lines);
    let mut builder = stage::Builder::new(directives);
    while let Some(line) = reader.line() {
        if faults.len() >= limits::FAULTS {
            faults.truncate(limits::FAULTS);
            break;
        }
        if let Err(mut new) = builder.add(&line, &mut reader, text) {
            faults.append(&mut new);
        }
    }
    match builder.finish(text) {
        Ok(dockerfile) if faults.is_empty() => Ok(dockerfile),
        Ok(_) => Err(faults),
        Err(fault) => {
            // Without any stage the other faults are the better explanation.
            if faults.is_empty() {
                faults.push(fault);
            }
            Err(faults)
        }
    }
}

/// Parses one `ONBUILD` trigger taken from an image's configuration ([`crate::Onbuild::expression`]). The spans are those
/// of `expression`.
pub fn parse_trigger(expression: &str) -> Result<Instruction, Vec<Fault>> {
    let whole = Span::new(0, expression.len());
    let mut reader = Reader::new(expression, '\\', 0);
    let line = reader
        .line()
        .ok_or_else(|| Fault::error(whole, "the ONBUILD trigger is empty"))?;
    let mut warnings = Faults::new();
    let instruction = match Parsed::read(&line, &mut reader, expression, '\\', &mut warnings)? {
        Parsed::Instruction(instruction) => instruction,
        Parsed::From(_) => {
            return Err(Fault::error(whole, "`FROM` cannot be an ONBUILD trigger").into());
        }
    };
    if reader.line().is_some() {
        return Err(Fault::error(whole, "an ONBUILD trigger must be a single instruction").into());
    }
    Ok(instruction)
}

/// What one line says.
enum Parsed {
    Instruction(Instruction),
    From(stage::From),
}

impl Parsed {
    /// Reads one line with the heredoc bodies behind it.
    fn read(
        line: &Line,
        reader: &mut Reader,
        text: &str,
        escape: char,
        warnings: &mut Faults,
    ) -> Result<Parsed, Faults> {
        let mut statement = Statement::split(line, 0, escape);
        if statement.name.is_empty() {
            return Err(Fault::error(line.whole(), "a continuation without an instruction").into());
        }
        statement.heredocs = heredoc_bodies(&statement, reader, text)?;
        let lines = reader.lines_since(line);
        let original = line.text.trim().to_owned();
        if statement.keyword() == "FROM" {
            return Ok(Parsed::From(stage::From::parse(
                &statement, original, lines,
            )?));
        }
        let command = instruction::parse(&statement, warnings)?;
        let mut span = line.whole();
        if !statement.heredocs.is_empty() {
            span.end = reader.position();
        }
        Ok(Parsed::Instruction(Instruction {
            command,
            comments: line.comments.clone(),
            original,
            span,
            lines,
        }))
    }
}

/// Reads the bodies of the heredocs that a line announces; without expansion and, for now, with their tabs.
fn heredoc_bodies(
    statement: &Statement,
    reader: &mut Reader,
    text: &str,
) -> Result<Vec<Heredoc>, Faults> {
    if !instruction::may_have_heredocs(statement) {
        return Ok(Vec::new());
    }
    let announced = heredoc::announced(&statement.line.text).map_err(|reason| {
        Fault::error(
            statement.rest_span(),
            format!("cannot read the delimiter of the heredoc: {reason}"),
        )
    })?;
    if announced.len() > limits::HEREDOCS {
        return Err(Fault::error(
            statement.rest_span(),
            format!("more than {} heredocs in one instruction", limits::HEREDOCS),
        )
        .into());
    }
    let mut heredocs = Vec::with_capacity(announced.len());
    for heredoc in announced {
        let Some(span) = reader.heredoc(&heredoc.name, heredoc.chomp) else {
            let fault = Fault::error(
                statement.rest_span(),
                format!("the heredoc `{}` is never closed", heredoc.name),
            );
            return Err(fault.with_help(closing_help(&heredoc.name)).into());
        };
        heredocs.push(Heredoc {
            name: heredoc.name,
            content: text[span.range()].to_owned(),
            expand: heredoc.expand,
            chomp: heredoc.chomp,
            descriptor: heredoc.descriptor,
            span,
        });
    }
    Ok(heredocs)
}

/// A shell ends the delimiter at `;`, BuildKit does not.
fn closing_help(name: &str) -> String {
    match name.trim_end_matches([';', '|', '&', ')', '>']) {
        plain if plain != name && !plain.is_empty() => {
            format!("put a space behind `<<{plain}`, or it is not the whole delimiter")
        }
        _ => format!("put a line with only `{name}` behind its text"),
    }
}

#[cfg(test)]
mod tests;
