//! Compression by magic number, because media types and file names lie.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::LayerError;
use crate::store::Compression;

const BUFFER: usize = 256 * 1024;

/// The stream without its compression, and which that was.
pub(crate) fn decompress<'a>(
    reader: impl Read + 'a,
) -> Result<(Box<dyn Read + 'a>, Compression), LayerError> {
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    let compression = sniff(
        reader
            .fill_buf()
            .map_err(|source| LayerError::Archive { source })?,
    )?;
    let decompressed: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(reader)
                .map_err(|source| LayerError::Archive { source })?;
            Box::new(decoder)
        }
    };
    Ok((decompressed, compression))
}

/// The compression that a stream begins with. What is none of them is taken for a plain tar, which has no magic at its
/// start.
pub(crate) fn sniff(start: &[u8]) -> Result<Compression, LayerError> {
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        // RFC 8878: a frame, or a skippable frame (0x184D2A50 to 0x184D2A5F, little endian).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [b'B', b'Z', b'h', ..] => Err(LayerError::Compression("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(LayerError::Compression("xz")),
        _ => Ok(Compression::None),
    }
}

/// Compresses in parallel: each piece of a fixed size becomes a gzip member of its own (RFC 1952 section 2.2), so
/// the bytes do not depend on the number of processors.
#[derive(Debug)]
pub(crate) struct GzipWriter<W: Write> {
    inner: W,
    pending: Vec<u8>,
    wrote: bool,
}

const PIECE: usize = 1 << 20;

impl<W: Write> GzipWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            pending: Vec::new(),
            wrote: false,
        }
    }

    /// Compresses what is left and gives the inner writer back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.pending.is_empty() || !self.wrote {
            self.compress()?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// Enough pieces at a time to keep all processors busy.
    fn batch() -> usize {
        2 * rayon::current_num_threads() * PIECE
    }

    fn compress(&mut self) -> io::Result<()> {
        let pieces: Vec<&[u8]> = if self.pending.is_empty() {
            vec![&[]]
        } else {
            self.pending.chunks(PIECE).collect()
        };
        let members: Vec<io::Result<Vec<u8>>> =
            pieces.into_par_iter().map(compress_piece).collect();
        for member in members {
            self.inner.write_all(&member?)?;
        }
        self.wrote = true;
        self.pending.clear();
        Ok(())
    }
}

fn compress_piece(piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(piece.len() / 2),
        flate2::Compression::default(),
    );
    encoder.write_all(piece)?;
    encoder.finish()
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Never past the batch, which is a multiple of the piece: only the last member is shorter.
        let taken = bytes.len().min(Self::batch() - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == Self::batch() {
            self.compress()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_members_are_one_stream() {
        let data: Vec<u8> = (0..5_000_000_u32)
            .flat_map(|number| (number / 3).to_le_bytes())
            .take(9 << 20)
            .collect();
        for data in [data.as_slice(), b"", b"short"] {
            let mut writer = GzipWriter::new(Vec::new());
            writer.write_all(data).unwrap();
            let compressed = writer.finish().unwrap();
            let (mut reader, compression) = decompress(compressed.as_slice()).unwrap();
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            assert!(found == data && compression == Compression::Gzip);
        }
    }

    #[test]
    fn other_compressions_are_named() {
        assert!(matches!(
            sniff(b"BZh9"),
            Err(LayerError::Compression("bzip2"))
        ));
        assert!(matches!(
            sniff(b"\xfd7zXZ\0"),
            Err(LayerError::Compression("xz"))
        ));
        assert!(matches!(sniff(b""), Ok(Compression::None)));
    }
}
