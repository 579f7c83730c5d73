//! From a validated program to a process: own session, clean signals, its user, its streams, and none of our descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, fchown, getpid, getppid, setgid, setgroups, setsid, setuid};

use super::log::Stream;
use crate::program::{Identity, Program, Sink};

/// A process that was made, with the reading ends of the streams we merge.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) pipes: Vec<(File, Stream)>,
}

/// Starts `program`; with `share` it writes to our own streams itself.
pub(crate) fn spawn(program: &Program, share: bool) -> io::Result<Spawned> {
    let mut pipes = Vec::new();
    let mut command = prepare(program, &program.command, program.policy.stop_signal)?;
    let stdout = open(&program.stdout, share, program, &mut pipes)?;
    let stderr = if program.stderr == program.stdout {
        stdout.as_ref().map(OwnedFd::try_clone).transpose()?
    } else {
        open(&program.stderr, share, program, &mut pipes)?
    };
    command.stdout(stdout.map_or_else(Stdio::null, Stdio::from));
    command.stderr(stderr.map_or_else(Stdio::null, Stdio::from));
    let pid = start(command)?;
    Ok(Spawned { pid, pipes })
}

/// Starts a check beside `program`, in its directory, environment and user; what it prints is not kept.
pub(crate) fn spawn_check(program: &Program, words: &[String]) -> io::Result<i32> {
    let mut command = prepare(program, words, Signal::SIGKILL)?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    start(command)
}

/// Marks every descriptor we inherited beyond the standard three as ours alone.
pub(crate) fn keep_inherited_descriptors() -> io::Result<()> {
    // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC changes only what happens at exec; no descriptor is closed, so
    // none that Rust owns can dangle.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn start(mut command: Command) -> io::Result<i32> {
    // Not waited for here: waitpid(-1) reaps it with everything else, and dropping `Child` neither kills nor waits.
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn prepare(program: &Program, words: &[String], death: Signal) -> io::Result<Command> {
    let (executable, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(executable);
    command.args(arguments).stdin(Stdio::null());
    command.envs(program.environment.iter().map(|(key, value)| (key, value)));
    // supervisord sets the same ("Subprocess Environment").
    command.env("SUPERVISOR_ENABLED", "1");
    command.env("SUPERVISOR_PROCESS_NAME", &program.name);
    command.env("SUPERVISOR_GROUP_NAME", &program.group);
    if let Some(directory) = &program.directory {
        check_directory(directory)?;
        command.current_dir(directory);
    }
    let supervisor = getpid();
    let setup = Setup {
        identity: program.identity.clone(),
        umask: program.umask.map(Mode::from_bits_truncate),
        // The death of PID 1 ends its whole namespace; ours outside of one would leave the programs behind.
        death: (supervisor.as_raw() != 1).then_some((death, supervisor)),
    };
    // SAFETY: `Setup::apply` runs in the single thread of the child between fork and exec; it only makes system calls
    // and reads memory prepared before the fork: it allocates nothing, takes no lock, and keeps no descriptor.
    unsafe { command.pre_exec(move || setup.apply()) };
    Ok(command)
}

/// The error of a missing directory would read as one of a missing executable.
fn check_directory(directory: &Path) -> io::Result<()> {
    let metadata = fs_err::metadata(directory)?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// What the child does to itself before exec.
struct Setup {
    identity: Option<Identity>,
    umask: Option<Mode>,
    /// The signal it gets when we die, and who we are.
    death: Option<(Signal, Pid)>,
}

impl Setup {
    fn apply(&self) -> io::Result<()> {
        // A session of its own: its process group is its pid, and Ctrl-C on our terminal reaches only us.
        setsid()?;
        reset_dispositions();
        SigSet::empty().thread_set_mask()?;
        if let Some(mask) = self.umask {
            umask(mask);
        }
        if let Some(identity) = &self.identity {
            setgroups(&identity.groups)?;
            setgid(identity.group)?;
            setuid(identity.user)?;
        }
        if let Some((signal, supervisor)) = self.death {
            // After setuid: prctl(2) says that a change of credentials clears it.
            set_pdeathsig(signal)?;
            if getppid() != supervisor {
                // We died before the line above, and nothing would have told the child.
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        Ok(())
    }
}

/// Every signal back to its default: what our parent ignored (`nohup`), and SIGPIPE, which Rust ignores.
fn reset_dispositions() {
    // The kernel's `struct sigaction`, all zero: SIG_DFL, no flags, no restorer, an empty mask.
    let default = [0_usize; 4];
    for number in 1..=64 {
        let old = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: rt_sigaction(2) reads at most the four words of `default`, with the kernel's 8-byte signal mask, and
        // writes nothing. It is called directly because the C library refuses signals 32 to 34, its own; no handler
        // of it is lost, because the next thing this process does is exec. KILL and STOP are refused, which is right.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                old,
                8_usize,
            )
        };
    }
}

/// The writing end of one stream. `None` is /dev/null.
fn open(
    sink: &Sink,
    share: bool,
    program: &Program,
    pipes: &mut Vec<(File, Stream)>,
) -> io::Result<Option<OwnedFd>> {
    let stream = match sink {
        Sink::Discard => return Ok(None),
        Sink::File(path) => {
            let file = fs_err::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?;
            own(&file, program)?;
            return Ok(Some(file.into_parts().0.into()));
        }
        Sink::Stdout if share => return io::stdout().as_fd().try_clone_to_owned().map(Some),
        Sink::Stderr if share => return io::stderr().as_fd().try_clone_to_owned().map(Some),
        Sink::Stdout => Stream::Stdout,
        Sink::Stderr => Stream::Stderr,
    };
    let (reader, writer) = io::pipe()?;
    let reader = File::from(OwnedFd::from(reader));
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    own(&writer, program)?;
    pipes.push((reader, stream));
    Ok(Some(writer.into()))
}

/// Gives the stream to the program's user, who could not open /dev/stdout otherwise.
fn own(file: &impl AsFd, program: &Program) -> io::Result<()> {
    match &program.identity {
        Some(identity) => Ok(fchown(file, Some(identity.user), Some(identity.group))?),
        None => Ok(()),
    }
}
