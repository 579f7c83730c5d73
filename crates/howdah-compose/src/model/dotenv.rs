//! `.env` and `env_file:` files: names, values, quotes, comments and variables.
//!
//! See <https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax>.

use super::interpolate::{InterpolationError, Variables, interpolate};

/// A line of an environment file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DotenvError {
    /// Not a name.
    #[error("`{name}` is not a variable name")]
    Name {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        name: String,
    },
    /// A quote that is not closed.
    #[error("the quote is never closed")]
    Quote {
        /// The line, from 1.
        line: usize,
    },
    /// A variable that cannot be replaced.
    #[error("the value cannot be interpolated")]
    Value {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: InterpolationError,
    },
}

impl DotenvError {
    /// The line the fault is on, from 1.
    pub(crate) fn line(&self) -> usize {
        match self {
            Self::Name { line, .. } | Self::Quote { line } | Self::Value { line, .. } => *line,
        }
    }
}

/// Reads a file's text, adding to `known`, whose values win over the file's in interpolation.
///
/// A name without `=` gives `None`: its value is taken from the environment by who uses it.
pub(crate) fn parse(
    text: &str,
    known: &Variables,
) -> Result<Vec<(String, Option<String>)>, DotenvError> {
    let mut pairs: Vec<(String, Option<String>)> = Vec::new();
    let mut scope = known.clone();
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    while let Some((name, value)) = reader.next(&scope)? {
        if let Some(value) = &value
            && !known.contains_key(&name)
        {
            scope.insert(name.clone(), value.clone());
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

struct Reader<'text> {
    rest: &'text str,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self, scope: &Variables) -> Result<Option<(String, Option<String>)>, DotenvError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let line = self.rest.split('\n').next().unwrap_or_default();
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                self.advance(line.len() + 1);
                continue;
            }
            return self.pair(line, scope).map(Some);
        }
    }

    fn advance(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest.len());
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn pair(
        &mut self,
        line: &str,
        scope: &Variables,
    ) -> Result<(String, Option<String>), DotenvError> {
        let at = self.line;
        let separator = line.find(['=', ':']);
        let name = line[..separator.unwrap_or(line.len())].trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start);
        let name = if separator.is_none() {
            name.split('#').next().unwrap_or_default().trim()
        } else {
            name
        };
        if name.is_empty()
            || name
                .chars()
                .any(|c| c.is_whitespace() || c == '"' || c == '\'')
        {
            return Err(DotenvError::Name {
                line: at,
                name: name.to_owned(),
            });
        }
        let name = name.to_owned();
        let Some(separator) = separator else {
            self.advance(line.len() + 1);
            return Ok((name, None));
        };
        let value_start = line[separator + 1..].trim_start_matches([' ', '\t']);
        let offset = line.len() - value_start.len();
        let quote = value_start
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        let raw = if let Some(quote) = quote {
            self.advance(offset + 1);
            self.quoted(quote, at)?
        } else {
            self.advance(line.len() + 1);
            unquoted(value_start)
        };
        if quote == Some('\'') {
            return Ok((name, Some(raw)));
        }
        let value = interpolate(&raw, scope, &mut |_| {})
            .map_err(|source| DotenvError::Value { line: at, source })?;
        Ok((name, Some(value)))
    }

    /// The text up to the closing quote, which may be lines away; double quotes know `\n \r \t \" \\`.
    fn quoted(&mut self, quote: char, at: usize) -> Result<String, DotenvError> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, '$')) => value.push_str("$$"),
                    Some((_, other @ ('"' | '\\'))) => value.push(other),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                '\\' if self.rest[index + 1..].starts_with('\'') => {
                    characters.next();
                    value.push('\'');
                }
                _ if character == quote => {
                    let line_end = self.rest[index..]
                        .find('\n')
                        .map_or(self.rest.len(), |end| index + end + 1);
                    self.advance(line_end);
                    return Ok(value);
                }
                _ => value.push(character),
            }
        }
        Err(DotenvError::Quote { line: at })
    }
}

/// The value up to a comment, which needs a space before its `#`.
fn unquoted(text: &str) -> String {
    let end = if text.starts_with('#') {
        0
    } else {
        [" #", "\t#"]
            .iter()
            .filter_map(|mark| text.find(mark))
            .min()
            .unwrap_or(text.len())
    };
    text[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
        let known = Variables::from([("SHELL_WINS".to_owned(), "shell".to_owned())]);
        let pairs = parse(text, &known)?;
        Ok(pairs
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_else(|| "<none>".to_owned())))
            .collect())
    }

    #[test]
    fn syntax_table() {
        let table = [
            ("A=1", "1"),
            ("A = 1 ", "1"),
            ("export A=1", "1"),
            ("A: 1", "1"),
            ("A=", ""),
            ("A", "<none>"),
            ("A=a b # comment", "a b"),
            ("A=a#b", "a#b"),
            ("A=#b", ""),
            ("A='a # b $X'", "a # b $X"),
            ("A='it\\'s'", "it's"),
            ("A=\"a\\nb\\\"c\" # comment", "a\nb\"c"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${MISSING:-d}", "d"),
            ("A=\"\\$HOME\"", "$HOME"),
            ("A=1\r", "1"),
        ];
        for (text, expected) in table {
            assert_eq!(
                run(text),
                Ok(vec![("A".to_owned(), expected.to_owned())]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn later_lines_see_earlier_ones_and_the_shell_wins() {
        let pairs = run("# head\nA=1\nB=${A}2\nSHELL_WINS=file\nC=$SHELL_WINS\n").unwrap();
        assert_eq!(pairs[1].1, "12");
        assert_eq!(pairs[3].1, "shell");
    }

    #[test]
    fn faults_carry_their_line() {
        assert_eq!(run("A=1\nB C=2\n").map_err(|error| error.line()), Err(2));
        assert_eq!(run("A='1\n2\n\n").map_err(|error| error.line()), Err(1));
        assert_eq!(run("\nA=${\n").map_err(|error| error.line()), Err(2));
    }
}
