//! Variables, quotes and escapes by the rules of BuildKit's shell lexer.
//!
//! It resembles a POSIX shell's word expansion without command and arithmetic substitution
//! (<https://docs.docker.com/reference/dockerfile/#environment-replacement>).

mod command;
mod lexer;
mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lexer::{Mode, Quotes, Scan};

use crate::limits::{EXPANSION_BYTES, NESTING};

/// Where variables come from.
pub trait Variables {
    /// The value of `name`, or `None` when it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

impl<S: std::hash::BuildHasher> Variables for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        HashMap::get(self, name).map(String::as_str)
    }
}

/// No variables at all.
impl Variables for () {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// The names that an expansion used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Used and set.
    pub matched: BTreeSet<String>,
    /// Used but not set; also those that the word itself gives a default for, as BuildKit counts them.
    pub unmatched: BTreeSet<String>,
}

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote without its partner.
    #[error("the {quote} quote is never closed")]
    OpenQuote {
        /// Which one.
        quote: char,
    },
    /// `${name` without `}`.
    #[error("`${{` is never closed by `}}`")]
    OpenBrace,
    /// `${name/pattern` without the second `/`.
    #[error("`${{{name}/` has no second `/` before the replacement")]
    OpenPattern {
        /// The variable.
        name: String,
    },
    /// `${}`, `${:`, `${{`.
    #[error("`${{` is not followed by the name of a variable")]
    NoName,
    /// `${name=word}` and others that BuildKit does not know.
    #[error("`${{{name}{modifier}` is not a substitution that Dockerfiles have")]
    Modifier {
        /// The variable.
        name: String,
        /// What stands behind it.
        modifier: String,
    },
    /// `${name:?message}` with `name` not set or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The author's message or the default one.
        message: String,
    },
    /// A backslash before something that needs none.
    #[error("`\\{escaped}` is no escape of the pattern `{pattern}`")]
    PatternEscape {
        /// The pattern.
        pattern: String,
        /// The character behind the backslash, if any.
        escaped: String,
    },
    /// A pattern that would keep us busy for seconds.
    #[error("the pattern takes too long on a value of this length")]
    PatternCost,
    /// Substitutions too deep inside one another.
    #[error("substitutions are nested deeper than {NESTING} levels")]
    Depth,
    /// The result grows out of bounds.
    #[error("the result is longer than {EXPANSION_BYTES} bytes")]
    Length,
}

/// Expands words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexer {
    escape: char,
}

impl Lexer {
    /// A lexer for a file with this escape character ([`crate::Directives::escape`]).
    pub fn new(escape: char) -> Lexer {
        Lexer { escape }
    }

    /// Expands to exactly one word; quotes and escapes are removed, white space stays.
    pub fn word(
        &self,
        text: &str,
        variables: &dyn Variables,
        names: &mut Names,
    ) -> Result<String, ExpandError> {
        let mode = Mode {
            quotes: Quotes::Remove,
            keep_escapes: false,
            keep_unset: false,
        };
        Scan::new(text, self.escape, mode, variables, names).text()
    }

    /// Expands and then splits at white space that stands outside quotes, also at that which came from a variable.
    pub fn words(
        &self,
        text: &str,
        variables: &dyn Variables,
        names: &mut Names,
    ) -> Result<Vec<String>, ExpandError> {
        let mode = Mode {
            quotes: Quotes::Remove,
            keep_escapes: false,
            keep_unset: false,
        };
        Scan::new(text, self.escape, mode, variables, names).words()
    }

    /// Expands the body of a heredoc of `COPY` or `ADD`. Quotes mean nothing there, and the escape character is always
    /// the backslash, whatever the directive says.
    pub fn heredoc(
        &self,
        text: &str,
        variables: &dyn Variables,
        names: &mut Names,
    ) -> Result<String, ExpandError> {
        let mode = Mode {
            quotes: Quotes::Plain,
            keep_escapes: false,
            keep_unset: false,
        };
        Scan::new(text, '\\', mode, variables, names).text()
    }

    /// What progress displays show of an instruction: known variables expanded, everything else as written. Text that
    /// cannot be expanded comes back unchanged.
    pub fn display(&self, text: &str, variables: &dyn Variables) -> String {
        let mode = Mode {
            quotes: Quotes::Keep,
            keep_escapes: false,
            keep_unset: true,
        };
        Scan::new(text, self.escape, mode, variables, &mut Names::default())
            .text()
            .unwrap_or_else(|_| text.to_owned())
    }
}

/// The words of an instruction, quotes, escapes and variables as written; how BuildKit looks for heredocs. A line that
/// the lexer cannot read has none.
pub(crate) fn raw_words(text: &str) -> Vec<String> {
    let mode = Mode {
        quotes: Quotes::Keep,
        keep_escapes: true,
        keep_unset: true,
    };
    Scan::new(text, '\\', mode, &(), &mut Names::default())
        .words()
        .unwrap_or_default()
}

/// The delimiter of a heredoc without its quotes, and whether it had any. `None` when it is not exactly one word.
pub(crate) fn heredoc_delimiter(text: &str) -> Result<Option<(String, bool)>, ExpandError> {
    let mode = Mode {
        quotes: Quotes::Remove,
        keep_escapes: false,
        keep_unset: true,
    };
    let mut names = Names::default();
    let mut scan = Scan::new(text, '\\', mode, &(), &mut names);
    let mut words = scan.words()?;
    let quoted = scan.saw_quotes();
    Ok(words
        .pop()
        .filter(|_| words.is_empty())
        .map(|word| (word, quoted)))
}

#[cfg(test)]
mod tests;
