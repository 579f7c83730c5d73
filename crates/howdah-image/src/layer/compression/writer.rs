//! What compresses a layer's tar: on all processors, with bytes that do not depend on how many there are.

use std::io::{self, Write};
use std::str::FromStr;

use super::gzip::GzipWriter;
use crate::store::Compression;

/// How layers are compressed when they leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompressionOptions {
    /// Of layers made here; gzip if absent. Layers that came from elsewhere keep theirs.
    pub kind: Option<Compression>,
    /// 0 to 9 for gzip (6 if absent), 0 to 22 for zstd (3 if absent).
    pub level: Option<u32>,
    /// Compress layers from elsewhere the same way.
    pub force: bool,
}

impl CompressionOptions {
    /// The compression of layers made here.
    pub(crate) fn kind(&self) -> Compression {
        self.kind.unwrap_or(Compression::Gzip)
    }
}

/// A text is not the name of a compression.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is none of gzip, zstd and uncompressed")]
pub struct ParseCompressionError(String);

impl FromStr for Compression {
    type Err = ParseCompressionError;

    /// BuildKit's names (`exporter/containerimage/exptypes/keys.go`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "uncompressed" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(ParseCompressionError(text.to_owned())),
        }
    }
}

impl Compression {
    /// The highest level it has.
    pub const fn highest_level(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gzip => 9,
            Self::Zstd => 22,
        }
    }
}

/// A writer that compresses.
pub(in crate::layer) enum CompressionWriter<W: Write> {
    None(W),
    Gzip(GzipWriter<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> CompressionWriter<W> {
    pub(in crate::layer) fn new(
        inner: W,
        kind: Compression,
        level: Option<u32>,
    ) -> io::Result<Self> {
        Ok(match kind {
            Compression::None => Self::None(inner),
            Compression::Gzip => Self::Gzip(GzipWriter::new(inner, level)),
            Compression::Zstd => {
                let level = level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, u32::cast_signed);
                let mut encoder = zstd::Encoder::new(inner, level)?;
                // One worker gives the same bytes as many; none gives others.
                let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                encoder.multithread(u32::try_from(cores).unwrap_or(1))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Compresses what is left and gives the inner writer back.
    pub(in crate::layer) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(mut inner) => {
                inner.flush()?;
                Ok(inner)
            }
            Self::Gzip(writer) => writer.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for CompressionWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(inner) => inner.write(bytes),
            Self::Gzip(writer) => writer.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(inner) => inner.flush(),
            Self::Gzip(writer) => writer.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::decompress;
    use super::*;

    fn data(length: usize) -> Vec<u8> {
        let mut text = String::new();
        let mut number = 0_u64;
        while text.len() < length {
            number += 1;
            text.push_str(&(number * number).to_string());
        }
        text.into_bytes()
    }

    fn compressed(data: &[u8], kind: Compression, level: Option<u32>) -> Vec<u8> {
        let mut writer = CompressionWriter::new(Vec::new(), kind, level).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_reads_back() {
        for data in [data(9 << 20).as_slice(), b"", b"short"] {
            for kind in [Compression::Gzip, Compression::Zstd] {
                let compressed = compressed(data, kind, None);
                let (mut reader, found) = decompress(compressed.as_slice()).unwrap();
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert!(read == data && found == kind);
            }
        }
    }

    #[test]
    fn levels_count_and_the_number_of_processors_does_not() {
        let data = data(9 << 20);
        for kind in [Compression::Gzip, Compression::Zstd] {
            let [fast, thorough] = [1, 9].map(|level| compressed(&data, kind, Some(level)).len());
            assert_ne!(thorough, fast, "{kind:?}");
        }
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let gzip = || compressed(&data, Compression::Gzip, None);
        assert!(one.install(gzip) == gzip());
        let zstd = |workers| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.multithread(workers).unwrap();
            // Pieces of another size than a layer's packer writes.
            for piece in data.chunks(7919 * workers as usize) {
                encoder.write_all(piece).unwrap();
            }
            encoder.finish().unwrap()
        };
        let expected = compressed(&data, Compression::Zstd, None);
        assert!(zstd(1) == expected && zstd(5) == expected);
    }
}
