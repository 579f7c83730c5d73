//! The zygote: it forks workers at the front's order and reaps them. It has one thread and serves no client.

use std::io::IoSlice;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use howdah_wire::LogLine;
use howdah_wire::control::{DESCRIPTOR, Event, Exit, MAX_MESSAGE, Order, WIRE_VERSION};
use howdah_wire::ledger;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::ForkResult;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, WaitOptions, kill_process, pidfd_open, setsid, waitpid};

use crate::shim;
use crate::worker::Birth;

/// Bytes of an order. What the zygote writes to between two forks is copied for it: the less the better.
const MAX_ORDER: usize = 256;
/// How long workers may go on when the front is gone.
const ORPHANED: Duration = Duration::from_secs(30);
/// After which PHP's shared memory is looked at again for the first time; then after twice as long each time.
const FILLED: Duration = Duration::from_secs(2);

/// What the process is before PHP starts: no signal of a terminal or of a service manager that means the front ends a request,
/// and a crash in PHP ends the process.
pub(crate) fn prepare_process() -> nix::Result<()> {
    let set = |signal, handler, flags| {
        let action = SigAction::new(handler, flags, SigSet::empty());
        // SAFETY: the handler does nothing.
        unsafe { sigaction(signal, &action) }.map(drop)
    };
    // A handler, not SIG_IGN: programs that PHP starts inherit that.
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        set(signal, SigHandler::Handler(nothing), SaFlags::SA_RESTART)?;
    }
    // Rust's own handler tells a stack overflow of Rust from other faults, and swallows a SIGSEGV that was sent.
    for signal in [Signal::SIGSEGV, Signal::SIGBUS] {
        set(signal, SigHandler::SigDfl, SaFlags::empty())?;
    }
    // Fails for a leader of a process group, which has a session of its own already.
    let _ = setsid();
    Ok(())
}

extern "C" fn nothing(_signal: i32) {}

#[derive(Debug)]
pub(crate) struct Zygote {
    control: BorrowedFd<'static>,
    started: Instant,
    children: Vec<Child>,
    /// The front is gone.
    orphaned: bool,
    /// When PHP's shared memory is looked at.
    look_at: Instant,
    looked_after: Duration,
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Default for Zygote {
    fn default() -> Zygote {
        Zygote::new()
    }
}

impl Zygote {
    fn new() -> Zygote {
        let started = Instant::now();
        Zygote {
            // SAFETY: the front gives the socket as this descriptor; in a zygote it is never closed.
            control: unsafe { BorrowedFd::borrow_raw(DESCRIPTOR) },
            started,
            children: Vec::new(),
            orphaned: false,
            look_at: started,
            looked_after: FILLED,
        }
    }

    /// One that has said what it speaks.
    pub(crate) fn greet() -> Zygote {
        let zygote = Zygote::new();
        zygote.send(&Event::Hello { wire: WIRE_VERSION });
        zygote
    }

    /// Serves the front; returns in forked workers only, and otherwise ends the process.
    pub(crate) fn run(mut self) -> Birth {
        self.look_at_memory();
        self.send(&Event::Booted {
            php_version: shim::version(),
            milliseconds: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        loop {
            match self.wait() {
                Wake::Order(Order::Fork) => {
                    if let Some(birth) = self.fork() {
                        return birth;
                    }
                }
                Wake::Children => self.reap(),
                Wake::Orphaned => self.orphaned = true,
                Wake::Late if self.orphaned => self.kill_all(),
                Wake::Late => self.look_at_memory(),
            }
            if self.orphaned && self.children.is_empty() {
                leave(0);
            }
        }
    }

    fn wait(&self) -> Wake {
        loop {
            let children = self
                .children
                .iter()
                .map(|child| PollFd::new(&child.pidfd, PollFlags::IN));
            let control = (!self.orphaned).then(|| PollFd::new(&self.control, PollFlags::IN));
            let mut polled: Vec<_> = children.chain(control).collect();
            let timeout = self.timeout();
            if timeout == Timespec::default() {
                return Wake::Late;
            }
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Wake::Late,
                Ok(_) => {}
                Err(_) => continue,
            }
            let ended = |fds: &[PollFd<'_>]| fds.iter().any(|fd| !fd.revents().is_empty());
            if ended(&polled[..self.children.len()]) {
                return Wake::Children;
            }
            drop(polled);
            if let Some(wake) = self.receive() {
                return wake;
            }
        }
    }

    fn timeout(&self) -> Timespec {
        let left = if self.orphaned {
            ORPHANED
        } else {
            self.look_at.saturating_duration_since(Instant::now())
        };
        // It always fits; if it did not, the zygote would wait for less.
        Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        })
    }

    /// The workers fill it with the scripts that they compile.
    fn look_at_memory(&mut self) {
        shim::use_huge_pages();
        self.look_at = Instant::now() + self.looked_after;
        self.looked_after *= 2;
    }

    fn receive(&self) -> Option<Wake> {
        let mut message = [0; MAX_ORDER];
        match recv(self.control, &mut message[..], RecvFlags::empty()) {
            Ok((0, _)) => Some(Wake::Orphaned),
            Ok((length, _)) => match serde_json::from_slice(&message[..length]) {
                Ok(order) => Some(Wake::Order(order)),
                Err(error) => {
                    let line = LogLine::new(8, format!("an order is not understood: {error}"));
                    self.send(&Event::Log(line));
                    None
                }
            },
            Err(Errno::INTR) => None,
            Err(_) => Some(Wake::Orphaned),
        }
    }

    /// In the child: what it works with.
    fn fork(&mut self) -> Option<Birth> {
        match self.try_fork() {
            Ok(birth) => birth,
            Err(error) => {
                self.send(&Event::ForkFailed {
                    message: error.to_string(),
                });
                None
            }
        }
    }

    fn try_fork(&mut self) -> Result<Option<Birth>, Errno> {
        let (front, socket) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let ledger = memfd_create(c"howdah-ledger", MemfdFlags::CLOEXEC)?;
        ftruncate(&ledger, ledger::LENGTH as u64)?;
        // SAFETY: the process has one thread, so the child may go on as this one would.
        match unsafe { nix::unistd::fork() }
            .map_err(|error| Errno::from_raw_os_error(error as i32))?
        {
            ForkResult::Child => {
                self.children.clear();
                // SAFETY: the control socket is the zygote's; `self` is dropped before anything of the child could use it.
                drop(unsafe { OwnedFd::from_raw_fd(DESCRIPTOR) });
                shim::after_fork(socket.as_raw_fd());
                Ok(Some(Birth { socket, ledger }))
            }
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).ok_or(Errno::SRCH)?;
                let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
                let event = Event::Worker {
                    pid: child.as_raw(),
                };
                self.send_with(&event, &[front.as_fd(), pidfd.as_fd(), ledger.as_fd()]);
                self.children.push(Child { pid, pidfd });
                Ok(None)
            }
        }
    }

    fn reap(&mut self) {
        let mut ended = Vec::new();
        self.children.retain(|child| match exit_of(child.pid) {
            None => true,
            Some(status) => {
                ended.push((child.pid, status));
                false
            }
        });
        for (pid, status) in ended {
            self.send(&Event::Exited {
                pid: pid.as_raw_nonzero().get(),
                status,
            });
        }
    }

    fn kill_all(&self) {
        for child in &self.children {
            // Not reaped yet, so the pid is still its own.
            let _ = kill_process(child.pid, rustix::process::Signal::KILL);
        }
    }

    /// The children would share these connections: the front starts a zygote that boots in each.
    pub(crate) fn leave_for_connections(&self, peers: Vec<String>) -> ! {
        self.send(&Event::Connections { peers });
        leave(0)
    }

    /// The warm-up opened connections: the same program again, without it.
    pub(crate) fn start_again_cold(&self, peers: &[String]) -> ! {
        let message = format!(
            "the warm-up request left connections open to {}: starting again without it",
            peers.join(", ")
        );
        self.send(&Event::Log(LogLine::new(4, message)));
        let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
        arguments.push("--no-warm-up".into());
        let error = std::os::unix::process::CommandExt::exec(
            std::process::Command::new("/proc/self/exe").args(arguments),
        );
        self.send(&Event::BootFailed {
            status: 255,
            message: format!("the program does not start again: {error}"),
        });
        leave(0)
    }

    pub(crate) fn send(&self, event: &Event) {
        self.send_with(event, &[]);
    }

    /// If the front is gone, the next read tells.
    fn send_with(&self, event: &Event, descriptors: &[BorrowedFd<'_>]) {
        let mut message = serde_json::to_vec(event).unwrap_or_default();
        message.truncate(MAX_MESSAGE);
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let _ = sendmsg(
            self.control,
            &[IoSlice::new(&message)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        );
    }
}

enum Wake {
    Order(Order),
    Children,
    Orphaned,
    /// It is time to look at the memory; or the workers of a front that is gone do not end.
    Late,
}

fn exit_of(pid: Pid) -> Option<Exit> {
    let (_, status) = waitpid(Some(pid), WaitOptions::NOHANG).ok()??;
    if let Some(code) = status.exit_status() {
        return Some(Exit::Code(code));
    }
    status.terminating_signal().map(Exit::Signal)
}

/// Ends the process without what libraries have for its end: OpenSSL's alone frees more than a request used, in pages that a forked
/// process would first have to copy.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: null means all streams; there is one thread.
    unsafe { nix::libc::fflush(std::ptr::null_mut()) };
    // SAFETY: it ends the process; nothing of Rust waits to be written.
    unsafe { nix::libc::_exit(status) }
}
