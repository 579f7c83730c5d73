//! `ADD` of a local archive: its content is copied in its place.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bzip2::read::MultiBzDecoder;
use howdah_image::layer::{Limits, unpack};
use howdah_image::{Staging, Store};
use lzma_rust2::XzReader;

use super::{CopyError, Selected};
use crate::error::StepError;
use crate::tree::{Kind, Tree};
use crate::view::View;

/// An archive and the tree that was in it.
pub(crate) struct Unpacked<'a> {
    pub(crate) archive: &'a Selected,
    pub(crate) tree: Selected,
    /// Where it is until it has been copied.
    _staging: Staging,
}

/// How a file begins.
enum Format {
    /// Not an archive.
    Other,
    /// A plain tar archive.
    Tar,
    /// In a compression of layers, which [`unpack`] takes off; maybe a tar archive.
    Layer,
    /// As [`Format::Layer`], in a compression that only archives have.
    Bzip2,
    Xz,
}

/// What the dictionary of an xz archive may take: `xz -9` needs 65 MiB to decompress (xz(1)).
const XZ_MEMORY_KIB: u32 = 128 * 1024;

/// Unpacks those of the sources that are archives, as moby/buildkit `solver/llbsolver/file/unpack.go` does.
pub(crate) fn unpack_archives<'a>(
    store: &Store,
    sources: &[&'a Selected],
) -> Result<Vec<Unpacked<'a>>, StepError> {
    let mut unpacked = Vec::new();
    for source in sources
        .iter()
        .filter(|source| source.top.kind == Kind::File)
    {
        let real = source.top.real();
        let name = String::from_utf8_lossy(&source.name).into_owned();
        let error = |cause| CopyError::Unpack {
            archive: name.clone(),
            source: cause,
        };
        let format = format(&real).map_err(error)?;
        // Compressed data under another name may be just that.
        let maybe = match format {
            Format::Other => continue,
            Format::Tar => false,
            Format::Layer | Format::Bzip2 | Format::Xz => ![".tar", ".tgz", ".tbz", ".txz"]
                .iter()
                .any(|part| name.contains(part)),
        };
        let staging = store.stage()?;
        let file = fs_err::File::open(&real).map_err(error)?;
        let reader: Box<dyn io::Read> = match format {
            Format::Bzip2 => Box::new(MultiBzDecoder::new(file)),
            Format::Xz => Box::new(XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB)),
            Format::Other | Format::Tar | Format::Layer => Box::new(file),
        };
        match unpack(reader, staging.upper(), &Limits::default()) {
            Ok(_) => unpacked.push(Unpacked {
                archive: source,
                tree: whole(staging.upper().to_owned()).map_err(error)?,
                _staging: staging,
            }),
            // Something else that was compressed: copied as it is.
            Err(_) if maybe => {}
            Err(cause) => return Err(error(io::Error::other(cause)).into()),
        }
    }
    Ok(unpacked)
}

/// Whether a file is an archive, or compressed as archives are.
pub(crate) fn is_archive(path: &Path) -> io::Result<bool> {
    Ok(!matches!(format(path)?, Format::Other))
}

/// Opens an archive for [`unpack`]; `None` if the file is none.
pub(crate) fn open_archive(path: &Path) -> io::Result<Option<Box<dyn io::Read>>> {
    let format = format(path)?;
    let file = fs_err::File::open(path)?;
    Ok(match format {
        Format::Other => None,
        Format::Tar | Format::Layer => Some(Box::new(file)),
        Format::Bzip2 => Some(Box::new(MultiBzDecoder::new(file))),
        Format::Xz => Some(Box::new(XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB))),
    })
}

fn format(path: &Path) -> io::Result<Format> {
    let mut start = Vec::new();
    fs_err::File::open(path)?
        .take(512)
        .read_to_end(&mut start)?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Layer,
        [b'B', b'Z', b'h', ..] => Format::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Xz,
        start if start.get(257..262) == Some(b"ustar") => Format::Tar,
        _ => Format::Other,
    })
}

/// A directory's content as a source.
fn whole(directory: PathBuf) -> io::Result<Selected> {
    let view = View::new(vec![directory]);
    let mut below = view.below(b"")?;
    for entry in below.iter_mut().filter(|entry| entry.kind == Kind::File) {
        entry.digest = Some(crate::context::digest_file(&entry.real(), entry.size)?);
    }
    let top = view
        .entry(b"")?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(Selected {
        name: Vec::new(),
        ancestors: Vec::new(),
        top,
        below,
        whole: false,
    })
}
