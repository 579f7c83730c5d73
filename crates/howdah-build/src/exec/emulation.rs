//! Whether this machine runs programs of another: by itself, or by an emulator that the kernel knows (`binfmt_misc`, kernel
//! documentation `admin-guide/binfmt-misc.rst`).
//!
//! The kernel's list of emulators is often not mounted where builds run, such as in a container, and does not say which of
//! them can be reached from a container without one. So a small program is run in one, as BuildKit does (`util/archutil`).

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Mutex, PoisonError};

use howdah_image::{Platform, SnapshotId, Staging, Store};
use howdah_runtime::{ContainerSpec, Network, Rootfs, Runtime, Stdio};

use super::RunError;
use crate::error::StepError;
use crate::machine;

/// A file that was just written is busy while another thread forks (execve(2), ETXTBSY).
const ATTEMPTS: usize = 3;

/// What was found out in this build, by architecture.
#[derive(Debug, Default)]
pub(crate) struct Emulation(Mutex<HashMap<String, bool>>);

impl Emulation {
    /// Whether a container of this platform can run here. The first question for an architecture costs a container.
    pub(super) fn can_run(
        &self,
        (store, runtime): (&Store, &Runtime),
        platform: &Platform,
    ) -> Result<bool, StepError> {
        let architecture = &platform.architecture;
        if *architecture == Platform::default().architecture {
            return Ok(true);
        }
        // Held while the program runs: others with the same question wait for the answer.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(architecture) {
            return Ok(*known);
        }
        let runs = match Program::of(architecture) {
            Some(program) => program.runs(store, runtime)?,
            None => false,
        };
        known.insert(architecture.clone(), runs);
        Ok(runs)
    }
}

/// A program that does nothing but exit with 0.
struct Program {
    /// 32 or 64.
    bits: u8,
    is_big_endian: bool,
    /// `e_machine`.
    machine: u16,
    /// `e_flags`: the variant of the calling convention.
    flags: u32,
    /// `exit(0)`, without a data segment or a stack.
    code: &'static [u8],
}

impl Program {
    fn of(architecture: &str) -> Option<Self> {
        let (bits, is_big_endian, flags, code): (_, _, _, &[u8]) = match architecture {
            // mov eax, 1; xor ebx, ebx; int 0x80
            "386" => (32, false, 0, b"\xb8\x01\0\0\0\x31\xdb\xcd\x80"),
            // mov eax, 60; xor edi, edi; syscall
            "amd64" => (64, false, 0, b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"),
            // mov r0, #0; mov r7, #1; svc #0
            "arm" => (
                32,
                false,
                0x0500_0000,
                b"\0\0\xa0\xe3\x01\x70\xa0\xe3\0\0\0\xef",
            ),
            // mov x0, #0; mov x8, #93; svc #0
            "arm64" => (64, false, 0, b"\0\0\x80\xd2\xa8\x0b\x80\xd2\x01\0\0\xd4"),
            // ori a0, zero, 0; ori a7, zero, 93; syscall 0
            "loong64" => (64, false, 0x43, b"\x04\0\x80\x03\x0b\x74\x81\x03\0\0\x2b\0"),
            // addiu a0, zero, 0; addiu v0, zero, 5058; syscall
            "mips64le" => (
                64,
                false,
                0x8000_0000,
                b"\0\0\x04\x24\xc2\x13\x02\x24\x0c\0\0\0",
            ),
            // li r0, 1; li r3, 0; sc
            "ppc64le" => (64, false, 2, b"\x01\0\0\x38\0\0\x60\x38\x02\0\0\x44"),
            // li a0, 0; li a7, 93; ecall
            "riscv64" => (64, false, 0, b"\x13\x05\0\0\x93\x08\xd0\x05\x73\0\0\0"),
            // lghi r2, 0; svc 1
            "s390x" => (64, true, 0, b"\xa7\x29\0\0\x0a\x01"),
            _ => return None,
        };
        Some(Self {
            bits,
            is_big_endian,
            machine: machine::of(architecture)?,
            flags,
            code,
        })
    }

    /// Runs it over a root that has nothing else: an emulator that is looked up there is of no use to a step either.
    fn runs(&self, store: &Store, runtime: &Runtime) -> Result<bool, StepError> {
        let staging = store.stage()?;
        let path = staging.upper().join("program");
        let write = || {
            fs_err::write(&path, self.executable())?;
            fs_err::set_permissions(&path, Permissions::from_mode(0o755))
        };
        write().map_err(RunError::io("write", &path))?;
        Ok((0..ATTEMPTS).any(|_| exits_well(&staging, runtime)))
    }

    /// The ELF file (elf(5)): one segment, which is the whole file.
    fn executable(&self) -> Vec<u8> {
        const BASE: u64 = 0x40_0000;
        const PAGE: u64 = 0x1_0000;
        const EXECUTABLE: u64 = 2;
        const LOAD: u64 = 1;
        const READ_AND_EXECUTE: u64 = 5;
        let is_wide = self.bits == 64;
        let (header, segment) = if is_wide { (64, 56) } else { (52, 32) };
        let size = header + segment + self.code.len() as u64;
        let mut file = Vec::new();
        let mut put = |value: u64, bytes: usize| {
            if self.is_big_endian {
                file.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
            } else {
                file.extend_from_slice(&value.to_le_bytes()[..bytes]);
            }
        };
        let word = if is_wide { 8 } else { 4 };
        for byte in [
            0x7f,
            0x45,
            0x4c,
            0x46,
            1 + u64::from(is_wide),
            1 + u64::from(self.is_big_endian),
            1,
        ] {
            put(byte, 1);
        }
        put(0, 1);
        put(0, 8);
        put(EXECUTABLE, 2);
        put(u64::from(self.machine), 2);
        put(1, 4);
        for value in [BASE + header + segment, header, 0] {
            put(value, word);
        }
        put(u64::from(self.flags), 4);
        for value in [header, segment, 1, 0, 0, 0] {
            put(value, 2);
        }
        put(LOAD, 4);
        if is_wide {
            put(READ_AND_EXECUTE, 4);
        }
        for value in [0, BASE, BASE, size, size] {
            put(value, word);
        }
        if !is_wide {
            put(READ_AND_EXECUTE, 4);
        }
        put(PAGE, word);
        file.extend_from_slice(self.code);
        file
    }
}

fn exits_well(staging: &Staging, runtime: &Runtime) -> bool {
    let spec = ContainerSpec {
        id: format!("probe-{}", &SnapshotId::random().as_str()[..24]),
        rootfs: Rootfs {
            lowers: Vec::new(),
            upper: staging.upper().to_owned(),
            work: staging.work().to_owned(),
        },
        args: vec!["/program".to_owned()],
        network: Network::None,
        ..ContainerSpec::default()
    };
    // Whatever goes wrong here, the step could not run either.
    let exit = runtime.run(&spec, Stdio::Null);
    exit.and_then(|mut running| running.wait())
        .is_ok_and(|exit| exit.code == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_their_machine() {
        let known = [
            "386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x",
        ];
        for architecture in known {
            let program = Program::of(architecture).unwrap().executable();
            assert_eq!(machine::of_header(&program), machine::of(architecture));
        }
        assert!(Program::of("no-such-machine").is_none());
    }

    #[test]
    fn the_program_of_this_machine_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        let host = Platform::default().architecture;
        fs_err::write(&path, Program::of(&host).unwrap().executable()).unwrap();
        fs_err::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        // Executed by another program: this one's threads may fork while the file is open for writing.
        let status = std::process::Command::new("sh")
            .arg("-c")
            .arg(&path)
            .status();
        assert!(status.unwrap().success());
    }
}
