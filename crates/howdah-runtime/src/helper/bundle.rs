//! The OCI bundle of a container: its config.json, by the OCI runtime specification with Docker's defaults.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::devices::HostDevice;
use super::root::normalise;
use super::user::User;
use super::{files, mounts};
use crate::protocol::{Failure, Step};
use crate::records::{Entry, write};
use crate::{ContainerSpec, ExecSpec, Limits, Network, Ulimit};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Kernel interfaces that tell or change what is not the container's.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// Of a processor's time the limit counts in, as Docker does (`cpu.cfs_period_us`).
const CPU_PERIOD_MICROSECONDS: u64 = 100_000;

/// What config.json says beside the specification.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) entry: &'a Entry,
    pub(super) user: &'a User,
    pub(super) devices: &'a [HostDevice],
    pub(super) mounts: &'a [mounts::Planned],
    pub(super) cgroups_path: &'a str,
    /// The network namespace to join, of another container.
    pub(super) network_of: Option<u32>,
}

/// Writes config.json into the container's bundle.
pub(super) fn write_config(spec: &ContainerSpec, context: &Context<'_>) -> Result<(), Failure> {
    let mut linux = json!({
        "namespaces": namespaces(spec, context.network_of),
        "cgroupsPath": context.cgroups_path,
        "resources": resources(spec, context.devices),
        "sysctl": spec.sysctls,
        "devices": context.devices.iter().map(HostDevice::node).collect::<Vec<_>>(),
        "rootfsPropagation": "private",
    });
    if !spec.security.privileged {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "root": { "path": context.entry.rootfs(), "readonly": spec.read_only },
        "process": process(spec, context.user)?,
        "hostname": files::hostname(spec),
        "mounts": context.mounts.iter().map(mounts::Planned::to_json).collect::<Vec<_>>(),
        "linux": linux,
    });
    if let Some(domain) = spec.domainname.as_ref().filter(|domain| !domain.is_empty()) {
        config["domainname"] = json!(domain);
    }
    write(&context.entry.bundle().join("config.json"), &config)
        .step("write the container's configuration")
}

/// The process of one more program in a running container, as libcontainer reads it from a file.
pub(super) fn exec_process(
    spec: &ContainerSpec,
    process: &ExecSpec,
    user: &User,
) -> Result<Value, Failure> {
    let mut merged = spec.clone();
    merged.args.clone_from(&process.args);
    merged.terminal = process.terminal;
    if let Some(cwd) = &process.cwd {
        merged.cwd.clone_from(cwd);
    }
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let overridden: Vec<String> = process.env.iter().map(|variable| name(variable)).collect();
    merged
        .env
        .retain(|variable| !overridden.contains(&name(variable)));
    merged.env.extend(process.env.iter().cloned());
    self::process(&merged, user)
}

/// The working directory as given, or the root.
pub(super) fn working_directory(spec: &ContainerSpec) -> Result<PathBuf, Failure> {
    if spec.cwd.is_empty() {
        return Ok(PathBuf::from("/"));
    }
    if !spec.cwd.starts_with('/') {
        return Err(Failure::Invalid(format!(
            "working directory `{}` is not an absolute path",
            spec.cwd
        )));
    }
    Ok(normalise(Path::new(&spec.cwd)))
}

fn process(spec: &ContainerSpec, user: &User) -> Result<Value, Failure> {
    if spec.args.first().is_none_or(String::is_empty) {
        return Err(Failure::Invalid("no command to execute".to_owned()));
    }
    // Neither capabilities nor a filter: the launch gives up the ones and loads the other.
    let mut process = json!({
        "terminal": spec.terminal,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups, "umask": 0o022 },
        "args": spec.args,
        "env": environment(spec, user),
        "cwd": working_directory(spec)?,
        "rlimits": rlimits(&spec.limits)?,
    });
    if spec.security.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    Ok(process)
}

fn environment(spec: &ContainerSpec, user: &User) -> Vec<String> {
    let mut environment = spec.env.clone();
    let mut default = |name: &str, value: &str| {
        let is_set = |variable: &String| {
            variable
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        if !environment.iter().any(is_set) {
            environment.push(format!("{name}={value}"));
        }
    };
    default("PATH", DEFAULT_PATH);
    if !spec.build_step {
        default("HOSTNAME", &files::hostname(spec));
    }
    default("HOME", &user.home);
    if spec.terminal {
        default("TERM", "xterm");
    }
    environment
}

fn rlimits(limits: &Limits) -> Result<Vec<Value>, Failure> {
    limits
        .ulimits
        .iter()
        .map(|limit| {
            if !Ulimit::NAMES.contains(&limit.name.as_str()) {
                return Err(Failure::Invalid(format!(
                    "unknown resource limit `{}`",
                    limit.name
                )));
            }
            if limit.soft > limit.hard {
                return Err(Failure::Invalid(format!(
                    "soft limit of `{}` is above its hard limit",
                    limit.name
                )));
            }
            let name = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
            Ok(json!({ "type": name, "soft": limit.soft, "hard": limit.hard }))
        })
        .collect()
}

fn namespaces(spec: &ContainerSpec, network_of: Option<u32>) -> Vec<Value> {
    let mut namespaces: Vec<Value> = ["pid", "mount", "uts", "ipc", "cgroup"]
        .iter()
        .map(|name| json!({ "type": name }))
        .collect();
    match (&spec.network, network_of) {
        (Network::Host, _) => {}
        (_, Some(pid)) => {
            namespaces.push(json!({ "type": "network", "path": format!("/proc/{pid}/ns/net") }));
        }
        _ => namespaces.push(json!({ "type": "network" })),
    }
    namespaces
}

fn resources(spec: &ContainerSpec, devices: &[HostDevice]) -> Value {
    let limits = &spec.limits;
    let mut resources = json!({});
    if let Some(memory) = limits.memory_bytes {
        let limit = signed(memory);
        resources["memory"] = json!({ "limit": limit });
        if has_swap_limit() {
            let swap = match limits.memory_swap_bytes {
                Some(u64::MAX) => -1,
                Some(swap) => signed(swap),
                None => limit.saturating_mul(2),
            };
            resources["memory"]["swap"] = json!(swap);
        }
    }
    if let Some(cpus) = limits.cpus {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of a float to an integer saturates"
        )]
        #[expect(clippy::cast_precision_loss, reason = "the period is exact")]
        let quota = (cpus * CPU_PERIOD_MICROSECONDS as f64).round() as i64;
        // The kernel's least (kernel/sched/core.c, min_cfs_quota_period).
        resources["cpu"] = json!({ "quota": quota.max(1000), "period": CPU_PERIOD_MICROSECONDS });
    }
    if let Some(pids) = limits.pids {
        resources["pids"] = json!({ "limit": signed(pids) });
    }
    let mut rules =
        vec![json!({ "allow": spec.security.privileged, "type": "a", "access": "rwm" })];
    if !spec.security.privileged {
        rules.extend(devices.iter().map(HostDevice::cgroup_rule));
    }
    resources["devices"] = json!(rules);
    resources
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Version 1 kernels may be built or booted without an account of swap; Docker drops the limit too then.
fn has_swap_limit() -> bool {
    let version_one = Path::new("/sys/fs/cgroup/memory");
    !version_one.exists() || version_one.join("memory.memsw.limit_in_bytes").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ulimit;

    fn user() -> User {
        User {
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
            home: "/home/app".to_owned(),
        }
    }

    #[test]
    fn the_environment_is_completed_not_overridden() {
        let spec = ContainerSpec {
            id: "web".to_owned(),
            env: vec!["PATH=/bin".to_owned(), "HOMEPAGE=x".to_owned()],
            ..ContainerSpec::default()
        };
        let environment = environment(&spec, &user());
        assert_eq!(
            environment,
            ["PATH=/bin", "HOMEPAGE=x", "HOSTNAME=web", "HOME=/home/app"]
        );
    }

    #[test]
    fn an_executed_process_overrides_variables() {
        let spec = ContainerSpec {
            args: vec!["sleep".to_owned()],
            env: vec!["A=1".to_owned(), "B=2".to_owned()],
            ..ContainerSpec::default()
        };
        let exec = ExecSpec {
            args: vec!["env".to_owned()],
            env: vec!["A=3".to_owned()],
            ..ExecSpec::default()
        };
        let process = exec_process(&spec, &exec, &user()).unwrap();
        assert_eq!(process["args"], json!(["env"]));
        assert_eq!(
            process["env"].as_array().unwrap()[..2],
            [json!("B=2"), json!("A=3")]
        );
    }

    #[test]
    fn limits_are_checked() {
        let limit = |name: &str, soft, hard| Limits {
            ulimits: vec![Ulimit {
                name: name.to_owned(),
                soft,
                hard,
            }],
            ..Limits::default()
        };
        assert_eq!(
            rlimits(&limit("nofile", 1, 2)).unwrap()[0]["type"],
            "RLIMIT_NOFILE"
        );
        assert!(rlimits(&limit("files", 1, 2)).is_err());
        assert!(rlimits(&limit("nofile", 3, 2)).is_err());
    }

    #[test]
    fn half_a_processor_is_half_a_period() {
        let mut spec = ContainerSpec::default();
        spec.limits.cpus = Some(0.5);
        assert_eq!(resources(&spec, &[])["cpu"]["quota"], 50_000);
        spec.limits.cpus = Some(-1.0);
        assert_eq!(resources(&spec, &[])["cpu"]["quota"], 1000);
    }
}
