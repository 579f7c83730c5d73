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

/// Refuses an image whose programs are for another machine than it says: the one that it runs, its shell, and if neither
/// is there the first in its search path.
pub fn check_machine(store: &Store, image: &Image) -> Result<(), MachineError> {
    let platform = Platform::of(&image.config);
    let Some(expected) = of(&platform.architecture) else {
        return Ok(());
    };
    let view = View::new(image.lowers(store));
    let error = |source| MachineError::Read { source };
    let told = programs(&view, image).map_err(error)?;
    match told.into_iter().find(|(_, found)| !fits(expected, *found)) {
        Some((path, found)) => Err(MachineError::Differs {
            path,
            found: name_of(found),
            platform,
        }),
        None => Ok(()),
    }
}

/// The programs that decide, with their machines.
fn programs(view: &View, image: &Image) -> io::Result<Vec<(String, u16)>> {
    let config = &image.config.config;
    let path = config
        .env
        .iter()
        .find_map(|pair| pair.strip_prefix("PATH="));
    let directories: Vec<&str> = path.unwrap_or(DEFAULT_PATH).split(':').collect();
    let command = config.entrypoint.iter().chain(&config.cmd);
    let program = command.flatten().next().cloned().unwrap_or_default();
    let mut wanted: Vec<String> = vec!["/bin/sh".to_owned()];
    if program.starts_with('/') {
        wanted.push(program);
    } else if program.contains('/') {
        wanted.push(format!("{}/{program}", config.working_dir));
    } else if !program.is_empty() {
        wanted.extend(
            directories
                .iter()
                .map(|directory| format!("{directory}/{program}")),
        );
    }
    let mut found = Vec::new();
    for path in wanted {
        found.extend(machine(view, &path)?.map(|machine| (path, machine)));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    for directory in directories {
        let resolved = tree::resolve(view, directory.as_bytes())?;
        // An emulator is for the machine that it runs on.
        let names = view.names(&resolved)?.into_iter();
        for name in names.filter(|name| !name.starts_with(b"qemu-")) {
            let path = tree::display(&tree::join(&resolved, &name));
            if let Some(machine) = machine(view, &path)? {
                return Ok(vec![(path, machine)]);
            }
        }
    }
    Ok(Vec::new())
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
