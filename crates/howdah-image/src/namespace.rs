//! What the user namespace of this process makes different on the disk. An ordinary user's store is filled in one
//! (`user_namespaces(7)`).

use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

use rustix::fs::{Gid, Uid};

/// The inode of the first user namespace (`PROC_USER_INIT_INO`, `include/linux/proc_ns.h`).
const INITIAL: u64 = 0xEFFF_FFFD;

/// Whether device nodes and `trusted.*` attributes cannot be made here.
pub(crate) fn is_restricted() -> bool {
    static RESTRICTED: OnceLock<bool> = OnceLock::new();
    *RESTRICTED.get_or_init(|| {
        fs_err::metadata("/proc/self/ns/user").is_ok_and(|namespace| namespace.ino() != INITIAL)
    })
}

/// Says of a directory in an overlay lower that nothing of lower layers shows through, by the value `y` (kernel
/// documentation, overlayfs.rst). Overlays that are mounted in a user namespace use `user.*` (`userxattr`).
pub fn opaque_attribute() -> &'static str {
    if is_restricted() {
        "user.overlay.opaque"
    } else {
        "trusted.overlay.opaque"
    }
}

/// Whether root here is an ordinary user outside. To that user, files of the other ids are somebody else's.
pub fn is_of_user() -> bool {
    let map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut words = map.split_ascii_whitespace();
    words.next() == Some("0") && words.next().is_some_and(|outside| outside != "0")
}

/// To whom a file is to be given that belongs to these ids: to root where no other id exists. (Where others exist, an id beyond
/// them is an error.)
pub fn owner(uid: u32, gid: u32) -> (Uid, Gid) {
    static SINGLE: OnceLock<bool> = OnceLock::new();
    let is_single = SINGLE.get_or_init(|| {
        let map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_ascii_whitespace().skip(2).eq(["1"])
    });
    if *is_single {
        (Uid::ROOT, Gid::ROOT)
    } else {
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }
}
