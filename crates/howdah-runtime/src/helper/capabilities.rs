//! Which capabilities the container's program gets (capabilities(7)).

use std::collections::BTreeSet;

use libcontainer::oci_spec::runtime::LinuxCapabilities;
use serde_json::json;

use crate::Security;
use crate::protocol::{Failure, Step};

/// Docker's default set.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
];
/// All the kernel has, by number (include/uapi/linux/capability.h).
const ALL: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
    "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
];

/// Names without `CAP_`, sorted.
pub(super) type Names = BTreeSet<&'static str>;

/// The set for a container, by Docker's rules: `--cap-drop ALL` first, then what is added, then what is dropped by name.
pub(super) fn granted(security: &Security) -> Result<Names, Failure> {
    let known = last_known();
    if security.privileged {
        return Ok(ALL[..known].iter().copied().collect());
    }
    let is_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let mut names: Names = if is_all(&security.cap_add) {
        ALL[..known].iter().copied().collect()
    } else if is_all(&security.cap_drop) {
        Names::new()
    } else {
        DEFAULT.into_iter().collect()
    };
    for name in security.cap_add.iter().filter(|name| !name.eq_ignore_ascii_case("all")) {
        names.insert(canonical(name)?);
    }
    for name in security.cap_drop.iter().filter(|name| !name.eq_ignore_ascii_case("all")) {
        names.remove(canonical(name)?);
    }
    Ok(names)
}

/// All of the kernel's.
pub(super) fn all() -> Names {
    ALL[..last_known()].iter().copied().collect()
}

/// As libcontainer takes them. Inheritable and ambient stay empty, as Docker has them since CVE-2022-24769.
pub(super) fn sets(names: &Names) -> Result<LinuxCapabilities, Failure> {
    let names: Vec<String> = names.iter().map(|name| format!("CAP_{name}")).collect();
    let none: [&str; 0] = [];
    let sets = json!({
        "bounding": names, "effective": names, "permitted": names, "inheritable": none, "ambient": none,
    });
    serde_json::from_value(sets).step("name the capabilities")
}

fn canonical(name: &str) -> Result<&'static str, Failure> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    ALL.into_iter()
        .find(|known| *known == short)
        .ok_or_else(|| Failure::Invalid(format!("unknown capability `{name}`")))
}

/// How many of [`ALL`] this kernel knows; asking for one it does not know is an error to it.
fn last_known() -> usize {
    let last = fs_err::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    last.and_then(|text| text.trim().parse::<usize>().ok()).map_or(ALL.len(), |last| (last + 1).min(ALL.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Names {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        granted(&Security { cap_add: list(add), cap_drop: list(drop), ..Security::default() }).unwrap()
    }

    #[test]
    fn additions_and_drops_follow_docker() {
        assert_eq!(names(&[], &[]).len(), 14);
        assert_eq!(names(&["NET_BIND_SERVICE"], &["ALL"]), Names::from(["NET_BIND_SERVICE"]));
        assert!(names(&["cap_sys_admin"], &["Cap_Chown"]).contains("SYS_ADMIN"));
        assert!(!names(&["ALL"], &["CAP_CHOWN"]).contains("CHOWN"));
    }

    #[test]
    fn an_unknown_name_is_told() {
        let security = Security { cap_add: vec!["CAP_FLY".to_owned()], ..Security::default() };
        assert!(granted(&security).unwrap_err().to_string().contains("CAP_FLY"));
        assert_eq!(sets(&Names::from(["CHOWN"])).unwrap().bounding().as_ref().unwrap().len(), 1);
    }
}
