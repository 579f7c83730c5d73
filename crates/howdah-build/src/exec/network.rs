//! The network of `RUN`: one bridge for all builds of the machine, there as long as one of them uses it.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use howdah_runtime::network::{
    BridgeSpec, NetworkError, NetworkLock, ensure_bridge, free_subnet, remove_bridge,
};
use howdah_runtime::rootless::{self, Relay};
use howdah_runtime::{Endpoint, Network};
use howdah_solver::Key;
use ipnet::Ipv4Net;
use rustix::fs::{FlockOperation, flock};

use super::RunError;

/// The bridge's name goes on with six digits that belong to the directory: stores kept apart do not take each other's
/// bridge away. Fifteen bytes in all (`IFNAMSIZ`).
const BRIDGE: &str = "howdah-b";
/// Of a /24: the network itself, the gateway and the broadcast address are taken.
const HOSTS: std::ops::RangeInclusive<u32> = 2..=254;

/// Addresses on the bridge. The first one makes the bridge; dropping this removes it if no other build is there.
#[derive(Debug)]
pub(crate) struct BuildNetwork {
    directory: PathBuf,
    bridge: String,
    used: Mutex<Option<Used>>,
    /// In a user namespace, which has no right to a bridge.
    relay: Option<Relay>,
}

#[derive(Debug)]
struct Used {
    subnet: Ipv4Net,
    /// Held shared by every build that uses the bridge.
    _users: File,
}

/// An address that no other step has.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) network: Network,
    /// Of an address on the bridge.
    _lock: Option<File>,
}

impl BuildNetwork {
    /// `directory` is where sockets and locks are, gone after a reboot as the bridge is.
    pub(crate) fn new(directory: &Path) -> BuildNetwork {
        let digest = Key::of(directory.as_os_str().as_bytes()).to_string();
        BuildNetwork {
            directory: directory.join("build-network"),
            bridge: format!("{BRIDGE}{}", &digest[..6]),
            used: Mutex::new(None),
            relay: rootless::is_inside().then(rootless::relay),
        }
    }

    /// Takes a free address.
    pub(crate) fn address(&self) -> Result<Address, RunError> {
        if let Some(relay) = &self.relay {
            let network = match relay {
                Relay::Program(_) => Network::Relayed,
                Relay::Host { .. } => Network::Host,
            };
            return Ok(Address {
                network,
                _lock: None,
            });
        }
        let subnet = self.subnet()?;
        let base = u32::from(subnet.network());
        for host in HOSTS {
            let path = self.directory.join(format!("address-{host}"));
            let lock = open(&path).map_err(RunError::io("open", &path))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let endpoint = Endpoint {
                    bridge: self.bridge.clone(),
                    address: Ipv4Net::new_assert(Ipv4Addr::from(base + host), subnet.prefix_len()),
                    gateway: Some(gateway(subnet)),
                    mac: None,
                };
                return Ok(Address {
                    network: Network::Bridged(vec![endpoint]),
                    _lock: Some(lock),
                });
            }
        }
        Err(RunError::NoAddress {
            subnet: subnet.to_string(),
        })
    }

    fn subnet(&self) -> Result<Ipv4Net, RunError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = &*used {
            return Ok(used.subnet);
        }
        fs_err::create_dir_all(&self.directory).map_err(RunError::io("make", &self.directory))?;
        let gate = self.gate()?;
        let path = self.directory.join("users");
        let users = open(&path).map_err(RunError::io("open", &path))?;
        flock(&users, FlockOperation::LockShared)
            .map_err(io::Error::from)
            .map_err(RunError::io("lock", &path))?;
        let network = |source: NetworkError| RunError::Network { source };
        let file = self.directory.join("subnet");
        let known = fs_err::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let lock = NetworkLock::acquire().map_err(network)?;
        let subnet = match known {
            Some(subnet) => subnet,
            None => free_subnet(&lock, &[], &[]).map_err(network)?,
        };
        ensure_bridge(&lock, &self.spec(subnet)).map_err(network)?;
        fs_err::write(&file, subnet.to_string()).map_err(RunError::io("write", &file))?;
        drop((lock, gate));
        *used = Some(Used {
            subnet,
            _users: users,
        });
        Ok(subnet)
    }

    fn spec(&self, subnet: Ipv4Net) -> BridgeSpec {
        BridgeSpec {
            name: self.bridge.clone(),
            subnet,
            gateway: gateway(subnet),
            internal: false,
        }
    }

    /// Held while a build comes or goes.
    fn gate(&self) -> Result<File, RunError> {
        let path = self.directory.join("gate");
        let gate = open(&path).map_err(RunError::io("open", &path))?;
        flock(&gate, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .map_err(RunError::io("lock", &path))?;
        Ok(gate)
    }
}

impl Drop for BuildNetwork {
    fn drop(&mut self) {
        let used = self
            .used
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(used) = used else { return };
        // What fails here is done by the next build that ends.
        let Ok(_gate) = self.gate() else { return };
        drop(used);
        let Ok(users) = open(&self.directory.join("users")) else {
            return;
        };
        if flock(&users, FlockOperation::NonBlockingLockExclusive).is_ok()
            && NetworkLock::acquire().is_ok_and(|lock| remove_bridge(&lock, &self.bridge).is_ok())
        {
            drop(fs_err::remove_file(self.directory.join("subnet")));
        }
    }
}

fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + 1)
}

fn open(path: &Path) -> io::Result<File> {
    let file = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    Ok(file.into_file())
}
