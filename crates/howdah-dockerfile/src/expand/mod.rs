//! Variables, quotes and escapes by the rules of BuildKit's shell lexer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Command, Fault, Mount, RunMount};

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

/// The names that an expansion used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Used and set.
    pub matched: BTreeSet<String>,
    /// Used but not set, and without a default of its own.
    pub unmatched: BTreeSet<String>,
}

/// Expands words.
#[derive(Clone, Copy, Debug)]
pub struct Lexer {
    escape: char,
}

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpandError {
    message: String,
}

impl Lexer {
    /// A lexer for a file with this escape character ([`crate::Directives::escape`]).
    pub fn new(escape: char) -> Lexer {
        Lexer { escape }
    }

    /// Expands to exactly one word; quotes and escapes are removed.
    pub fn word(&self, text: &str, variables: &dyn Variables, names: &mut Names) -> Result<String, ExpandError> {
        let _ = (self.escape, text, variables, names);
        Err(ExpandError { message: "expansion is not there yet".into() })
    }

    /// Expands and splits at white space that stands outside quotes (also at that which came from a variable).
    pub fn words(&self, text: &str, variables: &dyn Variables, names: &mut Names) -> Result<Vec<String>, ExpandError> {
        self.word(text, variables, names).map(|word| vec![word])
    }

    /// Expands the body of a heredoc of `COPY` or `ADD`: quotes mean nothing there.
    pub fn heredoc(&self, text: &str, variables: &dyn Variables, names: &mut Names) -> Result<String, ExpandError> {
        self.word(text, variables, names)
    }
}

impl Command {
    /// The command with everything expanded that BuildKit expands in it, and the names that were used.
    /// For `ARG` see [`crate::ArgValue`]: expand its values one by one when a later one may see an earlier one.
    pub fn expand(&self, lexer: &Lexer, variables: &dyn Variables) -> Result<(Command, Names), Fault> {
        let _ = (lexer, variables);
        Ok((self.clone(), Names::default()))
    }
}

impl RunMount {
    /// Expands and types the mount.
    pub fn resolve(&self, lexer: &Lexer, variables: &dyn Variables, names: &mut Names) -> Result<Mount, Fault> {
        let _ = (lexer, variables, names);
        Err(Fault::error(self.options.span, "mounts are not there yet"))
    }
}
