//! What is wrong with a Caddyfile, and where.

use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct CaddyfileError {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A quoted word has no end.
    #[error("the word in {0} quotes has no end")]
    OpenQuote(char),
    /// A heredoc has no end.
    #[error("the heredoc `<<{0}` has no line with `{0}` alone at its end")]
    OpenHeredoc(String),
    /// A line of a heredoc stands further left than its end.
    #[error("a line of the heredoc `<<{0}` is indented less than its end")]
    HeredocIndent(String),
    /// A block has no end.
    #[error("the block of `{0}` has no `}}`")]
    OpenBlock(String),
    /// A brace that closes nothing.
    #[error("this `}}` closes nothing")]
    StrayBrace,
    /// Words on the line of a brace.
    #[error("nothing may follow `{0}` on its line")]
    AfterBrace(char),
    /// A block without a name is the global options, which come first.
    #[error("a block without an address is the global options, and must be the first one")]
    LateOptions,
    /// Blocks within blocks, or imports within imports, without end.
    #[error("blocks and imports are nested too deeply, or an import imports itself")]
    TooDeep,
    /// The whole becomes too large.
    #[error("the imports make this file too large")]
    TooLarge,
    /// An import names no snippet, and no file that can be read.
    #[error("there is no snippet `{name}` before this line, and no such file: {reason}")]
    Import {
        /// What was named.
        name: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// A name that means nothing here.
    #[error("`{name}` is unknown in {section}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Where it stands.
        section: &'static str,
        /// What could stand there.
        known: &'static str,
    },
    /// Caddy and FrankenPHP know it, Howdah has something else for it.
    #[error("`{name}` is not supported: {instead}")]
    Unsupported {
        /// The name.
        name: String,
        /// What to do.
        instead: &'static str,
    },
    /// Other arguments are needed.
    #[error("`{name}` is written as: {usage}")]
    Usage {
        /// The directive.
        name: String,
        /// Its form.
        usage: &'static str,
    },
    /// A value of the wrong kind.
    #[error("`{value}` is not {expected}")]
    Value {
        /// The value.
        value: String,
        /// What is needed.
        expected: &'static str,
    },
    /// A matcher that is nowhere defined.
    #[error("the matcher `{0}` is not defined in this site")]
    NoMatcher(String),
    /// A name is given twice.
    #[error("`{0}` is there twice")]
    Twice(String),
}

impl Fault {
    /// At a place.
    pub(crate) fn at(self, place: &Place) -> CaddyfileError {
        CaddyfileError {
            place: place.clone(),
            fault: self,
        }
    }

    pub(crate) fn value(value: &str, expected: &'static str) -> Fault {
        Fault::Value {
            value: value.to_owned(),
            expected,
        }
    }
}
