//! A logical line taken apart: the instruction's name, its flags, the rest, and ways to split the rest into words.

use std::ops::Range;

use super::lines::Line;
use crate::{Heredoc, Span, Word};

/// One instruction before it is typed.
#[derive(Debug)]
pub(super) struct Statement<'line> {
    pub(super) line: &'line Line,
    /// The instruction's name as written.
    pub(super) name: Range<usize>,
    /// The leading `--` words.
    pub(super) flags: Vec<RawFlag>,
    /// What follows, without surrounding white space.
    pub(super) rest: Range<usize>,
    /// The heredocs announced in the line, with their bodies.
    pub(super) heredocs: Vec<Heredoc>,
    /// The file's escape character.
    pub(super) escape: char,
}

/// A `--name=value` word with its quotes and escapes removed.
#[derive(Debug)]
pub(super) struct RawFlag {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// What separates arguments, as opposed to what `char::is_whitespace` knows.
fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

impl<'line> Statement<'line> {
    /// Takes `line` apart from the byte `from` on (`ONBUILD` holds another instruction).
    pub(super) fn split(line: &'line Line, from: usize, escape: char) -> Statement<'line> {
        let trimmed = trim(&line.text, from..line.text.len());
        let text = &line.text[trimmed.clone()];
        let name = trimmed.start..trimmed.start + text.find(is_blank).unwrap_or(text.len());
        let (flags, rest) = flags(&line.text, name.end, escape);
        let rest = trim(&line.text, rest..trimmed.end.max(rest));
        Statement {
            line,
            name,
            flags,
            rest,
            heredocs: Vec::new(),
            escape,
        }
    }

    /// The name in upper case.
    pub(super) fn keyword(&self) -> String {
        self.line.text[self.name.clone()].to_ascii_uppercase()
    }

    /// The place of the name.
    pub(super) fn name_span(&self) -> Span {
        self.line.span(self.name.clone())
    }

    /// The text of the arguments.
    pub(super) fn rest_text(&self) -> &'line str {
        &self.line.text[self.rest.clone()]
    }

    /// The place of the arguments, or of the name when there are none.
    pub(super) fn rest_span(&self) -> Span {
        self.line.span(if self.rest.is_empty() {
            self.name.clone()
        } else {
            self.rest.clone()
        })
    }

    /// The arguments between white space; quotes mean nothing.
    pub(super) fn blank_words(&self) -> Vec<Range<usize>> {
        let text = self.rest_text();
        let mut words = Vec::new();
        let mut start = None;
        for (at, character) in text.char_indices() {
            match (is_blank(character), start) {
                (true, Some(begin)) => {
                    words.push(self.rest.start + begin..self.rest.start + at);
                    start = None;
                }
                (false, None) => start = Some(at),
                _ => {}
            }
        }
        words.extend(start.map(|begin| self.rest.start + begin..self.rest.end));
        words
    }

    /// The arguments between white space outside quotes; the quotes stay in the words, for expansion to remove.
    pub(super) fn quoted_words(&self) -> Vec<Range<usize>> {
        let mut words = Vec::new();
        let mut start = None;
        let mut quote = None;
        let mut end = self.rest.end;
        let mut characters = self
            .rest_text()
            .char_indices()
            .map(|(at, character)| (self.rest.start + at, character));
        while let Some((at, character)) = characters.next() {
            if quote.is_none() && character.is_whitespace() {
                words.extend(start.take().map(|begin| begin..at));
                continue;
            }
            start.get_or_insert(at);
            if character == self.escape && quote != Some('\'') {
                // The escape character at the very end escapes nothing and is dropped.
                if characters.next().is_none() {
                    end = at;
                }
            } else if quote == Some(character) {
                quote = None;
            } else if quote.is_none() && matches!(character, '\'' | '"') {
                quote = Some(character);
            }
        }
        words.extend(start.filter(|&begin| begin < end).map(|begin| begin..end));
        words
    }

    /// The arguments as one word.
    pub(super) fn single(&self) -> Option<Word> {
        (!self.rest.is_empty()).then(|| self.line.word(self.rest.clone()))
    }
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.end - part.trim_start().len();
    start..(range.start + part.trim_end().len()).max(start)
}

/// The flags from `from` on, and where the arguments begin. A lone `--` ends the flags.
fn flags(text: &str, from: usize, escape: char) -> (Vec<RawFlag>, usize) {
    let mut flags = Vec::new();
    let mut at = from;
    loop {
        let start = text.len() - text[at..].trim_start().len();
        if !text[start..].starts_with("--") {
            return (flags, start);
        }
        let (word, end) = flag_word(text, start, escape);
        if word == "--" {
            return (flags, end);
        }
        flags.push(RawFlag {
            text: word,
            range: start..end,
        });
        at = end;
    }
}

/// One word with its quotes and escapes removed, and where it ends.
fn flag_word(text: &str, start: usize, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text[start..].char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            return (word, start + at);
        }
        if character == escape {
            word.extend(characters.next().map(|(_, escaped)| escaped));
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        } else {
            word.push(character);
        }
    }
    (word, text.len())
}

#[cfg(test)]
mod tests {
    use super::{super::lines::Reader, *};

    fn show(text: &str) -> String {
        let line = Reader::new(text, '\\', 0).line().unwrap();
        let statement = Statement::split(&line, 0, '\\');
        let flags: Vec<&str> = statement
            .flags
            .iter()
            .map(|flag| flag.text.as_str())
            .collect();
        format!(
            "{} {flags:?} {:?}",
            statement.keyword(),
            statement.rest_text()
        )
    }

    #[test]
    fn flags_come_first() {
        let cases = [
            ("  run make --jobs=4 ", r#"RUN [] "make --jobs=4""#),
            (
                "COPY --from=a --link\t/x /y",
                r#"COPY ["--from=a", "--link"] "/x /y""#,
            ),
            (
                "RUN --mount=source=\"a b\",target=/c\\ d x",
                r#"RUN ["--mount=source=a b,target=/c d"] "x""#,
            ),
            ("COPY --a -- --b /c", r#"COPY ["--a"] "--b /c""#),
            ("CMD", r#"CMD [] """#),
            ("COPY --a --", r#"COPY ["--a"] """#),
            ("COPY --a=ü ü /x", r#"COPY ["--a=ü"] "ü /x""#),
            ("COPY --a='open x", r#"COPY ["--a=open x"] """#),
        ];
        for (text, wanted) in cases {
            assert_eq!(show(text), wanted);
        }
    }

    #[test]
    fn words_with_and_without_quotes() {
        let line = Reader::new(r#"ENV a="b c" 'd "e' f\ g h\"i "#, '\\', 0)
            .line()
            .unwrap();
        let statement = Statement::split(&line, 0, '\\');
        let text = |ranges: Vec<Range<usize>>| {
            ranges
                .into_iter()
                .map(|range| &line.text[range])
                .collect::<Vec<_>>()
        };
        assert_eq!(
            text(statement.quoted_words()),
            [r#"a="b c""#, r#"'d "e'"#, r"f\ g", r#"h\"i"#]
        );
        assert_eq!(
            text(statement.blank_words()),
            [r#"a="b"#, r#"c""#, "'d", r#""e'"#, r"f\", "g", r#"h\"i"#]
        );
        let line = Reader::new("ENV a=b\\c `", '`', 0).line().unwrap();
        assert_eq!(line.text, "ENV a=b\\c ");
    }
}
