//! Physical lines to logical ones: continuations joined, comments dropped, every byte traceable to its place.

use std::ops::Range;

use crate::{Lines, Span, Word};

/// One instruction's text without heredoc bodies.
#[derive(Debug)]
pub(super) struct Line {
    /// The joined text.
    pub(super) text: String,
    /// Where the parts of `text` come from, in order.
    parts: Vec<Part>,
    /// The comment lines above, up to the last empty comment.
    pub(super) comments: Vec<String>,
    /// There is a blank line inside the continuation.
    pub(super) blank: bool,
    /// The number of the first line.
    number: usize,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    joined: usize,
    source: usize,
}

impl Line {
    /// The place in the file of a range of `text`.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let start = self.source(range.start);
        let end = if range.is_empty() {
            start
        } else {
            self.source(range.end - 1) + 1
        };
        Span::new(start, end)
    }

    /// A range of `text` as a word.
    pub(super) fn word(&self, range: Range<usize>) -> Word {
        Word {
            text: self.text[range.clone()].to_owned(),
            span: self.span(range),
        }
    }

    /// The place of the whole line.
    pub(super) fn whole(&self) -> Span {
        let start = self.text.len() - self.text.trim_start().len();
        self.span(start..self.text.trim_end().len().max(start))
    }

    fn source(&self, joined: usize) -> usize {
        let index = self.parts.partition_point(|part| part.joined <= joined);
        self.parts
            .get(index.wrapping_sub(1))
            .map_or(0, |part| part.source + joined - part.joined)
    }
}

/// Hands out one logical line after the other.
#[derive(Debug)]
pub(super) struct Reader<'text> {
    text: &'text str,
    at: usize,
    line_number: usize,
    /// The last line that holds directives; those are no comments.
    directives: usize,
    escape: char,
}

/// A line as it stands in the file.
struct Physical<'text> {
    /// Without its line end.
    content: &'text str,
    start: usize,
}

impl<'text> Reader<'text> {
    pub(super) fn new(text: &'text str, escape: char, directives: usize) -> Self {
        // A byte order mark is no part of the first line.
        let at = text.len() - text.trim_start_matches('\u{feff}').len();
        Reader {
            text,
            at,
            line_number: 0,
            directives,
            escape,
        }
    }

    fn physical(&mut self) -> Option<Physical<'text>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        self.at += length;
        self.line_number += 1;
        Some(Physical {
            content: rest[..length].trim_end_matches(['\r', '\n']),
            start,
        })
    }

    /// The next instruction's text, or `None` at the end of the file.
    pub(super) fn line(&mut self) -> Option<Line> {
        let mut comments = Vec::new();
        loop {
            let physical = self.physical()?;
            let content = physical.content.trim_start();
            if let Some(comment) = content.strip_prefix('#') {
                match comment.trim() {
                    _ if self.line_number <= self.directives => {}
                    // An empty comment line ends a description.
                    "" => comments.clear(),
                    text => comments.push(text.to_owned()),
                }
                continue;
            }
            if content.is_empty() {
                continue;
            }
            let start = physical.start + physical.content.len() - content.len();
            let mut line = Line {
                text: String::new(),
                parts: Vec::new(),
                comments,
                blank: false,
                number: self.line_number,
            };
            let mut goes_on = self.append(&mut line, content, start);
            while goes_on {
                let Some(physical) = self.physical() else {
                    break;
                };
                let trimmed = physical.content.trim_start();
                if trimmed.is_empty() {
                    line.blank = true;
                } else if !trimmed.starts_with('#') {
                    goes_on = self.append(&mut line, physical.content, physical.start);
                }
            }
            return Some(line);
        }
    }

    /// Adds one physical line; true when it ends in a continuation.
    fn append(&self, line: &mut Line, content: &str, start: usize) -> bool {
        let body = content.trim_end_matches([' ', '\t']);
        // An escaped escape character does not continue the line.
        let continued = body
            .strip_suffix(self.escape)
            .filter(|before| !before.ends_with(self.escape));
        line.parts.push(Part {
            joined: line.text.len(),
            source: start,
        });
        line.text.push_str(continued.unwrap_or(content));
        continued.is_some()
    }

    /// The body of a heredoc, up to the line that is its delimiter; `None` when that never comes.
    pub(super) fn heredoc(&mut self, delimiter: &str, chomp: bool) -> Option<Span> {
        let start = self.at;
        loop {
            let physical = self.physical()?;
            let content = if chomp {
                physical.content.trim_start_matches('\t')
            } else {
                physical.content
            };
            if content == delimiter {
                return Some(Span::new(start, physical.start));
            }
        }
    }

    /// The lines from the beginning of `line` to what was read last.
    pub(super) fn lines_since(&self, line: &Line) -> Lines {
        Lines {
            first: line.number,
            last: self.line_number,
        }
    }

    /// The offset after what was read last.
    pub(super) fn position(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut reader = Reader::new(text, '\\', 0);
        std::iter::from_fn(|| reader.line())
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn continuations_are_joined() {
        let cases: [(&str, &[&str]); 9] = [
            ("a\nb", &["a", "b"]),
            ("\u{feff}a \\\r\n  b\r\nc\r\n", &["a   b", "c"]),
            ("a \\  \t\nb", &["a b"]),
            ("a \\\n# comment\n  # another \\\nb", &["a b"]),
            ("a \\\n\n\nb", &["a b"]),
            ("a \\\\\nb", &["a \\\\", "b"]),
            ("  # only comments\n\n   \n", &[]),
            ("a \\", &["a "]),
            ("\\\na", &["a"]),
        ];
        for (text, wanted) in cases {
            assert_eq!(lines(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn every_byte_knows_its_place() {
        let text = "# first\nRUN one \\\n# comment\n  two";
        let line = Reader::new(text, '\\', 0).line().unwrap();
        let at = line.text.find("two").unwrap();
        assert_eq!(&text[line.span(at..at + 3).range()], "two");
        assert_eq!(&text[line.whole().range()], "RUN one \\\n# comment\n  two");
        assert_eq!(line.comments, ["first"]);
    }
}
