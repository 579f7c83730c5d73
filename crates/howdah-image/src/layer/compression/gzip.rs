//! gzip on all processors.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// Compresses in parallel: each piece of a fixed size becomes a gzip member of its own (RFC 1952 section 2.2), so
/// the bytes do not depend on the number of processors.
#[derive(Debug)]
pub(in crate::layer) struct GzipWriter<W: Write> {
    inner: W,
    level: flate2::Compression,
    pending: Vec<u8>,
    wrote: bool,
}

const PIECE: usize = 1 << 20;

impl<W: Write> GzipWriter<W> {
    pub(in crate::layer) fn new(inner: W, level: Option<u32>) -> Self {
        Self {
            inner,
            level: level.map_or_else(flate2::Compression::default, flate2::Compression::new),
            pending: Vec::new(),
            wrote: false,
        }
    }

    /// Compresses what is left and gives the inner writer back.
    pub(in crate::layer) fn finish(mut self) -> io::Result<W> {
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
        let members: Vec<io::Result<Vec<u8>>> = pieces
            .into_par_iter()
            .map(|piece| compress_piece(piece, self.level))
            .collect();
        for member in members {
            self.inner.write_all(&member?)?;
        }
        self.wrote = true;
        self.pending.clear();
        Ok(())
    }
}

fn compress_piece(piece: &[u8], level: flate2::Compression) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(piece.len() / 2), level);
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
