//! Naming a process so that a later process with the same number is not taken for it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process by its number and the time it was started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessName {
    pub(crate) pid: u32,
    start_time: u64,
}

impl ProcessName {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
        })
    }

    /// A descriptor of the process, or `None` when it has ended and been waited for.
    pub(crate) fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Compared after opening: from here on the descriptor cannot come to mean another process.
        Ok((start_time(self.pid).ok() == Some(self.start_time)).then_some(descriptor))
    }

    /// Whether the process runs; a zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        read_stat(self.pid).is_ok_and(|(state, start_time)| {
            start_time == self.start_time && !matches!(state, b'Z' | b'X')
        })
    }

    /// Sends a signal. `false` when the process has ended.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<bool> {
        let Some(descriptor) = self.open()? else {
            return Ok(false);
        };
        match pidfd_send_signal(descriptor, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The signal of that number.
pub(crate) fn signal_from_number(number: i32) -> Option<Signal> {
    (1..=64).contains(&number).then(|| {
        // SAFETY: the number was checked to be one the kernel knows; sending a signal that libc keeps for itself (32, 33)
        // to another process breaks no invariant of this one.
        unsafe { Signal::from_raw_unchecked(number) }
    })
}

/// A short name of an open file.
pub(crate) fn descriptor_path(descriptor: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn start_time(pid: u32) -> io::Result<u64> {
    read_stat(pid).map(|(_, start_time)| start_time)
}

/// State and start time. The second field, the program's name in parentheses, may itself hold blanks and parentheses.
fn read_stat(pid: u32) -> io::Result<(u8, u64)> {
    let stat = fs_err::read(format!("/proc/{pid}/stat"))?;
    let malformed = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("/proc/{pid}/stat is malformed"),
        )
    };
    let name_end = stat
        .iter()
        .rposition(|byte| *byte == b')')
        .ok_or_else(malformed)?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).map_err(|_| malformed())?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields
        .next()
        .and_then(|state| state.bytes().next())
        .ok_or_else(malformed)?;
    let start_time = fields
        .nth(18)
        .and_then(|field| field.parse().ok())
        .ok_or_else(malformed)?;
    Ok((state, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_namesake_is_not() {
        let name = ProcessName::of(std::process::id()).unwrap();
        assert!(name.is_alive());
        assert!(name.open().unwrap().is_some());
        let namesake = ProcessName {
            start_time: name.start_time + 1,
            ..name
        };
        assert!(!namesake.is_alive());
        assert!(namesake.open().unwrap().is_none());
    }

    #[test]
    fn a_signal_to_an_ended_process_goes_nowhere() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let name = ProcessName::of(child.id()).unwrap();
        child.wait().unwrap();
        assert!(!name.signal(Signal::TERM).unwrap());
        assert!(signal_from_number(0).is_none());
        assert!(signal_from_number(65).is_none());
    }
}
