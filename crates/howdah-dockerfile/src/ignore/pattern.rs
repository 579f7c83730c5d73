//! One line of an ignore file.

use crate::glob::{Glob, GlobError, Token, class, matches, reaches};

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Written with `!`: takes back in what it matches.
    pub(super) negated: bool,
    form: Form,
}

/// The simple forms are compared as strings: they are nearly all that people write, and every path of a context is
/// compared with every pattern.
#[derive(Clone, Debug)]
enum Form {
    /// No wildcards.
    Exact(String),
    /// `name/**`: whatever begins like this.
    Prefix(String),
    /// `**/name`, `**name`: whatever ends like this; with a leading `/`, also the rest alone.
    Suffix(String),
    /// Everything else; `start` is what a path must begin with.
    Tokens { start: String, tokens: Vec<Token> },
}

impl Pattern {
    /// Reads a cleaned pattern. moby/patternmatcher checks it with `filepath.Match` and then translates it to a regular
    /// expression; the translation, not `filepath.Match`, says what `**` means.
    pub(super) fn new(text: &str, negated: bool) -> Result<Pattern, GlobError> {
        Glob::new(text)?;
        let mut tokens = Vec::new();
        let mut literal = String::new();
        // Whether the pattern is still a literal, with `**` in front or behind at most.
        let mut simple = true;
        let mut leading = false;
        let mut trailing = false;
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '*' if rest.as_str().starts_with('*') => {
                    rest.next();
                    let first = tokens.is_empty();
                    let slash = rest.as_str().starts_with('/');
                    if slash {
                        rest.next();
                    }
                    if rest.as_str().is_empty() {
                        simple &= !leading;
                        trailing = true;
                        tokens.push(Token::Everything);
                    } else {
                        simple &= first;
                        leading |= first;
                        if slash && first {
                            literal.push('/');
                        }
                        tokens.push(Token::Directories);
                    }
                    continue;
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::Any),
                '[' => tokens.push(class(&mut rest).ok_or_else(|| GlobError::Syntax {
                    pattern: text.to_owned(),
                })?),
                '\\' => tokens.push(Token::Literal(rest.next().unwrap_or('\\'))),
                plain => {
                    literal.push(plain);
                    tokens.push(Token::Literal(plain));
                    continue;
                }
            }
            simple = false;
        }
        let form = match (simple, leading, trailing) {
            (true, false, false) => Form::Exact(literal),
            (true, false, true) => Form::Prefix(literal),
            (true, true, _) => Form::Suffix(literal),
            (false, ..) => Form::Tokens {
                start: literal_start(&tokens),
                tokens,
            },
        };
        Ok(Pattern { negated, form })
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact(exact) => path == exact,
            Form::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Form::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Form::Tokens { start, tokens } => {
                path.starts_with(start.as_str()) && matches(tokens, path)
            }
        }
    }

    /// Whether some path that begins with `directory`, which ends in `/`, can match.
    pub(super) fn may_match_below(&self, directory: &str) -> bool {
        match &self.form {
            Form::Exact(exact) => exact.starts_with(directory),
            Form::Prefix(prefix) => {
                prefix.starts_with(directory) || directory.starts_with(prefix.as_str())
            }
            Form::Suffix(_) => true,
            Form::Tokens { tokens, .. } => reaches(tokens, directory),
        }
    }
}

fn literal_start(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map_while(|token| match token {
            Token::Literal(character) => Some(*character),
            _ => None,
        })
        .collect()
}
