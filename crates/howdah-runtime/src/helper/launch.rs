//! The last steps inside the container, between libcontainer's setup and the program: stream ownership, the system call
//! filter, capabilities, signals, and execve(2) with its failure told to the helper.
//!
//! libcontainer is given neither capabilities nor a filter, so this code still has all capabilities and gives them up itself.
//! That way a process executed later in the container gets the same filter (libcontainer leaves it out there), and a
//! compiled filter can be loaded (libcontainer compiles it for each container).

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::{LinuxCapabilities, Spec};
use libcontainer::syscall::linux::LinuxSyscall;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, execve};

use super::reaper;
use super::seccomp::Filter;
use crate::protocol::{Failure, Step};

/// What libcontainer runs as the container's program.
#[derive(Clone)]
pub(super) struct Launch {
    /// Closed by a successful execve(2); a [`Failure`] is written into it otherwise.
    pub(super) status: Rc<OwnedFd>,
    pub(super) capabilities: LinuxCapabilities,
    pub(super) filter: Option<Rc<Filter>>,
    /// The standard streams were made for this program and are given to its user, so that it can open them again as
    /// /dev/stdout.
    pub(super) own_streams: bool,
    pub(super) oom_score_adj: Option<i32>,
    /// Stay as a reaper and run the program as a child.
    pub(super) init: bool,
}

impl Executor for Launch {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let Err(failure) = self.execute(spec);
        let told = serde_json::to_vec(&failure).unwrap_or_default();
        // The helper that should read it has died, and so will we.
        rustix::io::write(&*self.status, &told).ok();
        Err(ExecutorError::Other(failure.to_string()))
    }

    /// Everything is checked by executing it.
    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// execve(2) takes the environment as an argument.
    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

impl Launch {
    fn execute(&self, spec: &Spec) -> Result<std::convert::Infallible, Failure> {
        let process = spec
            .process()
            .as_ref()
            .ok_or_else(|| Failure::Invalid("no process".to_owned()))?;
        let program = Program::new(process.args().as_deref(), process.env().as_deref())?;
        // The helper is gone: so is everyone who would wait for this container.
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).step("tie the program to its helper")?;
        if self.own_streams {
            give_streams(process.user().uid()).step("give the standard streams to the user")?;
        }
        if let Some(score) = self.oom_score_adj {
            fs_err::write("/proc/self/oom_score_adj", score.to_string())
                .step("set the out-of-memory score")?;
        }
        if let Some(filter) = &self.filter {
            filter.load().step("load the system call filter")?;
        }
        libcontainer::capabilities::drop_privileges(&self.capabilities, &LinuxSyscall)
            .step("drop capabilities")?;
        reset_signals().step("reset signals")?;
        if self.init {
            reaper::fork_program(process.user().uid()).step("fork the program from its reaper")?;
        }
        Err(program.execute())
    }
}

/// A program ready to be executed: nothing is allocated any more after this.
struct Program {
    name: String,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    candidates: Vec<CString>,
}

impl Program {
    fn new(arguments: Option<&[String]>, environment: Option<&[String]>) -> Result<Self, Failure> {
        let arguments = arguments.unwrap_or_default();
        let environment = environment.unwrap_or_default();
        let name = arguments.first().filter(|name| !name.is_empty());
        let name = name
            .ok_or_else(|| Failure::Invalid("no command to execute".to_owned()))?
            .clone();
        let path = environment
            .iter()
            .find_map(|variable| variable.strip_prefix("PATH="))
            .unwrap_or_default();
        let candidates = if name.contains('/') {
            vec![name.clone()]
        } else {
            path.split(':')
                .filter(|directory| !directory.is_empty())
                .map(|directory| format!("{directory}/{name}"))
                .collect()
        };
        Ok(Self {
            name,
            arguments: c_strings(arguments)?,
            environment: c_strings(environment)?,
            candidates: c_strings(&candidates)?,
        })
    }

    /// Tries the candidates in turn, as execvp(3) does; returns only when none could be executed.
    fn execute(&self) -> Failure {
        let mut refused = None;
        for candidate in &self.candidates {
            let Err(error) = execve(candidate, &self.arguments, &self.environment);
            match error {
                Errno::ENOENT | Errno::ENOTDIR if !exists(candidate) => {}
                // The file is there, so it is the program named in its first line or ELF header that is missing.
                Errno::ENOENT => return self.refused("its interpreter is missing"),
                Errno::EACCES => refused = Some("permission denied"),
                Errno::ENOEXEC => return self.refused("exec format error"),
                error => return self.refused(error.desc()),
            }
        }
        match refused {
            Some(reason) => self.refused(reason),
            None => Failure::CommandNotFound {
                command: self.name.clone(),
            },
        }
    }

    fn refused(&self, reason: &str) -> Failure {
        Failure::NotExecutable {
            command: self.name.clone(),
            reason: reason.to_owned(),
        }
    }
}

fn exists(path: &CStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())).exists()
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts
        .iter()
        .map(|text| CString::new(text.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| {
            Failure::Invalid("a NUL character in the command or its environment".to_owned())
        })
}

/// Only pipes and terminals: a file or socket of the host keeps its owner.
fn give_streams(uid: u32) -> nix::Result<()> {
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [input.as_fd(), output.as_fd(), error.as_fd()] {
        if is_pipe(stream) || rustix::termios::isatty(stream) {
            nix::unistd::fchown(stream, Some(Uid::from_raw(uid)), None::<Gid>)?;
        }
    }
    Ok(())
}

fn is_pipe(stream: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo
    })
}

/// Ignored signals and the mask survive execve(2); Rust's own start ignores SIGPIPE, the caller may have ignored more.
pub(super) fn reset_signals() -> io::Result<()> {
    // The kernel's `struct sigaction`: all zeros is the default action without flags. libc's function would not touch the
    // two signals that it keeps for itself.
    let default = [0_u64; 4];
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let ignored = std::ptr::null_mut::<u64>();
        // SAFETY: the action is valid for the call, no old one is asked for, and the default action runs no code of ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ignored,
                std::mem::size_of::<u64>(),
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}
