//! Reading: entries one after another from a stream that need not be seekable.

use std::io::{self, Read};

use super::header::{self, Header};
use super::sparse::{self, Map};
use super::{BLOCK, Kind, Metadata, TarError, pax};

/// Long names and pax records are held in memory. The kernel allows 64 KiB a value (xattr(7)) and 4 KiB a path.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// The entries of a tar stream.
#[derive(Debug)]
pub(crate) struct Entries<R> {
    stream: Limited<R>,
    /// What is left of the current entry's data, and the padding after it.
    remaining: u64,
    padding: u64,
}

/// One entry; its data comes from [`Entries::data`] before the next is asked for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) metadata: Metadata,
    /// The places of the data, when the file has holes.
    pub(crate) sparse: Option<Map>,
}

/// What extension headers said about the entry that follows them.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: sparse::Records,
}

impl<R: Read> Entries<R> {
    /// Reads at most `limit` bytes from `reader`.
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Self {
            stream: Limited {
                reader,
                position: 0,
                limit,
            },
            remaining: 0,
            padding: 0,
        }
    }

    /// The next entry. What was not read of the last one's data is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            let rest = self.remaining + self.padding;
            self.skip(rest)?;
            (self.remaining, self.padding) = (0, 0);
            let at = self.stream.position;
            let Some(header) = self.read_header()? else {
                return Ok(None);
            };
            if !header.checksum_is_right() {
                return Err(TarError::Checksum(at));
            }
            let size = self.set_size(&header, extensions.size)?;
            match header.0[header::TYPE] {
                b'L' => extensions.path = Some(without_nul(self.read_extension(size)?)),
                b'K' => extensions.link = Some(without_nul(self.read_extension(size)?)),
                b'x' => {
                    let records = self.read_extension(size)?;
                    extensions.take(&records).ok_or_else(|| {
                        TarError::malformed(header.text(header::NAME), "malformed pax records")
                    })?;
                }
                // Global records are comments of version control (`git archive`); Docker ignores them too.
                b'g' => {}
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// The current entry's data as it is in the archive, without holes.
    pub(crate) fn data(&mut self) -> impl Read + '_ {
        EntryData(self)
    }

    /// Reads to the end of the stream, which may go on after the archive's end mark, so that its digest is complete.
    pub(crate) fn drain(mut self) -> Result<(), TarError> {
        io::copy(&mut self.stream, &mut io::sink()).map_err(read_error)?;
        Ok(())
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, TarError> {
        let path = extensions
            .sparse
            .name
            .clone()
            .or(extensions.path)
            .unwrap_or_else(|| header_path(header));
        let malformed = |what| TarError::malformed(&path, what);
        let number = |field, what| {
            header
                .number(field)
                .and_then(|number| u64::try_from(number).ok())
                .ok_or_else(|| malformed(what))
        };
        let kind = kind(header.0[header::TYPE], &path)?;
        let sparse = if header.0[header::TYPE] == b'S' {
            // The extension blocks are not counted in the size.
            Some(sparse::read_old(header, &mut self.stream, self.remaining)?)
        } else {
            let mut remaining = self.remaining;
            let map = extensions
                .sparse
                .into_map(&mut self.stream, &mut remaining)?;
            self.remaining = remaining;
            map
        };
        let device = |field| {
            header
                .number(field)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| malformed("a malformed device number"))
        };
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        let mut xattrs = extensions.xattrs;
        xattrs.sort();
        let metadata = Metadata {
            kind,
            link: extensions
                .link
                .unwrap_or_else(|| header.text(header::LINK).to_vec()),
            mode: u32::try_from(number(header::MODE, "a malformed mode")? & 0o7777)
                .unwrap_or_default(),
            uid: extensions
                .uid
                .map_or_else(|| number(header::UID, "a malformed owner"), Ok)?,
            gid: extensions
                .gid
                .map_or_else(|| number(header::GID, "a malformed group"), Ok)?,
            mtime: match extensions.mtime {
                Some(mtime) => mtime,
                None => (
                    header
                        .number(header::MTIME)
                        .ok_or_else(|| malformed("a malformed time"))?,
                    0,
                ),
            },
            device: if is_device {
                (device(header::MAJOR)?, device(header::MINOR)?)
            } else {
                (0, 0)
            },
            size: sparse.as_ref().map_or(self.remaining, |map| map.size),
            xattrs,
            path,
        };
        Ok(Entry { metadata, sparse })
    }

    /// How much data follows the header. Links and directories have none, whatever their size field says (`pax(1)`).
    fn set_size(&mut self, header: &Header, extended: Option<u64>) -> Result<u64, TarError> {
        let kind = header.0[header::TYPE];
        let is_extension = matches!(kind, b'L' | b'K' | b'x' | b'g');
        let recorded = header
            .number(header::SIZE)
            .and_then(|size| u64::try_from(size).ok());
        let size = match extended {
            Some(size) if !is_extension => Some(size),
            _ => recorded,
        };
        let size = size
            .filter(|size| *size <= i64::MAX.unsigned_abs() - BLOCK as u64)
            .ok_or_else(|| TarError::malformed(header.text(header::NAME), "a malformed size"))?;
        self.remaining = if matches!(kind, b'1'..=b'6') { 0 } else { size };
        self.padding = self.remaining.next_multiple_of(BLOCK as u64) - self.remaining;
        Ok(size)
    }

    /// `None` at the end: a block of zeros, or the end of the stream between two entries.
    fn read_header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::zeroed();
        let mut filled = 0;
        while filled < BLOCK {
            match self
                .stream
                .read(&mut header.0[filled..])
                .map_err(read_error)?
            {
                0 if filled == 0 => return Ok(None),
                0 => return Err(TarError::Truncated),
                read => filled += read,
            }
        }
        Ok(if header.is_zero() { None } else { Some(header) })
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > LARGEST_EXTENSION {
            return Err(TarError::malformed(
                b"",
                "extension records larger than 1 MiB",
            ));
        }
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes).map_err(read_error)?;
        if self.remaining > 0 {
            Err(TarError::Truncated)
        } else {
            Ok(bytes)
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TarError> {
        let skipped =
            io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink()).map_err(read_error)?;
        if skipped < bytes {
            Err(TarError::Truncated)
        } else {
            Ok(())
        }
    }
}

impl Extensions {
    fn take(&mut self, records: &[u8]) -> Option<()> {
        for (key, value) in pax::parse(records)? {
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(pax::parse_decimal(value)?),
                b"uid" => self.uid = Some(pax::parse_decimal(value)?),
                b"gid" => self.gid = Some(pax::parse_decimal(value)?),
                b"mtime" => self.mtime = Some(pax::parse_time(value)?),
                _ if key.starts_with(b"GNU.sparse.") => self.sparse.take(key, value)?,
                _ => {
                    if let Some(name) = key.strip_prefix(pax::XATTR_PREFIX) {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Some(())
    }
}

fn kind(flag: u8, path: &[u8]) -> Result<Kind, TarError> {
    Ok(match flag {
        // Before POSIX a directory was a file whose name ends in a slash.
        0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharacterDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(TarError::UnknownKind {
                path: String::from_utf8_lossy(path).into_owned(),
                kind: char::from(other),
            });
        }
    })
}

fn header_path(header: &Header) -> Vec<u8> {
    let name = header.text(header::NAME);
    let prefix = if header.is_posix() {
        header.text(header::PREFIX)
    } else {
        b""
    };
    if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    }
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// The limit of a [`Limited`] stream comes through `io::Error` and is told apart again here.
fn read_error(source: io::Error) -> TarError {
    match source
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<LimitReached>())
    {
        Some(LimitReached(limit)) => TarError::TooLarge(*limit),
        None if source.kind() == io::ErrorKind::UnexpectedEof => TarError::Truncated,
        None => TarError::Read { source },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct LimitReached(u64);

/// Counts what it reads, and fails past a limit.
#[derive(Debug)]
struct Limited<R> {
    reader: R,
    position: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.position += read as u64;
        if self.position > self.limit {
            Err(io::Error::other(LimitReached(self.limit)))
        } else {
            Ok(read)
        }
    }
}

struct EntryData<'a, R>(&'a mut Entries<R>);

impl<R: Read> Read for EntryData<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.0.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.remaining -= read as u64;
        Ok(read)
    }
}
