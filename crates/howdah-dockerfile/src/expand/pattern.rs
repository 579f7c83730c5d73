//! The wildcards of `${name#pattern}`, `${name%pattern}` and `${name/pattern/replacement}`.
//!
//! POSIX 2.13 without bracket expressions, as BuildKit has it: `*`, `?`, and `\` before a special character. As in its
//! regular expressions, neither `*` nor `?` crosses a newline.

use super::ExpandError;
use crate::limits::PATTERN_STEPS;

/// Shortest (`#`, `%`) or longest (`##`, `%%`, `/`) match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Shortest,
    Longest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Character(char),
    AnyCharacter,
    AnyString,
}

/// A pattern, and the steps it may still take.
#[derive(Debug)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    steps_left: usize,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, ExpandError> {
        let mut tokens = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::AnyString,
                '?' => Token::AnyCharacter,
                // `\}` and `\/` only keep the lexer from seeing the end of the pattern.
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Character(escaped),
                    other => {
                        return Err(ExpandError::PatternEscape {
                            pattern: text.into(),
                            escaped: other.into_iter().collect(),
                        });
                    }
                },
                plain => Token::Character(plain),
            });
        }
        Ok(Pattern {
            tokens,
            steps_left: PATTERN_STEPS,
        })
    }

    /// `value` without the prefix that matches.
    pub(super) fn trim_prefix(mut self, value: &str, reach: Reach) -> Result<String, ExpandError> {
        let value: Vec<char> = value.chars().collect();
        let end = self.match_at(&value, 0, reach)?.unwrap_or(0);
        Ok(value[end..].iter().collect())
    }

    /// `value` without the suffix that matches.
    pub(super) fn trim_suffix(mut self, value: &str, reach: Reach) -> Result<String, ExpandError> {
        // A suffix is a prefix of the reversed text, for a reversed pattern.
        self.tokens.reverse();
        let value: Vec<char> = value.chars().rev().collect();
        let end = self.match_at(&value, 0, reach)?.unwrap_or(0);
        Ok(value[end..].iter().rev().collect())
    }

    /// `value` with the first match, or with all matches, replaced.
    pub(super) fn replace(
        mut self,
        value: &str,
        replacement: &str,
        all: bool,
    ) -> Result<String, ExpandError> {
        let value: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut previous_end = None;
        while at <= value.len() {
            let found = self.match_at(&value, at, Reach::Longest)?;
            // An empty match right behind another match does not count (Go's regexp.ReplaceAll).
            if let Some(end) = found.filter(|&end| end > at || previous_end != Some(at)) {
                result.push_str(replacement);
                previous_end = Some(end);
                if !all {
                    result.extend(&value[end..]);
                    return Ok(result);
                }
                if end > at {
                    at = end;
                    continue;
                }
            }
            result.extend(value.get(at));
            at += 1;
        }
        Ok(result)
    }

    /// Where a match that begins at `start` ends. Follows all ways through the pattern at once, so that no pattern takes
    /// more than its length times the value's.
    fn match_at(
        &mut self,
        value: &[char],
        start: usize,
        reach: Reach,
    ) -> Result<Option<usize>, ExpandError> {
        let last = self.tokens.len();
        let mut states = vec![false; last + 1];
        states[0] = true;
        let mut found = None;
        for at in start..=value.len() {
            self.steps_left = self
                .steps_left
                .checked_sub(last + 1)
                .ok_or(ExpandError::PatternCost)?;
            for state in 0..last {
                if states[state] && self.tokens[state] == Token::AnyString {
                    states[state + 1] = true;
                }
            }
            if states[last] {
                found = Some(at);
                if reach == Reach::Shortest {
                    break;
                }
            }
            let Some(&character) = value.get(at) else {
                break;
            };
            let mut next = vec![false; last + 1];
            for state in (0..last).filter(|&state| states[state]) {
                match self.tokens[state] {
                    Token::Character(wanted) => next[state + 1] |= wanted == character,
                    Token::AnyCharacter => next[state + 1] |= character != '\n',
                    Token::AnyString => next[state] |= character != '\n',
                }
            }
            if !next.contains(&true) {
                break;
            }
            states = next;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_suffixes() {
        let cases = [
            ("*x*y", "xxyy", "y", ""),
            ("*", "xxyy", "xxyy", ""),
            ("", "xxyy", "xxyy", "xxyy"),
            ("x", "xxyy", "xyy", "xyy"),
            (r"?\?", "???y", "?y", "?y"),
            ("no", "xxyy", "xxyy", "xxyy"),
        ];
        for (pattern, value, shortest, longest) in cases {
            let trim = |reach| {
                Pattern::parse(pattern)
                    .unwrap()
                    .trim_prefix(value, reach)
                    .unwrap()
            };
            assert_eq!(trim(Reach::Shortest), shortest, "#{pattern}");
            assert_eq!(trim(Reach::Longest), longest, "##{pattern}");
        }
        let suffix = |pattern: &str, value: &str, reach| {
            Pattern::parse(pattern)
                .unwrap()
                .trim_suffix(value, reach)
                .unwrap()
        };
        assert_eq!(suffix(".*", "app.tar.gz", Reach::Shortest), "app.tar");
        assert_eq!(suffix(".*", "app.tar.gz", Reach::Longest), "app");
        assert_eq!(suffix(r"\**\*", "a***yy*", Reach::Longest), "a");
        assert_eq!(suffix("🖖", "👽🚀🖖", Reach::Shortest), "👽🚀");
    }

    #[test]
    fn replacements() {
        let replace = |pattern: &str, value: &str, with: &str, all| {
            Pattern::parse(pattern)
                .unwrap()
                .replace(value, with, all)
                .unwrap()
        };
        assert_eq!(replace(r"\*/", "/foo*/*/*.txt", ".", false), "/foo.*/*.txt");
        assert_eq!(replace(r"\*/", "/foo*/*/*.txt", ".", true), "/foo..*.txt");
        assert_eq!(replace("", "xy", "-", false), "-xy");
        assert_eq!(replace("", "xy", "-", true), "-x-y-");
        assert_eq!(replace("*", "abc", "-", true), "-");
        assert_eq!(replace("/?/", "/a/foo/b/c.txt", "/", true), "/foo/c.txt");
    }

    #[test]
    fn wrong_escapes_are_refused() {
        for pattern in ["\\", r"\x", r"\\\"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = "*a".repeat(2000);
        let value = "b".repeat(20_000);
        assert!(matches!(
            Pattern::parse(&pattern).unwrap().replace(&value, "", true),
            Err(ExpandError::PatternCost)
        ));
    }
}
