//! Which machine an image's programs are for, by their ELF headers (elf(5)), against what the image says.

use std::io;

use howdah_image::{Image, Platform, Store};

use crate::tree::{self, Kind, Tree};
use crate::view::View;

/// The beginning of an ELF header up to `e_machine`.
const HEADER: u64 = 20;
/// `e_machine` by Go's name of an architecture (`elf.h`).
const MACHINES: [(&str, u16); 10] = [
    ("386", 3),
    ("amd64", 62),
    ("arm", 40),
    ("arm64", 183),
    ("loong64", 258),
    ("mips64le", 8),
    ("ppc64le", 21),
    ("riscv64", 243),
    ("s390x", 22),
    ("sparc64", 43),
];
/// More names of architectures, as files have them.
const OTHER_NAMES: [&str; 4] = ["aarch64", "armhf", "i386", "x64"];
/// Directories whose directories have extensions: Debian's packages, and Docker's official images.
const PHP_EXTENSIONS: [&str; 2] = ["/usr/lib/php", "/usr/local/lib/php/extensions"];
/// Where a shell looks when nothing is set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that says one machine and holds programs of another.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The fault that users of `FROM --platform=$BUILDPLATFORM` make.
    #[error("`{path}` in the image is for {found}, and the image says {platform}")]
    Differs {
        /// In the image.
        path: String,
        /// What it is for.
        found: String,
        /// What the image says.
        platform: Platform,
    },
    /// The image cannot be read.
    #[error("cannot look for the programs of the image")]
    Read {
        /// Why.
        source: io::Error,
    },
}

/// Refuses an image whose programs are for another machine than it says: the one that it runs, its shell, everything in its
/// search path, and what those load by themselves: PHP's extensions and the libraries of /usr/local/lib. What else an image
/// holds may well be for other machines, such as the parts of a cross compiler.
pub fn check_machine(store: &Store, image: &Image) -> Result<(), MachineError> {
    let platform = Platform::of(&image.config);
    let Some(expected) = of(&platform.architecture) else {
        return Ok(());
    };
    let view = View::new(image.lowers(store));
    let wrong = find_other(&view, image, expected);
    match wrong.map_err(|source| MachineError::Read { source })? {
        Some((path, found)) => Err(MachineError::Differs {
            path,
            found: name_of(found),
            platform,
        }),
        None => Ok(()),
    }
}

/// The first file that decides and is for another machine.
fn find_other(view: &View, image: &Image, expected: u16) -> io::Result<Option<(String, u16)>> {
    for path in named_programs(image) {
        if let Some(found) = machine(view, &path)?.filter(|found| !fits(expected, *found)) {
            return Ok(Some((path, found)));
        }
    }
    for directory in directories(view, image)? {
        let resolved = tree::resolve(view, directory.as_bytes())?;
        let names = view.names(&resolved)?.into_iter();
        for name in names.filter(|name| !is_meant_for_another(name)) {
            let path = tree::display(&tree::join(&resolved, &name));
            if let Some(found) = machine(view, &path)?.filter(|found| !fits(expected, *found)) {
                return Ok(Some((path, found)));
            }
        }
    }
    Ok(None)
}

/// The shell, the command and the health check, where they stand by their paths.
fn named_programs(image: &Image) -> Vec<String> {
    let config = &image.config.config;
    let command = config.entrypoint.iter().chain(&config.cmd).flatten().next();
    let health = config.healthcheck.iter().filter_map(|check| {
        // `["CMD", "/program", …]` (OCI image specification, Docker's addition).
        check
            .test
            .get(1)
            .filter(|_| check.test.first().is_some_and(|kind| kind == "CMD"))
    });
    let paths = command
        .into_iter()
        .chain(health)
        .filter(|program| program.contains('/'));
    let absolute = |program: &String| match program.strip_prefix('/') {
        Some(_) => program.clone(),
        None => format!("{}/{program}", config.working_dir),
    };
    std::iter::once("/bin/sh".to_owned())
        .chain(paths.map(absolute))
        .collect()
}

/// Where programs and what they load are looked for.
fn directories(view: &View, image: &Image) -> io::Result<Vec<String>> {
    let env = &image.config.config.env;
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH="));
    let path = path.unwrap_or(DEFAULT_PATH).split(':');
    let mut directories: Vec<String> = path
        .filter(|directory| directory.starts_with('/'))
        .map(str::to_owned)
        .collect();
    directories.push("/usr/local/lib".to_owned());
    for parent in PHP_EXTENSIONS {
        let resolved = tree::resolve(view, parent.as_bytes())?;
        let below = view.names(&resolved)?.into_iter();
        directories.extend(below.map(|name| tree::display(&tree::join(&resolved, &name))));
    }
    Ok(directories)
}

/// An emulator is for the machine that it runs on, and a file with an architecture in its name is for that one.
fn is_meant_for_another(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    let is_architecture =
        |word: &str| MACHINES.iter().any(|(name, _)| *name == word) || OTHER_NAMES.contains(&word);
    name.starts_with("qemu-")
        || name.contains("x86_64")
        || name.split(['-', '_', '.']).any(is_architecture)
}

fn machine(view: &View, path: &str) -> io::Result<Option<u16>> {
    let resolved = tree::resolve(view, path.as_bytes())?;
    let is_file = view
        .entry(&resolved)?
        .is_some_and(|entry| entry.kind == Kind::File);
    if !is_file {
        return Ok(None);
    }
    let header = view.read(&resolved, HEADER)?;
    Ok(header.and_then(|header| of_header(&header)))
}

/// `e_machine` of an architecture in Go's names.
pub(crate) fn of(architecture: &str) -> Option<u16> {
    let known = MACHINES.iter().find(|(name, _)| *name == architecture)?;
    Some(known.1)
}

/// `e_machine` of the beginning of an executable; `None` if it is no ELF file.
pub(crate) fn of_header(header: &[u8]) -> Option<u16> {
    let bytes = header.get(18..20)?.try_into().ok()?;
    match header {
        [0x7f, b'E', b'L', b'F', _, 1, ..] => Some(u16::from_le_bytes(bytes)),
        [0x7f, b'E', b'L', b'F', _, 2, ..] => Some(u16::from_be_bytes(bytes)),
        _ => None,
    }
}

/// Whether a machine runs programs of another: 64-bit processors their 32-bit ones.
fn fits(machine: u16, program: u16) -> bool {
    machine == program || matches!((machine, program), (62, 3) | (183, 40))
}

fn name_of(machine: u16) -> String {
    let known = MACHINES.iter().find(|(_, number)| *number == machine);
    known.map_or_else(
        || format!("machine {machine}"),
        |(name, _)| (*name).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_other_machines() {
        for name in [
            "qemu-aarch64-static",
            "tool-arm64",
            "tool_linux_amd64",
            "x86_64-linux-gnu-ld",
            "a.riscv64",
        ] {
            assert!(is_meant_for_another(name.as_bytes()), "{name}");
        }
        for name in ["php", "alarm", "warm-up", "redis-cli", "armor"] {
            assert!(!is_meant_for_another(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_header_names_its_machine() {
        let header = |order: u8, machine: [u8; 2]| {
            let mut header = vec![0x7f, b'E', b'L', b'F', 2, order];
            header.resize(18, 0);
            header.extend(machine);
            header
        };
        assert_eq!(of_header(&header(1, [183, 0])), of("arm64"));
        assert_eq!(of_header(&header(2, [0, 22])), of("s390x"));
        assert_eq!(of_header(b"#!/bin/sh\nexec something else"), None);
        assert_eq!(of_header(b""), None);
        assert!(fits(62, 3) && !fits(3, 62) && !fits(183, 62));
        assert_eq!(
            (name_of(62), name_of(9)),
            ("amd64".to_owned(), "machine 9".to_owned())
        );
    }
}
