//! Which capabilities the container's program gets (capabilities(7)).

use std::collections::BTreeSet;

use libcontainer::oci_spec::runtime::LinuxCapabilities;
use serde_json::json;

use crate::Security;
use crate::protocol::{Failure, Step};

/// Docker's default set.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// All the kernel has, by number (include/uapi/linux/capability.h).
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Names without `CAP_`, sorted.
pub(super) type Names = BTreeSet<&'static str>;

/// The set for a container, by Docker's rules: `--cap-drop ALL` first, then what is added, then what is dropped by name.
pub(super) fn granted(security: &Security) -> Result<Names, Failure> {
    granted_of(security, &all())
}

/// All that this process has, and so could give away: the kernel's, unless the machine itself is confined.
pub(super) fn all() -> Names {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let bits = permitted
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or_default();
    ALL.into_iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| name)
        .collect()
}

fn granted_of(security: &Security, available: &Names) -> Result<Names, Failure> {
    if security.privileged {
        return Ok(available.clone());
    }
    let is_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let mut names: Names = if is_all(&security.cap_add) {
        available.clone()
    } else if is_all(&security.cap_drop) {
        Names::new()
    } else {
        DEFAULT
            .into_iter()
            .filter(|name| available.contains(name))
            .collect()
    };
    for name in security
        .cap_add
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case("all"))
    {
        let name = canonical(name)?;
        if !available.contains(name) {
            return Err(Failure::Invalid(format!(
                "this machine has no capability `{name}` to give"
            )));
        }
        names.insert(name);
    }
    for name in security
        .cap_drop
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case("all"))
    {
        names.remove(canonical(name)?);
    }
    Ok(names)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Names {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let security = Security {
            cap_add: list(add),
            cap_drop: list(drop),
            ..Security::default()
        };
        granted_of(
            &security,
            &ALL.into_iter()
                .filter(|name| *name != "SYS_RESOURCE")
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn additions_and_drops_follow_docker() {
        assert_eq!(names(&[], &[]).len(), 14);
        assert_eq!(
            names(&["NET_BIND_SERVICE"], &["ALL"]),
            Names::from(["NET_BIND_SERVICE"])
        );
        assert!(names(&["cap_sys_admin"], &["Cap_Chown"]).contains("SYS_ADMIN"));
        assert!(!names(&["ALL"], &["CAP_CHOWN"]).contains("CHOWN"));
        assert_eq!(names(&["ALL"], &[]).len(), ALL.len() - 1);
    }

    #[test]
    fn an_unknown_name_is_told() {
        let security = Security {
            cap_add: vec!["CAP_FLY".to_owned()],
            ..Security::default()
        };
        assert!(
            granted(&security)
                .unwrap_err()
                .to_string()
                .contains("CAP_FLY")
        );
        assert_eq!(
            sets(&Names::from(["CHOWN"]))
                .unwrap()
                .bounding()
                .as_ref()
                .unwrap()
                .len(),
            1
        );
    }
}
