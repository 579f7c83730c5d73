//! Messages between the front and the zygote: JSON, one a datagram of a `SOCK_SEQPACKET` socket. The zygote has its end as
//! descriptor [`DESCRIPTOR`].

use serde::{Deserialize, Serialize};

/// The zygote's end of the control socket, given by the front when it starts the program.
pub const DESCRIPTOR: i32 = 3;
/// The most bytes of a message.
pub const MAX_MESSAGE: usize = 64 << 10;
/// What both sides speak. It grows with every change of this crate that a peer from before would not understand, and with every function
/// of `howdah-php` that a script of the front's asks for: the front and `howdah-php` are two files, which may come of two builds.
pub const WIRE_VERSION: u32 = 2;

/// To the zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Order {
    /// Fork a worker; the answer is [`Event::Worker`].
    Fork,
}

/// From the zygote. It ends when the front closes its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The first message, sent before PHP starts.
    Hello {
        /// Its [`WIRE_VERSION`].
        wire: u32,
    },
    /// Ready to fork; the application is booted if the mode boots it here.
    Booted {
        /// `PHP_VERSION`.
        php_version: String,
        /// How long PHP and the application took to start.
        milliseconds: u64,
    },
    /// The worker script cannot be booted once for all: it has opened connections, which children would share. The front starts
    /// a zygote that leaves the boot to each worker.
    Connections {
        /// Whom they lead to, e.g. `127.0.0.1:6379` or a socket's path.
        peers: Vec<String>,
    },
    /// The worker script ended before it asked for a request.
    BootFailed {
        /// Its exit status.
        status: i32,
        /// What it said.
        message: String,
    },
    /// A worker was forked. Three descriptors come along: the front's end of its socket, its pidfd, its [`crate::ledger`].
    Worker {
        /// Its process id.
        pid: i32,
    },
    /// A worker could not be forked.
    ForkFailed {
        /// Why.
        message: String,
    },
    /// A worker ended and was reaped.
    Exited {
        /// Its process id.
        pid: i32,
        /// How it ended.
        status: Exit,
    },
    /// A line for the log, written while no request is served.
    Log(crate::LogLine),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}
