//! Whether this machine runs programs of another: by itself, or by an emulator that the kernel knows (`binfmt_misc`, kernel
//! documentation `admin-guide/binfmt-misc.rst`).

use std::path::Path;

use howdah_image::Platform;

use crate::machine;

/// Where the kernel lists its interpreters.
const INTERPRETERS: &str = "/proc/sys/fs/binfmt_misc";

/// Whether a container of this platform can run here.
pub(super) fn can_run(platform: &Platform) -> bool {
    let host = Platform::default();
    if host.architecture == platform.architecture {
        return true;
    }
    let Some(wanted) = machine::of(&platform.architecture) else {
        return false;
    };
    // These processors have the other's instructions.
    let native = [("amd64", "386"), ("arm64", "arm")];
    native.contains(&(host.architecture.as_str(), platform.architecture.as_str()))
        || interpreters(Path::new(INTERPRETERS)).any(|text| interprets(&text, wanted))
}

fn interpreters(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs_err::read_to_string(entry.path()).ok())
}

/// Whether an entry is for executables of a machine. Only one that was opened when it was registered (flag F) works in a
/// container, which has no emulator of its own.
fn interprets(text: &str, machine: u16) -> bool {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let magic = field("magic ").and_then(bytes_of).unwrap_or_default();
    text.starts_with("enabled")
        && field("flags:").is_some_and(|flags| flags.contains('F'))
        && machine::of_header(&magic) == Some(machine)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let hex = hex.trim();
    (0..hex.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(hex.get(start..start + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn an_entry_is_for_one_machine() {
        assert!(interprets(ENTRY, 183));
        assert!(!interprets(ENTRY, 62));
        assert!(!interprets(&ENTRY.replace("enabled", "disabled"), 183));
        assert!(!interprets(&ENTRY.replace("POCF", "POC"), 183));
        assert!(!interprets("enabled\n", 183));
    }

    #[test]
    fn a_machine_runs_its_own_programs() {
        assert!(can_run(&Platform::default()));
        assert!(!can_run(&"linux/no-such-machine".parse().unwrap()));
    }
}
