//! The supervisor's end of the control socket: a few clients, each with a deadline, none of them waited for.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::stat::{Mode, umask};
use nix::unistd::Uid;

use crate::control::private_directory;
use crate::fleet::Id;
use crate::lifecycle::Moment;

/// More clients than this are a mistake; they wait in the socket's queue.
const MOST_CLIENTS: usize = 16;
/// The longest question: `health` and a name.
const LONGEST_QUESTION: usize = 512;
/// A client that neither asks nor reads for this long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another supervisor listens there.
    #[error("another supervisor answers at `{}`", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The place for it belongs to somebody else.
    #[error("`{}` is not a directory of ours", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen at `{}`", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The listening socket and those who have connected to it.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    state: Conversation,
    deadline: Moment,
}

#[derive(Debug)]
enum Conversation {
    Asking(Vec<u8>),
    /// The question is about these processes; it is answered when none of them is being checked.
    Waiting(Vec<Id>),
    Answering(Vec<u8>),
    Over,
}

impl Server {
    /// Listens at the first of `paths` where we may.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, SocketError> {
        let mut refused = SocketError::Listen {
            path: PathBuf::new(),
            source: io::ErrorKind::NotFound.into(),
        };
        for path in paths {
            match listen(path) {
                Ok(listener) => {
                    return Ok(Self {
                        listener,
                        path: path.clone(),
                        clients: Vec::new(),
                    });
                }
                Err(error @ SocketError::InUse { .. }) => return Err(error),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let listener = (self.clients.len() < MOST_CLIENTS)
            .then_some((self.listener.as_fd(), PollFlags::POLLIN));
        let clients = self
            .clients
            .iter()
            .filter_map(|client| match &client.state {
                Conversation::Asking(_) => Some((client.stream.as_fd(), PollFlags::POLLIN)),
                Conversation::Answering(_) => Some((client.stream.as_fd(), PollFlags::POLLOUT)),
                Conversation::Waiting(_) | Conversation::Over => None,
            });
        listener.into_iter().chain(clients).collect()
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.clients
            .iter()
            .filter(|client| !matches!(client.state, Conversation::Waiting(_)))
            .map(|client| client.deadline)
            .min()
    }

    /// Accepts, reads and writes what can be. `select` gives the processes a question is about, and starts their checks.
    pub(crate) fn pump(&mut self, now: Moment, mut select: impl FnMut(Option<&str>) -> Vec<Id>) {
        while self.clients.len() < MOST_CLIENTS {
            let Ok((stream, _)) = self.listener.accept() else {
                break;
            };
            if stream.set_nonblocking(true).is_ok() {
                let state = Conversation::Asking(Vec::new());
                self.clients.push(Client {
                    stream,
                    state,
                    deadline: now + PATIENCE,
                });
            }
        }
        for client in &mut self.clients {
            client.listen(&mut select);
            client.speak();
        }
        let waits = |client: &Client| {
            matches!(client.state, Conversation::Waiting(_)) || client.deadline > now
        };
        self.clients.retain(|client| waits(client));
    }

    /// Answers those who wait only for processes that are `ready`.
    pub(crate) fn answer(
        &mut self,
        now: Moment,
        ready: impl Fn(Id) -> bool,
        report: impl Fn(&[Id]) -> Vec<u8>,
    ) {
        for client in &mut self.clients {
            if let Conversation::Waiting(ids) = &client.state
                && ids.iter().all(|id| ready(*id))
            {
                client.state = Conversation::Answering(report(ids));
                client.deadline = now + PATIENCE;
                client.speak();
            }
        }
        // At once: the client reads until we close.
        self.clients
            .retain(|client| !matches!(client.state, Conversation::Over));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A leftover would only be replaced by the next supervisor.
        drop(fs_err::remove_file(&self.path));
    }
}

impl Client {
    fn listen(&mut self, select: &mut impl FnMut(Option<&str>) -> Vec<Id>) {
        let Conversation::Asking(question) = &mut self.state else {
            return;
        };
        let mut buffer = [0; LONGEST_QUESTION];
        match self.stream.read(&mut buffer) {
            Ok(count) if count > 0 && question.len() + count <= LONGEST_QUESTION => {
                question.extend_from_slice(&buffer[..count]);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            _ => {
                self.state = Conversation::Over;
                return;
            }
        }
        let Some(end) = question.iter().position(|byte| *byte == b'\n') else {
            return;
        };
        let line = String::from_utf8_lossy(&question[..end]).into_owned();
        let mut words = line.splitn(2, ' ');
        self.state = match words.next() {
            Some("health") => Conversation::Waiting(select(words.next().map(str::trim))),
            _ => Conversation::Over,
        };
    }

    fn speak(&mut self) {
        let Conversation::Answering(answer) = &mut self.state else {
            return;
        };
        loop {
            match self.stream.write(answer) {
                Ok(count) if count < answer.len() => drop(answer.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.state = Conversation::Over;
                    return;
                }
            }
        }
    }
}

fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let refused = |source| SocketError::Listen {
        path: path.to_owned(),
        source,
    };
    // A relative path may have no directory to make.
    if let Some(directory) = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty())
    {
        prepare_directory(directory).map_err(refused)?;
        let own = private_directory(Uid::effective());
        if directory == own {
            let metadata = fs_err::symlink_metadata(directory).map_err(refused)?;
            if !metadata.is_dir()
                || metadata.uid() != Uid::effective().as_raw()
                || metadata.mode() & 0o022 != 0
            {
                return Err(SocketError::Foreign { path: own });
            }
        }
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse {
            path: path.to_owned(),
        });
    }
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
        _ => {}
    }
    // bind(2) makes the file with our umask; there is no moment in which others may connect.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener.map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

fn prepare_directory(directory: &Path) -> io::Result<()> {
    let mode = if directory.starts_with("/tmp") {
        0o700
    } else {
        0o755
    };
    match std::fs::DirBuilder::new().mode(mode).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
