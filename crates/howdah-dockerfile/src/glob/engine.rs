//! Matching paths against tokens in time bounded by their product.

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// This character.
    Literal(char),
    /// `?`: one character but `/`.
    Any,
    /// `[...]`: one character; the negation matches `/` too, as in Go.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `*`: characters but `/`, or nothing.
    Star,
    /// `**/`: nothing, or anything up to a `/`.
    Directories,
    /// `**` at the end: everything.
    Everything,
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Token::Literal(literal) => *literal == character,
            Token::Any | Token::Star => character != '/',
            Token::Class { negated, ranges } => {
                ranges
                    .iter()
                    .any(|&(low, high)| low <= character && character <= high)
                    != *negated
            }
            Token::Directories | Token::Everything => true,
        }
    }
}

/// Whether the whole of `path` matches `tokens`.
pub(crate) fn matches(tokens: &[Token], path: &str) -> bool {
    Search::new(tokens, path).run(false)
}

/// Whether `prefix`, or something longer that begins with it, could match `tokens`.
pub(crate) fn reaches(tokens: &[Token], prefix: &str) -> bool {
    Search::new(tokens, prefix).run(true)
}

/// A depth-first search over (token, offset). Only `*` and `**` branch; each of their states is entered once, so the
/// search ends after at most tokens times length steps.
struct Search<'run> {
    tokens: &'run [Token],
    path: &'run str,
    seen: Vec<u64>,
    todo: Vec<(usize, usize)>,
}

impl<'run> Search<'run> {
    fn new(tokens: &'run [Token], path: &'run str) -> Self {
        Search {
            tokens,
            path,
            seen: Vec::new(),
            todo: Vec::new(),
        }
    }

    /// True the first time that a branching token is reached at this offset.
    fn enter(&mut self, token: usize, at: usize) -> bool {
        let columns = self.path.len() + 1;
        if self.seen.is_empty() {
            self.seen = vec![0; (self.tokens.len() * columns).div_ceil(64)];
        }
        let bit = token * columns + at;
        let (word, mask) = (bit / 64, 1 << (bit % 64));
        let first = self.seen[word] & mask == 0;
        self.seen[word] |= mask;
        first
    }

    fn run(&mut self, prefix_is_enough: bool) -> bool {
        let mut state = Some((0, 0));
        while let Some((token, at)) = state {
            if self.follow(token, at, prefix_is_enough) {
                return true;
            }
            state = self.todo.pop();
        }
        false
    }

    /// Goes on from one state as long as there is only one way.
    fn follow(&mut self, mut token: usize, mut at: usize, prefix_is_enough: bool) -> bool {
        loop {
            let character = self.path[at..].chars().next();
            if prefix_is_enough && character.is_none() {
                return true;
            }
            let Some(step) = self.tokens.get(token) else {
                return character.is_none();
            };
            match (step, character) {
                (Token::Everything, _) => return true,
                (Token::Star | Token::Directories, _) if !self.enter(token, at) => return false,
                (Token::Star, _) => {
                    if let Some(taken) = character.filter(|&character| step.takes(character)) {
                        self.todo.push((token, at + taken.len_utf8()));
                    }
                    token += 1;
                }
                (Token::Directories, _) => {
                    if let Some(slash) = self.path[at..].find('/') {
                        self.todo.push((token, at + slash + 1));
                    } else if prefix_is_enough {
                        return true;
                    }
                    token += 1;
                }
                (_, Some(character)) if step.takes(character) => {
                    token += 1;
                    at += character.len_utf8();
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of matching, without any cleverness.
    fn naive(tokens: &[Token], path: &[char]) -> bool {
        let Some((token, rest)) = tokens.split_first() else {
            return path.is_empty();
        };
        let skips = |taken: usize| naive(rest, &path[taken..]);
        match token {
            Token::Everything => true,
            Token::Star => (0..=path.len())
                .take_while(|&taken| !path[..taken].contains(&'/'))
                .any(skips),
            Token::Directories => {
                skips(0) || (1..=path.len()).any(|taken| path[taken - 1] == '/' && skips(taken))
            }
            _ => {
                path.first()
                    .is_some_and(|&character| token.takes(character))
                    && skips(1)
            }
        }
    }

    /// Every pattern of up to three tokens against every path of up to five characters of a small alphabet.
    #[test]
    fn the_search_agrees_with_the_definition() {
        let alphabet = [
            Token::Literal('a'),
            Token::Literal('/'),
            Token::Any,
            Token::Star,
            Token::Directories,
        ];
        let mut patterns: Vec<Vec<Token>> = vec![Vec::new()];
        let mut paths = vec![String::new()];
        for length in 0..3 {
            let longest: Vec<_> = patterns
                .iter()
                .filter(|pattern| pattern.len() == length)
                .cloned()
                .collect();
            patterns.extend(longest.iter().flat_map(|pattern| {
                alphabet
                    .iter()
                    .map(|token| [pattern.as_slice(), std::slice::from_ref(token)].concat())
            }));
        }
        for length in 0..5 {
            let longest: Vec<_> = paths
                .iter()
                .filter(|path| path.len() == length)
                .cloned()
                .collect();
            paths.extend(
                longest
                    .iter()
                    .flat_map(|path| ["a", "b", "/"].map(|character| path.clone() + character)),
            );
        }
        for path in &paths {
            let characters: Vec<char> = path.chars().collect();
            for pattern in &patterns {
                assert_eq!(
                    matches(pattern, path),
                    naive(pattern, &characters),
                    "{pattern:?} {path}"
                );
            }
        }
        // A prefix reaches a match exactly if some longer path matches; here every path of up to five characters.
        for pattern in &patterns {
            for path in paths.iter().filter(|path| path.len() < 3) {
                let extended = paths
                    .iter()
                    .any(|longer| longer.starts_with(path.as_str()) && matches(pattern, longer));
                assert_eq!(reaches(pattern, path), extended, "{pattern:?} {path}");
            }
        }
    }
}
