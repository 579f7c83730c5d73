//! Docker's default system call filter, compiled once per set of capabilities and kept in the state directory: libseccomp
//! needs some milliseconds to compile it, the kernel far less to load it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek};
use std::path::Path;

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use nix::libc;

use super::capabilities::Names;
use crate::protocol::{Failure, Step};
use crate::records::write_bytes;
use crate::rootless;

const PROFILE: &str = include_str!("seccomp_profile.txt");
/// What changes an owner or a user. Where root is the only one there is nothing to change to, and package managers would give
/// up; told that it has been done they go on, and everything stays root's. The way of Charliecloud's
/// `--force=seccomp`.
const PRETENDED: [&str; 25] = [
    "chown",
    "chown32",
    "fchown",
    "fchown32",
    "fchownat",
    "lchown",
    "lchown32",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setuid",
    "setuid32",
];
/// Size of one instruction (`struct sock_filter`).
const INSTRUCTION_BYTES: usize = 8;

/// A compiled filter: classic BPF, as seccomp(2) takes it.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    program: Vec<u8>,
}

impl Filter {
    /// The filter for a set of capabilities, from the cache below `state` when it is there.
    pub(super) fn for_capabilities(state: &Path, capabilities: &Names) -> Result<Self, Failure> {
        let mut hasher = DefaultHasher::new();
        (
            PROFILE,
            capabilities,
            rootless::is_single(),
            std::env::consts::ARCH,
            env!("CARGO_PKG_VERSION"),
        )
            .hash(&mut hasher);
        let directory = state.join("seccomp");
        let cached = directory.join(format!("{:016x}.bpf", hasher.finish()));
        if let Ok(program) = fs_err::read(&cached)
            && is_program(&program)
        {
            return Ok(Self { program });
        }
        let program = compile(capabilities).step("compile the system call filter")?;
        fs_err::create_dir_all(&directory).step("keep the system call filter")?;
        write_bytes(&cached, &program).step("keep the system call filter")?;
        Ok(Self { program })
    }

    /// Puts the filter on this process, for good. Needs `CAP_SYS_ADMIN` or no-new-privileges (seccomp(2)).
    pub(super) fn load(&self) -> io::Result<()> {
        let instructions = self.program.len() / INSTRUCTION_BYTES;
        let program = libc::sock_fprog {
            len: instructions
                .try_into()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?,
            filter: self.program.as_ptr().cast_mut().cast(),
        };
        // SAFETY: `program` points to `len` whole instructions that live until the call returns; the kernel copies them and
        // does not write to them, and it reads them bytewise, so their alignment does not matter.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                std::ptr::from_ref(&program),
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn is_program(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(INSTRUCTION_BYTES)
}

/// One line of the profile that applies.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    names: Vec<&'a str>,
    comparison: Option<ScmpArgCompare>,
    errno: Option<i32>,
}

fn compile(capabilities: &Names) -> io::Result<Vec<u8>> {
    let context = assemble(capabilities).map_err(io::Error::other)?;
    // libseccomp writes programs to files only.
    let mut file = std::fs::File::from(rustix::fs::memfd_create(
        "seccomp",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?);
    context.export_bpf(&file).map_err(io::Error::other)?;
    let mut program = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut program)?;
    Ok(program)
}

fn assemble(capabilities: &Names) -> Result<ScmpFilterContext, libseccomp::error::SeccompError> {
    let mut context = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    for architecture in architectures() {
        context.add_arch(*architecture)?;
    }
    // A binary tree: a call is judged after a dozen comparisons, not after some hundreds.
    context.set_ctl_optimize(2)?;
    let pretended: &[&str] = if rootless::is_single() {
        &PRETENDED
    } else {
        &[]
    };
    for call in pretended
        .iter()
        .filter_map(|name| ScmpSyscall::from_name(name).ok())
    {
        context.add_rule(ScmpAction::Errno(0), call)?;
    }
    for rule in rules(PROFILE, capabilities, std::env::consts::ARCH) {
        let action = rule.errno.map_or(ScmpAction::Allow, ScmpAction::Errno);
        for name in rule.names.iter().filter(|name| !pretended.contains(name)) {
            // A name that this libseccomp does not know yet stays refused.
            let Ok(call) = ScmpSyscall::from_name(name) else {
                continue;
            };
            match rule.comparison {
                Some(comparison) => context.add_rule_conditional(action, call, &[comparison])?,
                None => context.add_rule(action, call)?,
            };
        }
    }
    Ok(context)
}

/// The native architecture is always there; these are the others that its kernel may run.
fn architectures() -> &'static [ScmpArch] {
    match std::env::consts::ARCH {
        "x86_64" => &[ScmpArch::X86, ScmpArch::X32],
        "aarch64" => &[ScmpArch::Arm],
        "s390x" => &[ScmpArch::S390],
        _ => &[],
    }
}

fn rules<'a>(
    profile: &'a str,
    capabilities: &'a Names,
    architecture: &'a str,
) -> impl Iterator<Item = Rule<'a>> {
    profile
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(move |line| rule(line, capabilities, architecture))
}

/// `None` when one of the line's conditions does not hold.
fn rule<'a>(line: &'a str, capabilities: &Names, architecture: &str) -> Option<Rule<'a>> {
    let mut rule = Rule {
        names: Vec::new(),
        comparison: None,
        errno: None,
    };
    for word in line.split_ascii_whitespace() {
        if let Some(capability) = word.strip_prefix("cap!=") {
            if capabilities.contains(capability) {
                return None;
            }
        } else if let Some(capability) = word.strip_prefix("cap=") {
            if !capabilities.contains(capability) {
                return None;
            }
        } else if let Some(list) = word.strip_prefix("arch=") {
            if !list.split(',').any(|name| name == architecture) {
                return None;
            }
        } else if let Some(number) = word.strip_prefix("errno=") {
            rule.errno = Some(number.parse().ok()?);
        } else if let Some(condition) = word.strip_prefix("arg") {
            rule.comparison = Some(comparison(condition)?);
        } else {
            rule.names.push(word);
        }
    }
    Some(rule)
}

/// `0<12`, `0==0x8`, `0&0x7e020000==0`.
fn comparison(text: &str) -> Option<ScmpArgCompare> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (argument, operator, value) = if let Some((argument, value)) = text.split_once('<') {
        (argument, ScmpCompareOp::Less, value)
    } else {
        let (left, value) = text.split_once("==")?;
        match left.split_once('&') {
            Some((argument, mask)) => (argument, ScmpCompareOp::MaskedEqual(number(mask)?), value),
            None => (left, ScmpCompareOp::Equal, value),
        }
    };
    Some(ScmpArgCompare::new(
        argument.parse().ok()?,
        operator,
        number(value)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_profile_is_understood() {
        let everything = super::super::capabilities::all();
        for line in PROFILE
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let conditional = line.contains("cap!=") || line.contains("arch=");
            let rule = rule(line, &everything, "x86_64");
            assert!(conditional || rule.is_some(), "{line}");
            for name in rule.iter().flat_map(|rule| &rule.names) {
                assert!(
                    name.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn conditions_choose_rules() {
        let none = Names::new();
        let admin = Names::from(["SYS_ADMIN"]);
        assert!(rule("mount cap=SYS_ADMIN", &none, "x86_64").is_none());
        assert!(rule("mount cap=SYS_ADMIN", &admin, "x86_64").is_some());
        assert!(rule("clone3 cap!=SYS_ADMIN errno=38", &admin, "x86_64").is_none());
        assert_eq!(
            rule("clone3 cap!=SYS_ADMIN errno=38", &none, "x86_64")
                .unwrap()
                .errno,
            Some(38)
        );
        assert!(rule("modify_ldt arch=x86_64,x86", &none, "aarch64").is_none());
    }

    #[test]
    fn a_compiled_filter_is_kept_and_used_again() {
        let state = tempfile::tempdir().unwrap();
        let first = Filter::for_capabilities(state.path(), &Names::new()).unwrap();
        assert!(is_program(&first.program));
        let again = Filter::for_capabilities(state.path(), &Names::new()).unwrap();
        assert_eq!(first.program, again.program);
        let more = Filter::for_capabilities(state.path(), &Names::from(["SYS_ADMIN"])).unwrap();
        assert_ne!(first.program, more.program);
    }
}
