//! The socket of `RUN --mount=type=ssh`: a new one for the step, with the mode and owner that the mount says, whose
//! connections are passed on to the caller's agent.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use howdah_image::namespace;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::RunError;
use crate::op::Attributes;

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct AgentSocket {
    /// Where it is on the host.
    pub(super) path: PathBuf,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl AgentSocket {
    /// Makes the socket in `directory`, which is made too.
    pub(super) fn listen(
        directory: &Path,
        agent: &Path,
        attributes: Attributes,
    ) -> Result<AgentSocket, RunError> {
        let path = directory.join("agent");
        let open = || {
            let listener = bind(directory)?;
            let (uid, gid) = namespace::owner(attributes.uid, attributes.gid);
            rustix::fs::chown(&path, Some(uid), Some(gid))?;
            fs_err::set_permissions(&path, Permissions::from_mode(attributes.mode))?;
            Ok((listener, eventfd(0, EventfdFlags::CLOEXEC)?))
        };
        let (listener, stop) = match open() {
            Ok((listener, stop)) => (listener, Arc::new(stop)),
            Err(error) => return Err(RunError::io("listen at", &path)(error)),
        };
        let thread = std::thread::spawn({
            let (agent, stop) = (agent.to_owned(), Arc::clone(&stop));
            move || serve(&listener, &agent, &stop)
        });
        Ok(AgentSocket {
            path,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        // An eventfd that was never read takes a write.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Through a short name of the directory: the address of a socket has room for 107 bytes (unix(7)).
fn bind(directory: &Path) -> io::Result<UnixListener> {
    fs_err::create_dir(directory)?;
    let directory = fs_err::File::open(directory)?;
    let path = format!("/proc/self/fd/{}/agent", directory.as_raw_fd());
    UnixListener::bind(path)
}

fn serve(listener: &UnixListener, agent: &Path, stop: &OwnedFd) {
    loop {
        let mut waits = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut waits, None) {
            Ok(_) if waits[1].revents().is_empty() => {}
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => return,
        }
        let Ok((client, _)) = listener.accept() else {
            return;
        };
        // Without an agent the connection is closed, and the program in the container says so.
        if let Ok(agent) = UnixStream::connect(agent) {
            drop(pass_on(client, agent));
        }
    }
}

/// Copies both ways. The threads end with either side.
fn pass_on(client: UnixStream, agent: UnixStream) -> io::Result<()> {
    let (other_client, other_agent) = (client.try_clone()?, agent.try_clone()?);
    let copy = |mut from: UnixStream, mut to: UnixStream| {
        move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(std::net::Shutdown::Both));
        }
    };
    std::thread::spawn(copy(client, agent));
    std::thread::spawn(copy(other_agent, other_client));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_said_to_the_socket_reaches_the_agent() {
        let directory = tempfile::tempdir().unwrap();
        // Longer than an address may be.
        let deep = directory.path().join("d".repeat(120));
        fs_err::create_dir(&deep).unwrap();
        let agent = directory.path().join("real");
        let real = UnixListener::bind(&agent).unwrap();
        let attributes = Attributes {
            mode: 0o640,
            uid: 1000,
            gid: 1001,
        };
        let socket = AgentSocket::listen(&deep.join("0"), &agent, attributes).unwrap();
        let metadata = fs_err::metadata(&socket.path).unwrap();
        assert_eq!(
            (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
            (0o640, 1000, 1001)
        );
        let short = directory.path().join("short");
        fs_err::os::unix::fs::symlink(&socket.path, &short).unwrap();
        let mut client = UnixStream::connect(&short).unwrap();
        client.write_all(b"ask").unwrap();
        let (mut accepted, _) = real.accept().unwrap();
        let mut said = [0; 3];
        accepted.read_exact(&mut said).unwrap();
        accepted.write_all(b"told").unwrap();
        drop(accepted);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&said, answer.as_str()), (b"ask", "told"));
        drop(socket);
        assert!(UnixStream::connect(&short).is_err());
    }
}
