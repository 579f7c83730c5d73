//! slirp4netns(1), which speaks for a container in a network of its own with the ordinary sockets of its user.

use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::protocol::{Failure, Step};
use crate::rootless::{DIRECTORIES, SLIRP};

/// Where slirp4netns answers questions for names in its network, 10.0.2.0/24.
pub(super) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// As podman has it: one packet carries what a page of the loopback interface would.
const MTU: &str = "65520";

/// The program at work; ended when dropped, and by the kernel when the helper dies.
#[derive(Debug)]
pub(super) struct Relay(Child);

impl Relay {
    /// Gives the network of process `pid` an interface and a default route. Returns when both are there.
    pub(super) fn start(pid: u32) -> Result<Self, Failure> {
        let step = "connect the container through slirp4netns";
        let (ready, told) = rustix::pipe::pipe().step(step)?;
        // Only its end of the pipe is for the program.
        rustix::io::fcntl_setfd(&ready, rustix::io::FdFlags::CLOEXEC).step(step)?;
        let mut command = Command::new(SLIRP);
        command
            .args(["--configure", "--disable-host-loopback", "--mtu", MTU])
            .args(["--ready-fd", &told.as_raw_fd().to_string()])
            .args([
                "--netns-type",
                "path",
                &format!("/proc/{pid}/ns/net"),
                "tap0",
            ])
            // The helper's own was emptied.
            .env("PATH", DIRECTORIES)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: prctl(2) is async-signal-safe and touches no memory.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let child = command.spawn().step(step)?;
        let mut relay = Self(child);
        drop(told);
        relay.await_ready(ready).step(step)?;
        Ok(relay)
    }

    fn await_ready(&mut self, ready: OwnedFd) -> io::Result<()> {
        let mut told = [0; 1];
        if std::fs::File::from(ready).read(&mut told)? == 1 {
            return Ok(());
        }
        // It has ended, and has said why.
        let mut message = String::new();
        if let Some(errors) = &mut self.0.stderr {
            errors.read_to_string(&mut message)?;
        }
        Err(io::Error::other(message.trim().to_owned()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Ended already is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
