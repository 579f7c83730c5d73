//! What is wrong in a Dockerfile, where, and what to write instead.

use crate::Span;

/// Does the build stop, or is it only advice?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// BuildKit refuses such a file, and so do we.
    Error,
    /// BuildKit builds it and warns.
    Warning,
}

/// One fault of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether the build can go on.
    pub severity: Severity,
    /// The fact, lower case, with its operand.
    pub message: String,
    /// The text at fault.
    pub span: Span,
    /// What to write instead, when that is known.
    pub help: Option<String>,
}

impl Fault {
    /// A fault that stops the build.
    pub fn error(span: Span, message: impl Into<String>) -> Fault {
        Fault { severity: Severity::Error, message: message.into(), span, help: None }
    }

    /// A fault that the build survives.
    pub fn warning(span: Span, message: impl Into<String>) -> Fault {
        Fault { severity: Severity::Warning, ..Fault::error(span, message) }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}
