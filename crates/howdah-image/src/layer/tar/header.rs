//! The 512-byte header block: where its fields are, and how numbers are written in them.

use super::BLOCK;

/// Offset and length of a field.
pub(super) type Field = (usize, usize);

pub(super) const NAME: Field = (0, 100);
pub(super) const MODE: Field = (100, 8);
pub(super) const UID: Field = (108, 8);
pub(super) const GID: Field = (116, 8);
pub(super) const SIZE: Field = (124, 12);
pub(super) const MTIME: Field = (136, 12);
pub(super) const CHECKSUM: Field = (148, 8);
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Field = (157, 100);
pub(super) const MAGIC: Field = (257, 8);
pub(super) const MAJOR: Field = (329, 8);
pub(super) const MINOR: Field = (337, 8);
/// In POSIX headers only; GNU keeps other things there.
pub(super) const PREFIX: Field = (345, 155);

pub(super) const POSIX_MAGIC: &[u8] = b"ustar\x0000";

#[derive(Clone)]
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    pub(super) fn zeroed() -> Self {
        Self([0; BLOCK])
    }

    pub(super) fn field(&self, (offset, length): Field) -> &[u8] {
        &self.0[offset..offset + length]
    }

    pub(super) fn set(&mut self, (offset, length): Field, bytes: &[u8]) {
        self.0[offset..offset + bytes.len().min(length)]
            .copy_from_slice(&bytes[..bytes.len().min(length)]);
    }

    /// A text up to its NUL.
    pub(super) fn text(&self, field: Field) -> &[u8] {
        let bytes = self.field(field);
        bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
    }

    /// An octal number, or GNU's base-256 when the highest bit is set. `None` when it is neither.
    pub(super) fn number(&self, field: Field) -> Option<i64> {
        parse_number(self.field(field))
    }

    /// Writes an octal number with leading zeros and a NUL; gives false when it does not fit.
    pub(super) fn set_octal(&mut self, field: Field, value: u64) -> bool {
        let digits = field.1 - 1;
        let text = format!("{value:0digits$o}\0");
        let fits = text.len() == field.1;
        if fits {
            self.set(field, text.as_bytes());
        }
        fits
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(super) fn is_posix(&self) -> bool {
        self.field(MAGIC).starts_with(b"ustar\0")
    }

    /// Whether the checksum fits, summed over unsigned or (old Sun tar) signed bytes.
    pub(super) fn checksum_is_right(&self) -> bool {
        let Some(recorded) = self.number(CHECKSUM) else {
            return false;
        };
        let signed: i64 = self
            .bytes_for_checksum()
            .map(|byte| i64::from(byte.cast_signed()))
            .sum();
        recorded == self.checksum() || recorded == signed
    }

    pub(super) fn seal(&mut self) {
        let text = format!("{:06o}\0 ", self.checksum());
        self.set(CHECKSUM, text.as_bytes());
    }

    fn checksum(&self) -> i64 {
        self.bytes_for_checksum().map(i64::from).sum()
    }

    /// The checksum field itself counts as spaces.
    fn bytes_for_checksum(&self) -> impl Iterator<Item = u8> + '_ {
        let range = CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1;
        self.0
            .iter()
            .enumerate()
            .map(move |(index, byte)| if range.contains(&index) { b' ' } else { *byte })
    }
}

pub(super) fn parse_number(bytes: &[u8]) -> Option<i64> {
    match bytes.first()? {
        first if first & 0x80 != 0 => parse_base256(bytes),
        _ => {
            let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\0', ' ']);
            if text.is_empty() {
                Some(0)
            } else {
                i64::from_str_radix(text, 8).ok()
            }
        }
    }
}

/// Two's complement, big endian, without the marker bit.
fn parse_base256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (index, byte) in bytes.iter().enumerate() {
        let byte = if index == 0 {
            if negative { byte | 0x80 } else { byte & 0x7f }
        } else {
            *byte
        };
        value = value << 8 | i128::from(byte);
    }
    i64::try_from(value).ok()
}
