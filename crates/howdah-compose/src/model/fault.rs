//! What is wrong with a Compose file, and where: faults stop the command, warnings do not.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as it was named to the loader.
    pub file: Arc<Path>,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(formatter, "{}", self.file.display())
        } else {
            write!(
                formatter,
                "{}:{}:{}",
                self.file.display(),
                self.line,
                self.column
            )
        }
    }
}

/// One thing that is wrong; `compose.yaml:4:5: services.web.ports[0]: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where; none when it is no file's fault.
    pub origin: Option<Origin>,
    /// What is wrong, naming the operand.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault at a place.
    pub(crate) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self {
            origin: Some(origin.clone()),
            message: message.into(),
            hint: None,
        }
    }

    /// A fault of no place.
    pub(crate) fn nowhere(message: impl Into<String>) -> Self {
        Self {
            origin: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same fault with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(formatter, "{origin}: ")?;
        }
        formatter.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Something that is accepted but not as it was meant; the same shape as a fault.
pub type Warning = Fault;

/// The faults and warnings found so far; every step adds to it and goes on.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Warning>,
    /// A file could not be parsed at all: what else would be found follows from that.
    pub(crate) unreadable: bool,
}

impl Findings {
    pub(crate) fn fault(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// The nearest known word, for "did you mean".
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
