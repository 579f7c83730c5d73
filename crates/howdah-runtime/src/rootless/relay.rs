//! The network of a container whose user has no right to the machine's: a program that speaks for it with ordinary sockets.

use std::path::Path;

/// How a container of an ordinary user reaches the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relay {
    /// Through this program, from a network of its own.
    Program(&'static str),
    /// Not from a network of its own: it has the host's.
    Host {
        /// Why there is nothing better.
        why: &'static str,
    },
}

/// Makes a tap device in the container's network and relays what comes out of it (slirp4netns(1)).
pub(crate) const SLIRP: &str = "slirp4netns";
/// Where it is looked for.
pub(crate) const DIRECTORIES: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
const TUN: &str = "/dev/net/tun";

/// What there is on this machine.
pub fn relay() -> Relay {
    let is_installed = DIRECTORIES
        .split(':')
        .any(|directory| Path::new(directory).join(SLIRP).is_file());
    if !is_installed {
        return Relay::Host {
            why: "slirp4netns is not installed",
        };
    }
    if !is_usable(Path::new(TUN)) {
        return Relay::Host {
            why: "/dev/net/tun may not be used",
        };
    }
    Relay::Program(SLIRP)
}

fn is_usable(device: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(device, Access::READ_OK | Access::WRITE_OK).is_ok()
}
