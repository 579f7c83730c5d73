//! Sparse files: the three pax forms and the old one of GNU tar (its manual, "Storing Sparse Files").

use std::io::Read;

use super::header::{Field, Header, parse_number};
use super::{BLOCK, TarError};

const OLD_REAL_SIZE: Field = (483, 12);
const OLD_IS_EXTENDED: usize = 482;
const OLD_FIRST: usize = 386;
const OLD_IN_HEADER: usize = 4;
const OLD_IN_EXTENSION: usize = 21;
const OLD_PAIR: usize = 24;
/// No sane file has more pieces; a map is kept in memory.
const MOST_PIECES: usize = 1 << 20;

/// Where the data that is in the archive belongs in the file: offset and length of each piece, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) pieces: Vec<(u64, u64)>,
    pub(crate) size: u64,
}

impl Map {
    /// Checks order and bounds. The pieces must be exactly the `stored` bytes.
    fn check(self, stored: u64) -> Option<Self> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (offset, length) in &self.pieces {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(*length)?;
            sum = sum.checked_add(*length)?;
        }
        (end <= self.size && sum == stored && self.pieces.len() <= MOST_PIECES).then_some(self)
    }
}

/// What the pax records of an entry say about holes.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Version 1.0 keeps the map in front of the data.
    map_in_data: bool,
    size: Option<u64>,
    pieces: Vec<(u64, u64)>,
    offset: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
}

impl Records {
    /// Takes a `GNU.sparse.*` record. `None` when it is malformed.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let number = || super::pax::parse_decimal(value);
        match key {
            b"GNU.sparse.major" => self.map_in_data = number()? == 1,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(number()?),
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.offset" => self.offset = Some(number()?),
            b"GNU.sparse.numbytes" => self.pieces.push((self.offset.take()?, number()?)),
            b"GNU.sparse.map" => {
                let numbers: Option<Vec<u64>> = value
                    .split(|byte| *byte == b',')
                    .map(super::pax::parse_decimal)
                    .collect();
                self.pieces = pairs(&numbers?)?;
            }
            _ => {}
        }
        (self.pieces.len() <= MOST_PIECES).then_some(())
    }

    /// The map, if these records are of a sparse file. Reduces `stored` by what of the data is the map itself.
    pub(super) fn into_map(
        self,
        reader: &mut impl Read,
        stored: &mut u64,
    ) -> Result<Option<Map>, TarError> {
        let Some(size) = self.size else {
            return Ok(None);
        };
        let pieces = if self.map_in_data {
            read_map(reader, stored)?
        } else {
            self.pieces
        };
        Map { pieces, size }
            .check(*stored)
            .map(Some)
            .ok_or_else(|| malformed(&self.name.unwrap_or_default()))
    }
}

/// Version 1.0: decimal numbers, one a line, padded to whole blocks: how many pairs, then the pairs.
fn read_map(reader: &mut impl Read, stored: &mut u64) -> Result<Vec<(u64, u64)>, TarError> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut current: Option<u64> = None;
    while *stored >= BLOCK as u64 {
        let mut block = [0; BLOCK];
        reader
            .read_exact(&mut block)
            .map_err(|_| TarError::Truncated)?;
        *stored -= BLOCK as u64;
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    current = current
                        .unwrap_or(0)
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(digit));
                }
                b'\n' => numbers.push(current.take().ok_or_else(|| malformed(b""))?),
                _ => return Err(malformed(b"")),
            }
            let Some((count, rest)) = numbers.split_first() else {
                continue;
            };
            if *count > MOST_PIECES as u64 {
                return Err(malformed(b""));
            }
            if rest.len() as u64 == 2 * count {
                return pairs(rest).ok_or_else(|| malformed(b""));
            }
        }
    }
    Err(malformed(b""))
}

fn pairs(numbers: &[u64]) -> Option<Vec<(u64, u64)>> {
    numbers.len().is_multiple_of(2).then(|| {
        numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect()
    })
}

/// The old form: pairs in the header, continued in further blocks before the data.
pub(super) fn read_old(
    header: &Header,
    reader: &mut impl Read,
    stored: u64,
) -> Result<Map, TarError> {
    let name = header.text(super::header::NAME);
    let size = header
        .number(OLD_REAL_SIZE)
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| malformed(name))?;
    let mut pieces = Vec::new();
    push_old(&mut pieces, &header.0[OLD_FIRST..], OLD_IN_HEADER).ok_or_else(|| malformed(name))?;
    let mut extended = header.0[OLD_IS_EXTENDED] != 0;
    while extended {
        let mut block = [0; BLOCK];
        reader
            .read_exact(&mut block)
            .map_err(|_| TarError::Truncated)?;
        push_old(&mut pieces, &block, OLD_IN_EXTENSION).ok_or_else(|| malformed(name))?;
        extended = block[OLD_IN_EXTENSION * OLD_PAIR] != 0;
    }
    Map { pieces, size }
        .check(stored)
        .ok_or_else(|| malformed(name))
}

fn push_old(pieces: &mut Vec<(u64, u64)>, bytes: &[u8], most: usize) -> Option<()> {
    for pair in bytes.chunks_exact(OLD_PAIR).take(most) {
        if pair[0] == 0 {
            break;
        }
        let number = |bytes| parse_number(bytes).and_then(|number| u64::try_from(number).ok());
        pieces.push((number(&pair[..12])?, number(&pair[12..])?));
    }
    (pieces.len() <= MOST_PIECES).then_some(())
}

fn malformed(path: &[u8]) -> TarError {
    TarError::malformed(path, "a malformed map of holes")
}
