//! What `RUN` may use up, as flags and as keys of `build:` in a compose.yaml.

use howdah_build::Target;
use howdah_runtime::{Limits, Ulimit, rootless};

use crate::commands::CommandError;
use crate::commands::cache::filter;

/// Microseconds; the kernel's own period (`--cpu-period`).
const DEFAULT_CPU_PERIOD: u32 = 100_000;

/// Flags of `docker build` that bound every `RUN`.
#[derive(Debug, clap::Args)]
pub(super) struct LimitArgs {
    /// The size of /dev/shm in RUN [default: 64m].
    #[arg(long, value_name = "SIZE", value_parser = filter::size)]
    shm_size: Option<u64>,
    /// A limit of RUN's processes, such as nofile=1024:4096; -1 is no limit.
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimits: Vec<Ulimit>,
    /// The control group, as a path, in which RUN's are made.
    #[arg(long, value_name = "GROUP", value_parser = group)]
    cgroup_parent: Option<String>,
    /// The memory of RUN.
    #[arg(short, long, value_name = "SIZE", value_parser = filter::size)]
    memory: Option<u64>,
    /// Memory and swap of RUN together; -1 is no limit [default: twice the memory].
    #[arg(long, value_name = "SIZE", value_parser = swap, allow_hyphen_values = true)]
    memory_swap: Option<u64>,
    /// Microseconds of processor time that RUN has in each period.
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u32).range(1000..))]
    cpu_quota: Option<u32>,
    /// The period of --cpu-quota [default: 100000].
    #[arg(long, value_name = "MICROSECONDS", requires = "cpu_quota", value_parser = clap::value_parser!(u32).range(1000..))]
    cpu_period: Option<u32>,
}

impl LimitArgs {
    /// Over what the target's compose.yaml says.
    pub(super) fn apply(&self, target: &mut Target) -> Result<(), CommandError> {
        let period = self.cpu_period.unwrap_or(DEFAULT_CPU_PERIOD);
        let Limits {
            memory_bytes,
            memory_swap_bytes,
            cpus,
            shm_bytes,
            ulimits,
            ..
        } = &mut target.limits;
        *shm_bytes = self.shm_size.or(*shm_bytes);
        *memory_bytes = self.memory.or(*memory_bytes);
        *memory_swap_bytes = self.memory_swap.or(*memory_swap_bytes);
        *cpus = self
            .cpu_quota
            .map(|quota| f64::from(quota) / f64::from(period))
            .or(*cpus);
        for limit in &self.ulimits {
            ulimits.retain(|known| known.name != limit.name);
            ulimits.push(limit.clone());
        }
        target.cgroup_parent.clone_from(&self.cgroup_parent);
        let needs_groups = target.cgroup_parent.is_some()
            || target.limits.memory_bytes.is_some()
            || target.limits.cpus.is_some();
        if needs_groups && rootless::is_inside() {
            let message = "--cgroup-parent, --memory and --cpu-quota need control groups, which an ordinary user cannot make";
            return Err(CommandError::new(message)
                .hint("build as root, or without them")
                .code(2));
        }
        Ok(())
    }
}

/// `name=soft[:hard]` (docker/go-units `ParseUlimit`).
pub(super) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("`{text}` is not of the form nofile=1024 or nofile=1024:4096");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "-1" => Ok(u64::MAX),
        text => text.parse().map_err(|_| wrong()),
    };
    checked(Ulimit {
        name: name.to_owned(),
        soft: number(soft)?,
        hard: number(hard)?,
    })
}

/// A limit that there is, whose soft value is not above its hard one.
pub(super) fn checked(limit: Ulimit) -> Result<Ulimit, String> {
    if !Ulimit::NAMES.contains(&limit.name.as_str()) {
        return Err(format!(
            "`{}` is no limit; there are {}",
            limit.name,
            Ulimit::NAMES.join(", ")
        ));
    }
    if limit.soft > limit.hard {
        return Err(format!(
            "the soft limit of {} is above its hard limit",
            limit.name
        ));
    }
    Ok(limit)
}

fn swap(text: &str) -> Result<u64, String> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    filter::size(text)
}

fn group(text: &str) -> Result<String, String> {
    if text.split('/').any(|part| part == "..") {
        return Err("a control group is a path without `..`".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_a_soft_and_a_hard_value() {
        let limit = |text| ulimit(text).map(|limit| (limit.name, limit.soft, limit.hard));
        assert_eq!(limit("nofile=10"), Ok(("nofile".to_owned(), 10, 10)));
        assert_eq!(limit("nproc=1:2"), Ok(("nproc".to_owned(), 1, 2)));
        assert_eq!(limit("core=0:-1"), Ok(("core".to_owned(), 0, u64::MAX)));
        for wrong in ["nofile", "files=1", "nofile=2:1", "nofile=-1:5", "nofile=x"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
