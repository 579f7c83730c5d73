//! Which device nodes the container may use, on the unified hierarchy: a BPF program on its control group. (Version 1 has
//! a controller for it, which libcontainer sets; its own version 2 support would need a C library.)
//!
//! Without it the container's root, who may make device nodes, could open the host's disks.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::libc;

const READ_WRITE_MKNOD: u32 = MKNOD | READ | WRITE;
// include/uapi/linux/bpf.h: BPF_DEVCG_*
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

/// Block or character, as `BPF_DEVCG_DEV_*` count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block = 1,
    Character = 2,
}

/// One kind of device that is allowed; an absent number means all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    access: u32,
}

impl Rule {
    /// `access` has some of `r`, `w` and `m`.
    pub(super) fn new(kind: Kind, major: u32, minor: u32, access: &str) -> Self {
        let bits = [('r', READ), ('w', WRITE), ('m', MKNOD)];
        let access = bits
            .iter()
            .filter(|(letter, _)| access.contains(*letter))
            .map(|(_, bit)| bit)
            .sum();
        Self {
            kind,
            major: Some(major),
            minor: Some(minor),
            access,
        }
    }

    fn all(kind: Kind, major: Option<u32>, access: u32) -> Self {
        Self {
            kind,
            major,
            minor: None,
            access,
        }
    }
}

/// Docker's defaults: making any node, using the harmless ones and terminals.
pub(super) fn default_rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule::all(Kind::Block, None, MKNOD),
        Rule::all(Kind::Character, None, MKNOD),
    ];
    // null, zero, full, random, urandom; tty, console, ptmx
    let nodes = [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ];
    rules.extend(nodes.map(|(major, minor)| Rule::new(Kind::Character, major, minor, "rwm")));
    // /dev/pts/*
    rules.push(Rule::all(Kind::Character, Some(136), READ_WRITE_MKNOD));
    rules
}

/// Puts the rules on a control group for as long as it exists.
pub(super) fn attach(group: &Path, rules: &[Rule]) -> io::Result<()> {
    let program = load(&assemble(rules))?;
    let group = fs_err::File::open(group)?;
    let attributes = AttachAttributes {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: 6,  // BPF_CGROUP_DEVICE
        flags: 2, // BPF_F_ALLOW_MULTI: beside what systemd may have put there
    };
    // BPF_PROG_ATTACH
    bpf(8, &attributes).map(drop)
}

/// `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that `BPF_PROG_ATTACH` reads.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Registers: 1 the context (`struct bpf_cgroup_dev_ctx`), 2 the device's kind, 3 the access wanted, 4 major, 5 minor.
fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    const CONTEXT: u8 = 1;
    let load_word = |to: u8, offset| Instruction {
        code: 0x61,
        registers: to | CONTEXT << 4,
        offset,
        immediate: 0,
    };
    let with_value = |code, register, offset, immediate: u32| Instruction {
        code,
        registers: register,
        offset,
        immediate: immediate.cast_signed(),
    };
    let exit_with = |value| [with_value(0xb7, 0, 0, value), with_value(0x95, 0, 0, 0)];
    let mut program = vec![
        load_word(2, 0),
        Instruction {
            code: 0xbf,
            registers: 3 | 2 << 4,
            offset: 0,
            immediate: 0,
        }, // r3 = r2
        with_value(0x57, 2, 0, 0xffff), // r2 &= 0xffff
        with_value(0x77, 3, 0, 16),     // r3 >>= 16
        load_word(4, 4),
        load_word(5, 8),
    ];
    for rule in rules {
        let mut checks = vec![(0x55, 2, rule.kind as u32)]; // jne
        if rule.access != READ_WRITE_MKNOD {
            checks.push((0x45, 3, !rule.access & READ_WRITE_MKNOD)); // jset: wants what the rule does not give
        }
        checks.extend(rule.major.map(|major| (0x55, 4, major)));
        checks.extend(rule.minor.map(|minor| (0x55, 5, minor)));
        let count = checks.len();
        for (index, (code, register, value)) in checks.into_iter().enumerate() {
            // A check that fails jumps over the others and the two instructions that allow. A rule has four at most.
            let skip = i16::try_from(count - 1 - index + 2).unwrap_or(0);
            program.push(with_value(code, register, skip, value));
        }
        program.extend(exit_with(1));
    }
    program.extend(exit_with(0));
    program
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"MIT";
    let attributes = LoadAttributes {
        kind: 15, // BPF_PROG_TYPE_CGROUP_DEVICE
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // BPF_PROG_LOAD
    let descriptor = bpf(5, &attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// bpf(2).
fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are a prefix of `union bpf_attr` of the size told, and the addresses in them point to values
    // that the callers keep until this returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            std::mem::size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(i32::try_from(result).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_jumps_to_the_next_when_it_does_not_match() {
        let program = assemble(&[Rule::new(Kind::Character, 1, 3, "r")]);
        // Six instructions of prologue, four checks, two that allow, two that refuse.
        assert_eq!(program.len(), 14);
        assert_eq!(
            program[6..10]
                .iter()
                .map(|check| check.offset)
                .collect::<Vec<_>>(),
            [5, 4, 3, 2]
        );
        assert_eq!(program[7].immediate.cast_unsigned(), WRITE | MKNOD);
    }

    #[test]
    fn the_kernel_accepts_the_default_rules() {
        load(&assemble(&default_rules())).unwrap();
        load(&assemble(&[])).unwrap();
    }
}
