//! Child processes that do not outlive the benchmark, whatever becomes of it.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// For a server to start or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server. Dropped, it is told to end, and waited for.
pub(crate) struct Process {
    child: Child,
    signal: Signal,
}

/// `program`, which gets SIGTERM when the benchmark dies.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command.stdin(Stdio::null());
    command
}

impl Process {
    /// What it says goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Process {
        let file = fs_err::File::create(log).unwrap().into_file();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        let signal = Signal::TERM;
        Process { child, signal }
    }

    /// It ends at this signal.
    pub(crate) fn ended_by(self, signal: Signal) -> Process {
        let mut process = self;
        process.signal = signal;
        process
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `condition` holds; the process must not end before.
    pub(crate) fn wait_until(&mut self, log: &Path, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            let has_ended = self.child.try_wait().unwrap().is_some();
            if has_ended || start.elapsed() > PATIENCE {
                let said = fs_err::read_to_string(log).unwrap_or_default();
                panic!("a server does not start: {said}");
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let mut signal = self.signal;
        let mut told: Option<Instant> = None;
        while let Ok(None) = self.child.try_wait() {
            if told.is_none_or(|told| told.elapsed() >= PATIENCE) {
                // Not waited for yet, so the pid is still its own.
                kill_process(pid, signal).ok();
                (signal, told) = (Signal::KILL, Some(Instant::now()));
            }
            std::thread::yield_now();
        }
    }
}

/// A port that is free at the moment: nginx cannot tell which one the kernel chose.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}
