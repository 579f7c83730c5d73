//! The child that stays outside of the new user namespace until its maps are written.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use serde::{Deserialize, Serialize};

use super::{Ids, RootlessError, WhySingle};

/// Lines of `uid_map` and `gid_map`: first id inside, first id outside, count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Maps {
    pub(super) uids: Vec<[u32; 3]>,
    pub(super) gids: Vec<[u32; 3]>,
    /// By newuidmap(1) and newgidmap(1), which are allowed more than the user; otherwise with the child's own capabilities.
    pub(super) by_program: bool,
}

/// The child, waiting for the maps to write.
pub(super) struct Outside {
    child: Pid,
    socket: UnixStream,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Mapped,
    /// Nothing was written.
    Single(WhySingle),
    /// One of the two maps was written, and the other was not.
    Half(String),
}

impl Outside {
    /// Forks the child. To be called before any thread exists.
    pub(super) fn start() -> Result<Self, RootlessError> {
        let failed = RootlessError::io;
        let (ours, theirs) = UnixStream::pair().map_err(failed("make a socket"))?;
        let parent = std::process::id();
        // SAFETY: no thread exists yet (the caller's promise), so no lock can be held by another at the fork.
        let forked = unsafe { fork() };
        match forked.map_err(io::Error::from).map_err(failed("fork"))? {
            ForkResult::Parent { child } => Ok(Self {
                child,
                socket: ours,
            }),
            ForkResult::Child => {
                drop(ours);
                // An error means that the parent gave up or died; there is nobody to tell.
                drop(serve(theirs, parent));
                // SAFETY: ends the copy of the process without running anything of it twice.
                unsafe { nix::libc::_exit(0) }
            }
        }
    }

    /// Has the maps of the calling process written, which is in its new namespace now.
    pub(super) fn write(mut self, maps: &Maps) -> Result<Ids, RootlessError> {
        let failed = RootlessError::io;
        let asked = serde_json::to_vec(maps).map_err(io::Error::from);
        asked
            .and_then(|asked| self.socket.write_all(&asked))
            .and_then(|()| self.socket.shutdown(std::net::Shutdown::Write))
            .map_err(failed("ask for the maps of ids"))?;
        let mut answer = Vec::new();
        self.socket
            .read_to_end(&mut answer)
            .map_err(failed("hear of the maps of ids"))?;
        let answer = serde_json::from_slice(&answer)
            .map_err(io::Error::from)
            .map_err(failed("hear of the maps of ids"))?;
        match answer {
            Answer::Mapped => {
                let others = maps.uids.iter().map(|line| line[2]).sum::<u32>() - 1;
                Ok(Ids::Many { others })
            }
            Answer::Single(why) => Ok(Ids::Single(why)),
            Answer::Half(message) => Err(RootlessError::Map { message }),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It ends when it hears nothing.
        drop(self.socket.shutdown(std::net::Shutdown::Both));
        while waitpid(self.child, None) == Err(nix::errno::Errno::EINTR) {}
    }
}

/// The extents of a map of this process, each onto itself. The last id of all is left out: it means "none", and libcontainer
/// takes a map of them all for that of the first namespace.
pub(super) fn own_map(file: &str) -> io::Result<Vec<[u32; 3]>> {
    let text = fs_err::read_to_string(file)?;
    let extent = |line: &str| {
        let mut numbers = line.split_ascii_whitespace();
        let first = numbers.next()?.parse().ok()?;
        let count: u32 = numbers.nth(1)?.parse().ok()?;
        Some([first, first, count.min(u32::MAX - 1)])
    };
    Ok(text.lines().filter_map(extent).collect())
}

fn serve(mut socket: UnixStream, parent: u32) -> io::Result<()> {
    let mut asked = Vec::new();
    socket.read_to_end(&mut asked)?;
    if asked.is_empty() {
        return Ok(());
    }
    let maps: Maps = serde_json::from_slice(&asked)?;
    let answer = if maps.by_program {
        map_by_program(&maps, parent)
    } else {
        map_directly(&maps, parent)
    };
    socket.write_all(&serde_json::to_vec(&answer)?)
}

fn map_by_program(maps: &Maps, parent: u32) -> Answer {
    // Side by side: each takes a millisecond.
    let uids = start("newuidmap", parent, &maps.uids);
    let gids = start("newgidmap", parent, &maps.gids);
    match (
        uids.and_then(|child| finish("newuidmap", child)),
        gids.and_then(|child| finish("newgidmap", child)),
    ) {
        (Ok(()), Ok(())) => Answer::Mapped,
        (Err(why), Err(_)) => Answer::Single(why),
        (Err(why), Ok(())) | (Ok(()), Err(why)) => Answer::Half(match why {
            WhySingle::NoProgram { program } => format!("`{program}` is not installed"),
            WhySingle::NoRange { file, .. } => file,
            WhySingle::Refused { message } => message,
        }),
    }
}

fn start(program: &str, pid: u32, lines: &[[u32; 3]]) -> Result<Child, WhySingle> {
    let spawned = Command::new(program)
        .arg(pid.to_string())
        .args(lines.iter().flatten().map(ToString::to_string))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => WhySingle::NoProgram {
            program: program.to_owned(),
        },
        _ => refused(program, &error.to_string()),
    })
}

fn finish(program: &str, child: Child) -> Result<(), WhySingle> {
    let output = child
        .wait_with_output()
        .map_err(|error| refused(program, &error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let message = message.lines().next().unwrap_or_default();
    // It begins with its own name.
    let message = message
        .strip_prefix(program)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(message);
    Err(refused(program, message))
}

fn refused(program: &str, message: &str) -> WhySingle {
    WhySingle::Refused {
        message: format!("{program}: {message}"),
    }
}

fn map_directly(maps: &Maps, parent: u32) -> Answer {
    let write = |file: &str, lines: &[[u32; 3]]| {
        let lines: Vec<String> = lines
            .iter()
            .map(|[inside, outside, count]| format!("{inside} {outside} {count}"))
            .collect();
        fs_err::write(format!("/proc/{parent}/{file}"), lines.join("\n"))
    };
    let message = |error: io::Error| error.to_string();
    match write("uid_map", &maps.uids) {
        Err(error) => Answer::Single(WhySingle::Refused {
            message: message(error),
        }),
        Ok(()) => match write("gid_map", &maps.gids) {
            Ok(()) => Answer::Mapped,
            Err(error) => Answer::Half(message(error)),
        },
    }
}
