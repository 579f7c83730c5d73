//! Writing: POSIX headers with fixed contents, pax records only where a value does not fit.

use std::io::{self, Read, Write};

use super::header::{self, Header};
use super::{BLOCK, Kind, Metadata, pax};

/// Writes entries to a stream.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    inner: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes an entry with exactly `metadata.size` bytes of `data`, which is empty for all but files.
    pub(crate) fn append(&mut self, metadata: &Metadata, data: impl Read) -> io::Result<()> {
        let (header, records) = header_of(metadata);
        if !records.is_empty() {
            let extension = extension_header(&metadata.path, records.len() as u64);
            self.inner.write_all(&extension.0)?;
            self.inner.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.inner.write_all(&header.0)?;
        let written = io::copy(&mut data.take(metadata.size), &mut self.inner)?;
        if written < metadata.size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was packed",
            ));
        }
        self.pad(written)
    }

    /// Writes the end mark and gives the stream back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn pad(&mut self, written: u64) -> io::Result<()> {
        let rest = usize::try_from(written % BLOCK as u64).unwrap_or_default();
        if rest == 0 {
            Ok(())
        } else {
            self.inner.write_all(&[0; BLOCK][rest..])
        }
    }
}

fn header_of(metadata: &Metadata) -> (Header, Vec<u8>) {
    let mut header = Header::zeroed();
    let mut records = Vec::new();
    set_path(&mut header, metadata, &mut records);
    if metadata.link.len() <= header::LINK.1 {
        header.set(header::LINK, &metadata.link);
    } else {
        pax::push_record(&mut records, b"linkpath", &metadata.link);
    }
    header.set_octal(header::MODE, u64::from(metadata.mode));
    for (field, key, value) in [
        (header::UID, "uid", metadata.uid),
        (header::GID, "gid", metadata.gid),
        (header::SIZE, "size", metadata.size),
    ] {
        if !header.set_octal(field, value) {
            header.set_octal(field, 0);
            pax::push_record(&mut records, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    let (seconds, _) = metadata.mtime;
    if !u64::try_from(seconds).is_ok_and(|seconds| header.set_octal(header::MTIME, seconds)) {
        header.set_octal(header::MTIME, 0);
        pax::push_record(&mut records, b"mtime", seconds.to_string().as_bytes());
    }
    for (name, value) in &metadata.xattrs {
        pax::push_record(&mut records, &[pax::XATTR_PREFIX, name].concat(), value);
    }
    header.0[header::TYPE] = flag(metadata.kind);
    header.set(header::MAGIC, header::POSIX_MAGIC);
    header.set_octal(header::MAJOR, u64::from(metadata.device.0));
    header.set_octal(header::MINOR, u64::from(metadata.device.1));
    header.seal();
    (header, records)
}

/// The name field, else prefix and name split at a slash, else a pax record.
fn set_path(header: &mut Header, metadata: &Metadata, records: &mut Vec<u8>) {
    let mut path = metadata.path.clone();
    if metadata.kind == Kind::Directory {
        path.push(b'/');
    }
    if path.len() <= header::NAME.1 {
        header.set(header::NAME, &path);
        return;
    }
    let fits = |slash: &usize| {
        *slash <= header::PREFIX.1 && (1..=header::NAME.1).contains(&(path.len() - slash - 1))
    };
    let slash = (1..path.len())
        .filter(|index| path[*index] == b'/')
        .find(fits);
    if let Some(slash) = slash {
        header.set(header::PREFIX, &path[..slash]);
        header.set(header::NAME, &path[slash + 1..]);
    } else {
        header.set(header::NAME, &path);
        pax::push_record(records, b"path", &path);
    }
}

fn extension_header(path: &[u8], size: u64) -> Header {
    let base = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let mut header = Header::zeroed();
    header.set(
        header::NAME,
        &[b"PaxHeaders.0/", &base[..base.len().min(80)]].concat(),
    );
    for (field, value) in [
        (header::MODE, 0),
        (header::UID, 0),
        (header::GID, 0),
        (header::SIZE, size),
        (header::MTIME, 0),
    ] {
        header.set_octal(field, value);
    }
    header.0[header::TYPE] = b'x';
    header.set(header::MAGIC, header::POSIX_MAGIC);
    header.seal();
    header
}

const fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharacterDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}
