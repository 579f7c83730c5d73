//! What is wrong in a Dockerfile, where, and what to write instead.

use std::fmt::Write;

use crate::Span;

/// Columns of a source line that are shown; a longer line is cut around the fault.
const SHOWN_COLUMNS: usize = 120;

/// Does the build stop, or is it only advice?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// BuildKit refuses such a file, and so do we.
    Error,
    /// BuildKit builds it and warns.
    Warning,
}

/// One fault of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether the build can go on.
    pub severity: Severity,
    /// The fact, lower case, with its operand.
    pub message: String,
    /// The text at fault.
    pub span: Span,
    /// What to write instead, when that is known.
    pub help: Option<String>,
}

impl Fault {
    /// A fault that stops the build.
    pub fn error(span: Span, message: impl Into<String>) -> Fault {
        Fault {
            severity: Severity::Error,
            message: message.into(),
            span,
            help: None,
        }
    }

    /// A fault that the build survives.
    pub fn warning(span: Span, message: impl Into<String>) -> Fault {
        Fault {
            severity: Severity::Warning,
            ..Fault::error(span, message)
        }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// The fault as rustc shows its own: message, place, the line with the fault underlined, help. `text` is what was
    /// parsed. Control characters of the file do not reach the terminal.
    pub fn render(&self, file_name: &str, text: &str) -> String {
        let title = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut rendered = format!("{title}: {}\n", printable(&self.message));
        let excerpt = Excerpt::of(self.span, text);
        let number = excerpt.line.to_string();
        let margin = " ".repeat(number.len());
        // Writing to a String cannot fail.
        let _ = writeln!(
            rendered,
            "{margin}--> {}:{}:{}",
            printable(file_name),
            excerpt.line,
            excerpt.column
        );
        if !excerpt.shown.is_empty() {
            let _ = write!(
                rendered,
                "{margin} |\n{number} | {}\n{margin} | {}\n",
                excerpt.shown, excerpt.marks
            );
        }
        if let Some(help) = &self.help {
            let _ = writeln!(rendered, "{margin} = help: {}", printable(help));
        }
        rendered
    }
}

/// The line on which a span begins, ready to be shown.
struct Excerpt {
    line: usize,
    column: usize,
    shown: String,
    marks: String,
}

impl Excerpt {
    fn of(span: Span, text: &str) -> Excerpt {
        let boundary = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let mut start = boundary(span.start);
        // At the end of the file, show the last line instead of nothing.
        if start == text.len() {
            start = text.trim_end().len();
        }
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[line_start..]
            .find('\n')
            .map_or(text.len(), |length| line_start + length);
        let content = text[line_start..line_end].trim_end();
        let from = text[line_start..start].chars().count();
        let end = boundary(span.end).clamp(start, line_end.max(start));
        let marked = text[start..end].trim_end().chars().count().max(1);
        let line = text[..line_start].matches('\n').count() + 1;

        let first = if from + marked > SHOWN_COLUMNS {
            from.saturating_sub(SHOWN_COLUMNS / 4)
        } else {
            0
        };
        let mut shown = String::new();
        let mut marks = String::new();
        if first > 0 {
            shown.push_str("...");
            marks.push_str("   ");
        }
        let mut characters = content.chars().enumerate().skip(first);
        for (column, character) in characters.by_ref().take(SHOWN_COLUMNS) {
            // A tab keeps the marks in place as four spaces; nothing else that moves the cursor gets through.
            let width = if character == '\t' { 4 } else { 1 };
            if character == '\t' {
                shown.push_str("    ");
            } else {
                shown.push(if character.is_control() {
                    '\u{fffd}'
                } else {
                    character
                });
            }
            let mark = if (from..from + marked).contains(&column) {
                "^"
            } else {
                " "
            };
            marks.push_str(&mark.repeat(width));
        }
        if characters.next().is_some() {
            shown.push_str("...");
        }
        if !marks.contains('^') {
            marks.push('^');
        }
        Excerpt {
            line,
            column: from + 1,
            shown,
            marks: marks.trim_end().to_owned(),
        }
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
