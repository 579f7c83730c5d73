//! What is wrong in a configuration file, each fault with its file and line; all of them are collected before one is told.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault or warning, at the line that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, with the operand.
    pub message: String,
    /// What to write instead, when there is a good guess.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.display(),
            self.line,
            self.message
        )?;
        match &self.hint {
            Some(hint) => write!(formatter, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Faults and warnings of one reading, without repetitions: a program with `numprocs` is validated once per process.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
}

impl Findings {
    pub(crate) fn fault(&mut self, file: &Path, line: usize, message: impl Into<String>) {
        self.fault_with_hint(file, line, message, None);
    }

    pub(crate) fn fault_with_hint(
        &mut self,
        file: &Path,
        line: usize,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        add(
            &mut self.faults,
            Fault {
                file: file.to_owned(),
                line,
                message: message.into(),
                hint,
            },
        );
    }

    pub(crate) fn warn(&mut self, file: &Path, line: usize, message: impl Into<String>) {
        add(
            &mut self.warnings,
            Fault {
                file: file.to_owned(),
                line,
                message: message.into(),
                hint: None,
            },
        );
    }
}

fn add(list: &mut Vec<Fault>, fault: Fault) {
    if !list.contains(&fault) {
        list.push(fault);
    }
}

/// "did you mean `stopsignal`?", when one of `known` is close to what was written.
pub(crate) fn suggestion<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
