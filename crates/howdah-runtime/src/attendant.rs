//! A helper process as its caller holds it: started, spoken to, and gone when dropped.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::error::During;
use crate::protocol::Task;
use crate::{HELPER_ROLE, RuntimeError};

/// A helper. Dropping it ends the conversation, upon which it clears its container away, and waits for its end: that leaves no
/// zombie and no half-removed state.
#[derive(Debug)]
pub(crate) struct Attendant {
    pub(crate) control: UnixStream,
    process: Child,
}

impl Attendant {
    /// Executes the helper. The environment is not handed on: libcontainer would act on some of it (`LISTEN_FDS`).
    pub(crate) fn start(executable: &Path, task: Task) -> Result<Attendant, RuntimeError> {
        let (ours, theirs) =
            UnixStream::pair().during(|| "make a socket for the helper".to_owned())?;
        let process = Command::new(executable)
            .args([HELPER_ROLE, task.name()])
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| RuntimeError::Spawn {
                executable: executable.to_owned(),
                source,
            })?;
        Ok(Attendant {
            control: ours,
            process,
        })
    }

    /// Waits until the helper has ended by itself.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.control.shutdown(std::net::Shutdown::Both).ok();
        self.process.wait().ok();
    }
}

/// A helper that was started before there is anything to do for it.
#[derive(Debug)]
pub(crate) struct Spare {
    attendant: Attendant,
    /// Where it was started: it sees the mounts of that namespace.
    namespace: io::Result<String>,
}

impl Spare {
    pub(crate) fn start(executable: &Path, task: Task) -> Result<Spare, RuntimeError> {
        Ok(Spare {
            attendant: Attendant::start(executable, task)?,
            namespace: mount_namespace(),
        })
    }

    /// The helper, if it is as good as one that the calling thread would start now.
    pub(crate) fn take(mut self) -> Option<Attendant> {
        let is_here =
            matches!((&self.namespace, mount_namespace()), (Ok(there), Ok(here)) if *there == here);
        (is_here && self.attendant.is_alive()).then_some(self.attendant)
    }
}

/// The name of the calling thread's mount namespace (namespaces(7)).
fn mount_namespace() -> io::Result<String> {
    let link = fs_err::read_link("/proc/thread-self/ns/mnt")?;
    Ok(link.to_string_lossy().into_owned())
}
