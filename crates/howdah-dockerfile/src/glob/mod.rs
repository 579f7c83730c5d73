//! Wildcards of paths: `*`, `?`, `[a-z]`, `\` as Go's `filepath.Match` has them, for `COPY`, `ADD` and `--exclude`.

mod engine;

pub(crate) use engine::{Token, matches, reaches};

use crate::limits::PATTERN_BYTES;

/// A pattern that has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// An open bracket, an empty class, a lone `-` in a class, a backslash at the end.
    #[error("syntax error in the pattern `{pattern}`")]
    Syntax {
        /// The pattern.
        pattern: String,
    },
    /// Longer than any path.
    #[error("a pattern is longer than {PATTERN_BYTES} bytes")]
    Length,
}

/// A wildcard pattern. It matches whole paths; neither `*` nor `?` matches a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

impl Glob {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Glob, GlobError> {
        if pattern.len() > PATTERN_BYTES {
            return Err(GlobError::Length);
        }
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(character) = rest.next() {
            let token = match character {
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut rest).ok_or_else(|| syntax(pattern))?,
                '\\' => Token::Literal(rest.next().ok_or_else(|| syntax(pattern))?),
                literal => Token::Literal(literal),
            };
            // Several stars are one; they only cost time.
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
        }
        Ok(Glob { tokens })
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        matches(&self.tokens, path)
    }

    /// Whether `text` has a character that a pattern gives a meaning, as opposed to a plain path.
    pub fn has_wildcards(text: &str) -> bool {
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' | '?' | '[' => return true,
                '\\' => drop(characters.next()),
                _ => {}
            }
        }
        false
    }
}

fn syntax(pattern: &str) -> GlobError {
    GlobError::Syntax {
        pattern: pattern.to_owned(),
    }
}

/// What follows `[`: an optional `^`, then at least one character or range, then `]`.
pub(crate) fn class(rest: &mut std::str::Chars) -> Option<Token> {
    let negated = rest.clone().next() == Some('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.clone().next() == Some(']') {
            rest.next();
            return Some(Token::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let high = if rest.clone().next() == Some('-') {
            rest.next();
            class_character(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        plain => Some(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Go's own tests of `filepath.Match`; `None` is a bad pattern.
    #[test]
    fn as_go_matches() {
        let cases = [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^b-d]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            (r"a\*b", "a*b", Some(true)),
            (r"a\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("a?b", "a/b", Some(false)),
            ("a*b", "a/b", Some(false)),
            (r"[\]a]", "]", Some(true)),
            (r"[x\-]", "-", Some(true)),
            (r"[x\-]", "z", Some(false)),
            (r"[\-x]", "a", Some(false)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            ("\\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("[^bc", "a", None),
            ("a[", "a", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("**", "a", Some(true)),
        ];
        for (pattern, path, wanted) in cases {
            assert_eq!(
                Glob::new(pattern).ok().map(|glob| glob.matches(path)),
                wanted,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn wildcards_are_recognised() {
        for (text, wanted) in [
            ("a/b", false),
            ("a*", true),
            ("a?", true),
            ("[a]", true),
            (r"a\*b", false),
            ("a\\", false),
        ] {
            assert_eq!(Glob::has_wildcards(text), wanted, "{text}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let glob = Glob::new(&"*a".repeat(300)).unwrap();
        assert!(!glob.matches(&"a".repeat(299)));
        assert!(glob.matches(&"a".repeat(2000)));
        assert_eq!(Glob::new(&"a".repeat(5000)), Err(GlobError::Length));
    }
}
