//! Parser directives: `# name=value` lines before everything else
//! (<https://docs.docker.com/reference/dockerfile/#parser-directives>).

use crate::{Directives, Fault, Span, Word};

/// Reads the directives, and how many lines they take; the first line that is none ends them, even a blank one or another
/// comment.
pub(super) fn parse(text: &str, faults: &mut Vec<Fault>) -> (Directives, usize) {
    let mut directives = Directives {
        syntax: None,
        escape: '\\',
        check: None,
    };
    let mut lines = 0;
    let mut escape_seen = false;
    let mut offset = text.len() - text.trim_start_matches('\u{feff}').len();
    for (index, line) in text[offset..].split_inclusive('\n').enumerate() {
        let start = offset;
        offset += line.len();
        if index == 0 && line.starts_with("#!") {
            continue;
        }
        let Some((name, value)) = directive(line, start) else {
            break;
        };
        let repeated = match name.as_str() {
            "syntax" => directives
                .syntax
                .replace(first_word(value.clone()))
                .is_some(),
            "check" => directives
                .check
                .replace(first_word(value.clone()))
                .is_some(),
            "escape" => {
                match value.text.as_str() {
                    "\\" => directives.escape = '\\',
                    "`" => directives.escape = '`',
                    other => faults.push(
                        Fault::error(
                            value.span,
                            format!("`{other}` cannot be the escape character"),
                        )
                        .with_help("it is either `\\` or `` ` ``"),
                    ),
                }
                std::mem::replace(&mut escape_seen, true)
            }
            // An unknown directive is a comment.
            _ => break,
        };
        lines = index + 1;
        if repeated {
            let span = Span::new(start, value.span.end);
            faults.push(
                Fault::error(span, format!("the directive `{name}` is given twice"))
                    .with_help("remove one of the two lines"),
            );
        }
    }
    (directives, lines)
}

/// `# name = value`, the name in lower case.
fn directive(line: &str, offset: usize) -> Option<(String, Word)> {
    let line = line.trim_end();
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim();
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let value = value.trim_start();
    if !plain || value.is_empty() {
        return None;
    }
    let end = offset + line.len();
    Some((
        name.to_ascii_lowercase(),
        Word {
            text: value.to_owned(),
            span: Span::new(end - value.len(), end),
        },
    ))
}

/// What stands behind the first space is a remark.
fn first_word(mut value: Word) -> Word {
    let length = value.text.find(' ').unwrap_or(value.text.len());
    value.text.truncate(length);
    value.span.end = value.span.start + length;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let mut faults = Vec::new();
        let (directives, _) = parse(text, &mut faults);
        let text_of = |word: Option<Word>| word.map_or("-".to_owned(), |word| word.text);
        let mut shown = format!(
            "{} {} {}",
            text_of(directives.syntax),
            directives.escape,
            text_of(directives.check)
        );
        for fault in faults {
            shown = shown + "; " + &fault.message;
        }
        shown
    }

    #[test]
    fn directives() {
        let cases = [
            (
                "# syntax=docker/dockerfile:1\nFROM a",
                "docker/dockerfile:1 \\ -",
            ),
            (
                "\u{feff}#syntax = x // remark\r\n# ESCAPE = `\r\n# check=skip=all;error=true",
                "x ` skip=all;error=true",
            ),
            ("#!/bin/sh\n# syntax=x", "x \\ -"),
            ("\n# syntax=x", "- \\ -"),
            ("# comment\n# escape=`", "- \\ -"),
            ("# other=x\n# escape=`", "- \\ -"),
            ("FROM a\n# escape=`", "- \\ -"),
            ("# escape=x", "- \\ -; `x` cannot be the escape character"),
            (
                "# escape=`\n# escape=`",
                "- ` -; the directive `escape` is given twice",
            ),
            ("# syntax=", "- \\ -"),
        ];
        for (text, wanted) in cases {
            assert_eq!(show(text), wanted, "{text:?}");
        }
    }
}
