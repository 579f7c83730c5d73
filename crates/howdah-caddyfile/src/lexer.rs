//! From text to words: `{$ENVIRONMENT}` first, then quotes, heredocs and comments.

use std::sync::Arc;

use crate::error::{CaddyfileError, Fault, Place};

/// A word.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Written in quotes or as a heredoc: a brace in it is only a brace.
    pub(crate) quoted: bool,
    /// Nothing stands before it on its line.
    pub(crate) first: bool,
    pub(crate) place: Place,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}

/// A file's text after substitution, which may have more lines than the file.
struct Source {
    text: Vec<char>,
    /// For each line of the text, the file's.
    lines: Vec<u32>,
}

/// All words of a file. `variable`: of the environment.
pub(crate) fn tokens(
    text: &str,
    file: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Token>, CaddyfileError> {
    let source = substitute(text, variable);
    Lexer {
        source: &source,
        file: file.into(),
        position: 0,
        line: 0,
    }
    .run()
}

/// Replaces `{$NAME}` and `{$NAME:default}`, once: what is put in is not looked at again.
fn substitute(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Source {
    let mut source = Source {
        text: Vec::with_capacity(text.len()),
        lines: vec![1],
    };
    let mut line = 1;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(start) = rest.find("{$") {
        let (before, from) = rest.split_at(start);
        source.push(before, &mut line, true);
        let Some(end) = from.find('}') else {
            rest = from;
            break;
        };
        let name = &from[2..end];
        rest = &from[end + 1..];
        if name.is_empty() {
            source.push("{$}", &mut line, true);
            continue;
        }
        let (name, default) = match name.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let value = variable(name).or_else(|| default.map(str::to_owned));
        source.push(&value.unwrap_or_default(), &mut line, false);
        line += u32::try_from(from[..end].matches('\n').count()).unwrap_or(0);
    }
    source.push(rest, &mut line, true);
    source
}

impl Source {
    fn push(&mut self, text: &str, line: &mut u32, counts: bool) {
        for character in text.chars().filter(|character| *character != '\r') {
            self.text.push(character);
            if character == '\n' {
                *line += u32::from(counts);
                self.lines.push(*line);
            }
        }
    }
}

struct Lexer<'a> {
    source: &'a Source,
    file: Arc<str>,
    position: usize,
    /// Of the substituted text, from 0.
    line: usize,
}

impl Lexer<'_> {
    fn run(mut self) -> Result<Vec<Token>, CaddyfileError> {
        let mut tokens = Vec::new();
        let mut first = true;
        while let Some(character) = self.peek() {
            match character {
                '\n' => {
                    first = true;
                    self.next();
                }
                '\\' if self.ahead(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                '#' => self.skip_comment(),
                space if space.is_whitespace() => drop(self.next()),
                _ => {
                    tokens.push(self.token(first)?);
                    first = false;
                }
            }
        }
        Ok(tokens)
    }

    fn peek(&self) -> Option<char> {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> Option<char> {
        self.source.text.get(self.position + count).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += 1;
        self.line += usize::from(character == '\n');
        Some(character)
    }

    fn place(&self) -> Place {
        let line = self.source.lines.get(self.line).copied();
        Place {
            file: Arc::clone(&self.file),
            line: line.unwrap_or(1),
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|character| character != '\n') {
            self.next();
        }
    }

    fn token(&mut self, first: bool) -> Result<Token, CaddyfileError> {
        let place = self.place();
        let (text, quoted) = match self.peek() {
            Some(quote @ ('"' | '`')) => (self.quoted(quote, &place)?, true),
            _ => match self.heredoc_marker() {
                Some(marker) => (self.heredoc(&marker, &place)?, true),
                None => (self.plain(), false),
            },
        };
        Ok(Token {
            text,
            quoted,
            first,
            place,
        })
    }

    /// In `"`, a backslash only stands before a quote; in backticks, for nothing but itself.
    fn quoted(&mut self, quote: char, place: &Place) -> Result<String, CaddyfileError> {
        self.next();
        let mut text = String::new();
        while let Some(character) = self.next() {
            match character {
                '\\' if quote == '"' && self.peek() == Some('"') => text.extend(self.next()),
                end if end == quote => return Ok(text),
                other => text.push(other),
            }
        }
        Err(Fault::OpenQuote(quote).at(place))
    }

    fn plain(&mut self) -> String {
        let mut text = String::new();
        while let Some(character) = self.peek() {
            let continues = character == '\\' && self.ahead(1) == Some('\n');
            if character.is_whitespace() || continues {
                break;
            }
            // `\<<` is no heredoc.
            let escapes = text.is_empty() && character == '\\' && self.ahead(1) == Some('<');
            if !escapes {
                text.push(character);
            }
            self.next();
        }
        text
    }

    /// `<<MARKER` at the end of a line.
    fn heredoc_marker(&self) -> Option<String> {
        if self.peek() != Some('<') || self.ahead(1) != Some('<') {
            return None;
        }
        let from = self.source.text.get(self.position + 2..)?;
        let end = from.iter().position(|character| *character == '\n')?;
        let marker: String = from[..end].iter().collect();
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        (!marker.is_empty() && marker.chars().all(is_name)).then_some(marker)
    }

    /// What stands before the end is taken from the beginning of each line.
    fn heredoc(&mut self, marker: &str, place: &Place) -> Result<String, CaddyfileError> {
        while self.next().is_some_and(|character| character != '\n') {}
        let mut lines = Vec::new();
        while self.peek().is_some() {
            let mut line = String::new();
            while self.peek().is_some_and(|character| character != '\n') {
                line.extend(self.next());
                if line.trim_start() == marker && self.peek().is_none_or(char::is_whitespace) {
                    let indent = &line[..line.len() - marker.len()];
                    return without_indent(&lines, indent)
                        .ok_or_else(|| Fault::HeredocIndent(marker.to_owned()).at(place));
                }
            }
            self.next();
            lines.push(line);
        }
        Err(Fault::OpenHeredoc(marker.to_owned()).at(place))
    }
}

fn without_indent(lines: &[String], indent: &str) -> Option<String> {
    let lines: Option<Vec<&str>> = lines
        .iter()
        .map(|line| {
            if line.is_empty() {
                Some("")
            } else {
                line.strip_prefix(indent)
            }
        })
        .collect();
    Some(lines?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let variable = |name: &str| match name {
            "SET" => Some("a b\nc".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("{$SET}".to_owned()),
            _ => None,
        };
        let tokens = tokens(text, "Caddyfile", &variable).unwrap();
        tokens
            .into_iter()
            .map(|token| {
                let start = if token.first { "^" } else { "" };
                format!("{start}{}@{}", token.text, token.place.line)
            })
            .collect()
    }

    #[test]
    fn words_and_lines() {
        for (text, expected) in [
            ("a b # c\n  d", &["^a@1", "b@1", "^d@2"][..]),
            ("a#b", &["^a#b@1"]),
            ("a \"b \\\" c\\n\" d", &["^a@1", "b \" c\\n@1", "d@1"]),
            ("`a\"\\` b", &["^a\"\\@1", "b@1"]),
            ("a \\\n b\nc", &["^a@1", "b@2", "^c@3"]),
            ("{$SET} d\ne", &["^a@1", "b@1", "^c@1", "d@1", "^e@2"]),
            ("x{$NONE:y:z} {$EMPTY:n}", &["^xy:z@1"]),
            ("{$NESTED}", &["^{$SET}@1"]),
            ("{$}", &["^{$}@1"]),
            ("a <<E\n  b\n\n   c\n  E d", &["^a@1", "b\n\n c@1", "d@5"]),
            ("\\<<E", &["^<<E@1"]),
            ("\"a\nb\" c\nd", &["^a\nb@1", "c@2", "^d@3"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_end() {
        let fault = |text| tokens(text, "f", &|_| None).unwrap_err().to_string();
        assert_eq!(fault("\n a \"b"), "f:2: the word in \" quotes has no end");
        assert!(fault("a <<X\nb").contains("<<X"));
        assert!(fault("a <<X\nb\n  X").contains("indented less"));
    }
}
