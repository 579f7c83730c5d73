//! Device nodes of the host that a container is given.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::device_filter::{Kind, Rule};
use super::root::{normalise, stat};
use crate::protocol::{Failure, Step};
use crate::{ContainerSpec, Device};

/// A device node of the host.
#[derive(Debug, Clone)]
pub(super) struct HostDevice {
    target: PathBuf,
    kind: Kind,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    permissions: String,
}

impl HostDevice {
    /// Those that the specification asks for.
    pub(super) fn of(spec: &ContainerSpec) -> Result<Vec<Self>, Failure> {
        if spec.security.privileged {
            return Self::all().step("list the host's devices");
        }
        spec.devices.iter().map(Self::find).collect()
    }

    /// Looks at the host's node.
    fn find(device: &Device) -> Result<Self, Failure> {
        let target = normalise(&device.target);
        if !target.starts_with("/dev") {
            return Err(Failure::Invalid(format!(
                "device target `{}` is not below /dev",
                target.display()
            )));
        }
        if device
            .permissions
            .chars()
            .any(|letter| !"rwm".contains(letter))
        {
            return Err(Failure::Invalid(format!(
                "device permissions `{}` are not of `rwm`",
                device.permissions
            )));
        }
        let found = fs_err::canonicalize(&device.source).and_then(|source| stat(&source));
        let found = found.step(&format!("find device `{}`", device.source.display()))?;
        Self::from_stat(target, &found, &device.permissions)
            .ok_or_else(|| Failure::Invalid(format!("`{}` is no device", device.source.display())))
    }

    /// All of the host's, for a privileged container; not those that the container has of its own.
    fn all() -> io::Result<Vec<Self>> {
        const OWN: [&str; 5] = ["pts", "shm", "mqueue", "fd", "console"];
        let mut devices = Vec::new();
        let mut directories = vec![PathBuf::from("/dev")];
        while let Some(directory) = directories.pop() {
            for entry in fs_err::read_dir(&directory)? {
                let path = entry?.path();
                let own = path
                    .strip_prefix("/dev")
                    .is_ok_and(|name| OWN.iter().any(|own| name == Path::new(own)));
                let Some(found) = stat(&path).ok().filter(|_| !own) else {
                    continue;
                };
                if rustix::fs::FileType::from_raw_mode(found.st_mode)
                    == rustix::fs::FileType::Directory
                {
                    directories.push(path);
                } else if path != Path::new("/dev/ptmx") {
                    devices.extend(Self::from_stat(path, &found, "rwm"));
                }
            }
        }
        Ok(devices)
    }

    /// The rule of the unified hierarchy for it.
    pub(super) fn rule(&self) -> Rule {
        Rule::new(self.kind, self.major, self.minor, &self.permissions)
    }

    fn from_stat(target: PathBuf, found: &rustix::fs::Stat, permissions: &str) -> Option<Self> {
        let kind = match rustix::fs::FileType::from_raw_mode(found.st_mode) {
            rustix::fs::FileType::CharacterDevice => Kind::Character,
            rustix::fs::FileType::BlockDevice => Kind::Block,
            _ => return None,
        };
        Some(Self {
            target,
            kind,
            major: rustix::fs::major(found.st_rdev),
            minor: rustix::fs::minor(found.st_rdev),
            mode: found.st_mode & 0o777,
            uid: found.st_uid,
            gid: found.st_gid,
            permissions: if permissions.is_empty() {
                "rwm".to_owned()
            } else {
                permissions.to_owned()
            },
        })
    }

    /// Its entry of `linux.devices`.
    pub(super) fn node(&self) -> Value {
        json!({
            "path": self.target, "type": self.letter(), "major": self.major, "minor": self.minor,
            "fileMode": self.mode, "uid": self.uid, "gid": self.gid,
        })
    }

    /// The rule of the version 1 hierarchy for it.
    pub(super) fn cgroup_rule(&self) -> Value {
        json!({
            "allow": true, "type": self.letter(), "major": self.major, "minor": self.minor, "access": self.permissions,
        })
    }

    fn letter(&self) -> &'static str {
        match self.kind {
            Kind::Block => "b",
            Kind::Character => "c",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_below_dev_are_taken() {
        let device = |source: &str, target: &str| {
            HostDevice::find(&Device {
                source: source.into(),
                target: target.into(),
                permissions: String::new(),
            })
        };
        assert_eq!(
            device("/dev/null", "/dev/nothing").unwrap().node()["major"],
            1
        );
        assert!(device("/dev/null", "/dev/../etc/x").is_err());
        assert!(device("/etc/passwd", "/dev/x").is_err());
        assert!(device("/dev/missing", "/dev/x").is_err());
    }
}
