//! An attached container or executed process: its standard streams, and its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::attendant::Attendant;
use crate::protocol::{Command, Reply};
use crate::{Exit, RuntimeError, socket};

/// Where the standard streams of an attached process go. With `terminal` in the specification, the process gets a terminal
/// whatever this says.
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

/// An attached process. Dropping it kills the process and waits until nothing of it is left.
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
    id: String,
    helper: Attendant,
    exit: Option<Exit>,
}

/// The caller's ends of the process's streams.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: Option<File>,
    pub(crate) stderr: Option<File>,
    pub(crate) terminal: Option<OwnedFd>,
}

impl Running {
    pub(crate) fn new(id: &str, helper: Attendant, ends: Ends) -> Self {
        let Ends {
            stdin,
            stdout,
            stderr,
            terminal,
        } = ends;
        Self {
            stdin,
            stdout,
            stderr,
            terminal,
            id: id.to_owned(),
            helper,
            exit: None,
        }
    }

    pub(crate) fn control(&self) -> &UnixStream {
        &self.helper.control
    }

    /// Waits for the end. All output is in the pipes by then; read them meanwhile, or a full pipe stops the program.
    ///
    /// When it returns, nothing of a container is left but what it wrote, and its root filesystem is unmounted.
    pub fn wait(&mut self) -> Result<Exit, RuntimeError> {
        let exit = self.end()?;
        self.helper.wait().map_err(|source| RuntimeError::Io {
            action: format!("wait for the helper of container `{}`", self.id),
            source,
        })?;
        Ok(exit)
    }

    /// Like [`Running::wait`], but returns while the container's control groups and record are still being removed: no process of
    /// it is left, what it wrote is as it stays, and its root filesystem is unmounted. Drop this to wait for the rest.
    pub fn end(&mut self) -> Result<Exit, RuntimeError> {
        if let Some(exit) = &self.exit {
            return Ok(exit.clone());
        }
        let reply = socket::receive::<Reply>(self.control());
        let action = || format!("wait for the helper of container `{}`", self.id);
        let exit = match reply.map_err(|source| RuntimeError::Io {
            action: action(),
            source,
        })? {
            Some((Reply::Exited(exit), _)) => exit,
            Some((Reply::Failed(failure), _)) => return Err(failure.into()),
            Some((Reply::Started, _)) | None => {
                return Err(RuntimeError::HelperDied {
                    id: self.id.clone(),
                });
            }
        };
        self.exit = Some(exit.clone());
        Ok(exit)
    }

    /// Sends a signal to the process; nothing happens when it has ended already.
    pub fn kill(&self, signal: i32) -> Result<(), RuntimeError> {
        match socket::send(self.control(), &Command::Signal(signal), &[]) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(RuntimeError::Io {
                action: format!("signal container `{}`", self.id),
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Tells the terminal its new size. Nothing happens without one.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), RuntimeError> {
        let Some(terminal) = &self.terminal else {
            return Ok(());
        };
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(terminal, size).map_err(|error| RuntimeError::Io {
            action: format!("resize the terminal of container `{}`", self.id),
            source: error.into(),
        })
    }
}

/// Readable (poll(2)) when the process has ended, so that [`Running::wait`] will not block.
impl AsFd for Running {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.helper.control.as_fd()
    }
}
