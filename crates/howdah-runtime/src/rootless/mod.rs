//! A place in which an ordinary user is root: a user namespace with as many ids as the machine grants, and a mount
//! namespace that belongs to it (`user_namespaces(7)`, `mount_namespaces(7)`).
//!
//! The calling process itself moves in; nothing is executed again and no process stays outside. Only the maps of ids need
//! somebody outside: a forked child, gone before [`enter`] returns, runs newuidmap(1) and newgidmap(1).

mod outside;
mod relay;
mod subordinate;

use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use serde::{Deserialize, Serialize};

use outside::{Maps, Outside};
pub(crate) use relay::{DIRECTORIES, SLIRP};
pub use relay::{Relay, relay};
use subordinate::Range;

/// The inode of the first user namespace (`PROC_USER_INIT_INO`, `include/linux/proc_ns.h`; part of the kernel's interface
/// since 6.17 as `USER_NS_INIT_INO`).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The ids that exist in the namespace, and so in the images that are built in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// Root and as many others.
    Many {
        /// Without root.
        others: u32,
    },
    /// Root only: nothing can belong to anybody else.
    Single(WhySingle),
}

/// Why only one id could be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhySingle {
    /// No range is granted to the user.
    NoRange {
        /// The file in which one is missing.
        file: String,
        /// The user's name, or its number when it has none.
        user: String,
    },
    /// A program that writes maps is not installed.
    NoProgram {
        /// Which.
        program: String,
    },
    /// The maps were refused.
    Refused {
        /// In the words of the program, or of the kernel.
        message: String,
    },
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootlessError {
    /// The kernel, its configuration or a surrounding container refuses user namespaces.
    #[error("cannot make a user namespace")]
    Refused {
        /// The system's reason.
        source: io::Error,
    },
    /// There is a namespace, but root has no power in it.
    #[error("the user namespace has no right to mount")]
    Powerless {
        /// The system's reason.
        source: io::Error,
    },
    /// The maps of ids could not be written.
    #[error("cannot map ids into the user namespace: {message}")]
    Map {
        /// What failed, in the words of the program that did.
        message: String,
    },
    /// Something on the way failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl RootlessError {
    fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

/// Whether this process lacks what containers need: it is not root, or a root that may not mount.
pub fn is_needed() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let may_mount =
        || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    !rustix::process::geteuid().is_root() || !may_mount()
}

/// Moves the calling process into a new user namespace, in which it is root, and a mount namespace. To be called before any
/// thread exists; there is no way back.
///
/// The ids are the user's own as root and its ranges of /etc/subuid and /etc/subgid; without those, or without
/// newuidmap(1), root alone. A root without the right to mount keeps all its ids.
pub fn enter() -> Result<Ids, RootlessError> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let ids = match wanted_maps(uid, gid)? {
        Ok(maps) => {
            let outside = Outside::start()?;
            leave()?;
            outside.write(&maps)?
        }
        Err(why) => {
            leave()?;
            Ids::Single(why)
        }
    };
    if let Ids::Single(_) = ids {
        map_single(uid, gid).map_err(RootlessError::io("map the own id"))?;
    }
    // Mounts of the host still arrive, ours stay here. It is also the first thing that needs the namespace's powers.
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(|error| RootlessError::Powerless {
        source: error.into(),
    })?;
    Ok(ids)
}

fn leave() -> Result<(), RootlessError> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|error| {
        RootlessError::Refused {
            source: error.into(),
        }
    })
}

/// Whether this process is in another user namespace than the first, where alone `trusted.*` attributes, device nodes and
/// control groups are root's.
pub fn is_inside() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata("/proc/self/ns/user").is_ok_and(|found| found.ino() != INITIAL_NAMESPACE)
}

/// Whether processes here may choose their supplementary groups; in a namespace of a single id they may not (setgroups(2)
/// could take a group away that denies something).
pub(crate) fn may_set_groups() -> bool {
    fs_err::read_to_string("/proc/self/setgroups").is_ok_and(|answer| answer.trim() == "allow")
}

/// Whether root is the only one here.
pub(crate) fn is_single() -> bool {
    outside::own_map("/proc/self/uid_map").is_ok_and(|extents| matches!(extents[..], [[_, _, 1]]))
}

fn wanted_maps(uid: u32, gid: u32) -> Result<Result<Maps, WhySingle>, RootlessError> {
    if uid == 0 {
        let own = |file| outside::own_map(file).map_err(RootlessError::io("read the own ids"));
        return Ok(Ok(Maps {
            uids: own("/proc/self/uid_map")?,
            gids: own("/proc/self/gid_map")?,
            by_program: false,
        }));
    }
    let ranges = |file: &'static str| -> Result<Result<Vec<Range>, WhySingle>, RootlessError> {
        let found = subordinate::of_user(file, uid)
            .map_err(RootlessError::io("read the subordinate ids"))?;
        if found.is_empty() {
            let user = subordinate::name_of(uid).unwrap_or_else(|| uid.to_string());
            let file = file.to_owned();
            return Ok(Err(WhySingle::NoRange { file, user }));
        }
        Ok(Ok(found))
    };
    Ok(match (ranges("/etc/subuid")?, ranges("/etc/subgid")?) {
        (Ok(uids), Ok(gids)) => Ok(Maps {
            uids: subordinate::map(uid, &uids),
            gids: subordinate::map(gid, &gids),
            by_program: true,
        }),
        (Err(why), _) | (_, Err(why)) => Err(why),
    })
}

/// What everybody may write for himself (`user_namespaces(7)`, "Defining user and group ID mappings").
fn map_single(uid: u32, gid: u32) -> io::Result<()> {
    fs_err::write("/proc/self/setgroups", "deny")?;
    fs_err::write("/proc/self/uid_map", format!("0 {uid} 1\n"))?;
    fs_err::write("/proc/self/gid_map", format!("0 {gid} 1\n"))
}
