//! An attached container or executed process: its standard streams, and its end.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{Exit, RuntimeError};

/// Where the standard streams of an attached process go. A terminal is only given when the specification asks for one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// `/dev/null`.
    Null,
    /// The caller's own.
    Inherit,
    /// Pipes, whose other ends are [`Running::stdin`], [`Running::stdout`] and [`Running::stderr`].
    Piped,
    /// A terminal, whose other end is [`Running::terminal`].
    Terminal,
}

/// An attached process. Dropping it kills the process.
#[derive(Debug)]
pub struct Running {
    /// Write end of standard input, with [`Stdio::Piped`] and `stdin` in the specification. Drop it to signal the end of input.
    pub stdin: Option<File>,
    /// Read end of standard output, with [`Stdio::Piped`].
    pub stdout: Option<File>,
    /// Read end of standard error, with [`Stdio::Piped`].
    pub stderr: Option<File>,
    /// The terminal's master end, with [`Stdio::Terminal`].
    pub terminal: Option<OwnedFd>,
    control: OwnedFd,
}

impl Running {
    /// Waits for the end. All output is in the pipes by then; read them meanwhile, or a full pipe stops the program.
    pub fn wait(&mut self) -> Result<Exit, RuntimeError> {
        todo!()
    }

    /// Sends a signal to the process; nothing happens when it has ended already.
    pub fn kill(&self, signal: i32) -> Result<(), RuntimeError> {
        todo!("{signal}")
    }

    /// Tells the terminal its new size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), RuntimeError> {
        todo!("{rows}{columns}")
    }
}

/// Readable (poll(2)) when the process has ended, so that [`Running::wait`] will not block.
impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}
