//! The keeper's place: one lock and one socket for each stack.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use tokio::net::UnixListener;

use super::{KeeperError, StackPaths};

/// How long a keeper that does not listen may take to end.
const ANOTHERS_END: Duration = Duration::from_secs(10);

/// One keeper for each stack. The kernel drops the lock with the process, whatever its end.
pub(super) fn lock(paths: &StackPaths) -> Result<fs_err::File, KeeperError> {
    let io = |source| KeeperError::Io {
        action: "lock the stack",
        source,
    };
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let deadline = std::time::Instant::now() + ANOTHERS_END;
    loop {
        let file = options.open(paths.lock()).map_err(io)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_still_there(&file, paths).map_err(io)? => return Ok(file),
            // The keeper before us has ended and taken its file away.
            Ok(()) => {}
            // One that listens keeps the stack. One that does not is beginning or ending: either is over soon, and
            // flock(2) has no deadline of its own.
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if is_listening(paths) || std::time::Instant::now() > deadline {
                    return Err(KeeperError::Busy {
                        project: paths.project().to_owned(),
                    });
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
            Err(errno) => return Err(io(errno.into())),
        }
    }
}

/// Whether the file that is locked is the one others will find.
fn is_still_there(file: &fs_err::File, paths: &StackPaths) -> io::Result<bool> {
    match fs_err::metadata(paths.lock()) {
        Ok(found) => Ok(found.ino() == file.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_listening(paths: &StackPaths) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(paths.sockets(), flags, Mode::empty()).is_ok_and(|directory| {
        std::os::unix::net::UnixStream::connect(socket_path(&directory, &paths.socket_name()))
            .is_ok()
    })
}

/// The socket, named through its directory's descriptor: `sun_path` holds 108 bytes only (unix(7)).
pub(super) fn listen(paths: &StackPaths) -> io::Result<UnixListener> {
    let directory = rustix::fs::open(
        paths.sockets(),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let name = paths.socket_name();
    match rustix::fs::unlinkat(&directory, &name, rustix::fs::AtFlags::empty()) {
        Err(errno) if errno != rustix::io::Errno::NOENT => return Err(errno.into()),
        _ => {}
    }
    let listener = UnixListener::bind(socket_path(&directory, &name))?;
    rustix::fs::chmodat(
        &directory,
        &name,
        Mode::from_raw_mode(0o600),
        rustix::fs::AtFlags::empty(),
    )?;
    Ok(listener)
}

/// A short name for a socket in an open directory.
pub(crate) fn socket_path(directory: &impl AsFd, name: &str) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!(
        "/proc/self/fd/{}/{name}",
        directory.as_fd().as_raw_fd()
    ))
}
