//! Why a request got no answer from PHP, and what its client is told; why a pool could not be started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use howdah_wire::FrameError;
use http::StatusCode;

use crate::http::BodyError;

/// A request that PHP did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PhpError {
    /// As many requests wait as may wait.
    #[error("the queue of requests that wait for a PHP worker is full ({0})")]
    QueueFull(usize),
    /// No worker became free in time.
    #[error("maximum request handling time exceeded: no PHP worker became free in {0:?}")]
    WaitedTooLong(Duration),
    /// The server is about to stop.
    #[error("the PHP workers are stopping")]
    Stopping,
    /// The wall-clock limit was reached, and the worker was killed.
    #[error("PHP took longer than {0:?}")]
    TookTooLong(Duration),
    /// The worker died before its response began.
    #[error("the PHP worker died before it answered")]
    Died,
    /// The response broke off.
    #[error("the PHP worker died in the middle of its response")]
    BrokeOff,
    /// The request's body could not be read from the client.
    #[error("the request's body cannot be read")]
    Body(#[source] BodyError),
    /// A header field, the method or the path are too long to be passed on.
    #[error("the request is too large for PHP")]
    TooLarge(#[source] FrameError),
    /// The PHP-FPM server could not be reached.
    #[error("cannot connect to PHP-FPM at `{address}`")]
    Unreachable {
        /// Where it was expected.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// No connection to the PHP-FPM server came about in time.
    #[error("no connection to PHP-FPM at `{address}` within {limit:?}")]
    ConnectTimeout {
        /// Where it was expected.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The PHP-FPM server has more to do than it can hold.
    #[error("PHP-FPM at `{address}` is overloaded: its backlog is full")]
    Overloaded {
        /// Who.
        address: String,
    },
    /// The PHP-FPM server refused a request or did not speak FastCGI.
    #[error("PHP-FPM at `{address}` {fault}")]
    Refused {
        /// Who.
        address: String,
        /// What it did.
        fault: String,
    },
}

impl PhpError {
    /// The status that the client gets if nothing was sent to it yet. For [`PhpError::Body`] whoever made the body knows a
    /// better one.
    pub fn status(&self) -> StatusCode {
        match self {
            PhpError::QueueFull(_)
            | PhpError::WaitedTooLong(_)
            | PhpError::Stopping
            | PhpError::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            PhpError::TookTooLong(_) | PhpError::ConnectTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            PhpError::Died
            | PhpError::BrokeOff
            | PhpError::Unreachable { .. }
            | PhpError::Refused { .. } => StatusCode::BAD_GATEWAY,
            PhpError::Body(_) => StatusCode::BAD_REQUEST,
            PhpError::TooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// Seconds for `Retry-After`, where asking again makes sense (RFC 9110 section 10.2.3).
    pub fn retry_after(&self) -> Option<u64> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

/// A pool that could not be started, or a reload that failed: the workers from before go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not there, or cannot be run.
    #[error("cannot start `{}`", program.display())]
    Program {
        /// `howdah-php`.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The sockets to the program cannot be made.
    #[error("cannot open a socket for the PHP processes")]
    Socket(#[source] io::Error),
    /// The program is of another build of howdah, which talks otherwise.
    #[error(
        "`{}` is {} than this howdah: it speaks version {theirs} of the protocol between the two, not {ours}",
        program.display(),
        if theirs < ours { "older" } else { "newer" }
    )]
    OtherWire {
        /// `howdah-php`.
        program: PathBuf,
        /// What it speaks; 0 if it did not say.
        theirs: u32,
        /// What the front speaks.
        ours: u32,
    },
    /// The worker script ends before it asks for a request, again and again.
    #[error(
        "too many consecutive failures: worker {script} has not reached frankenphp_handle_request(): {reason}"
    )]
    NeverReady {
        /// The worker script, or the program in classic mode.
        script: String,
        /// What the last attempt said.
        reason: String,
    },
    /// The pool is stopping, or was replaced meanwhile.
    #[error("the PHP workers are stopping")]
    Stopping,
}
