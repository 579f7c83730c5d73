//! Compression by magic number, because media types and file names lie; and the compression of layers that leave.

mod gzip;
mod writer;

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::LayerError;
use crate::store::Compression;

pub(in crate::layer) use writer::CompressionWriter;
pub use writer::{CompressionOptions, ParseCompressionError};

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

#[cfg(test)]
mod tests {
    use super::*;

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
