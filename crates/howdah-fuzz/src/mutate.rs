//! Inputs that are nearly right: parts of real ones, cut, doubled, spliced and spoilt.

use std::ops::Range;

use crate::random::Random;

/// Bytes that parsers of text and of binary headers trip over.
const BYTES: [u8; 18] = [
    0, 1, 9, 10, 13, b' ', b'"', b'\'', b'\\', b'$', b'{', b'}', b'[', b':', b'-', b'/', 0x7f, 0xff,
];
/// Numbers at the edges.
const NUMBERS: [&str; 8] = [
    "0",
    "-1",
    "65536",
    "4294967296",
    "18446744073709551616",
    "1e999",
    "0x7fffffff",
    "007",
];

/// Makes inputs.
#[derive(Debug)]
pub(crate) struct Mutator<'a> {
    pub(crate) inputs: &'a [Vec<u8>],
    pub(crate) words: &'a [&'a str],
}

impl Mutator<'_> {
    /// An input with a few changes.
    pub(crate) fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut input = self.any(random).to_vec();
        for _ in 0..=random.below(6) {
            self.change(&mut input, random);
        }
        input
    }

    fn any(&self, random: &mut Random) -> &[u8] {
        &self.inputs[random.below(self.inputs.len())]
    }

    fn change(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        match random.below(8) {
            0 => insert(input, at, &[random.pick(&BYTES)]),
            1 => insert(input, at, random.pick(self.words).as_bytes()),
            2 => insert(input, at, random.pick(&NUMBERS).as_bytes()),
            3 => drop(input.drain(part(input.len(), random))),
            4 => {
                let copied = input[part(input.len(), random)].to_vec();
                insert(input, at, &copied);
            }
            5 => {
                let other = self.any(random);
                let spliced = other[part(other.len(), random)].to_vec();
                insert(input, at, &spliced);
            }
            6 => {
                let line = line(input, at);
                let copied = input[line].to_vec();
                let to = random.below(input.len() + 1);
                insert(input, to, &copied);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

/// A part, more often a short one.
fn part(length: usize, random: &mut Random) -> Range<usize> {
    let start = random.below(length + 1);
    let most = if random.below(4) == 0 { length } else { 16 };
    let end = start + random.below((length - start).min(most) + 1);
    start..end
}

/// The line that a byte is in, with its end.
fn line(input: &[u8], at: usize) -> Range<usize> {
    let before = &input[..at];
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let end = input[at..].iter().position(|byte| *byte == b'\n');
    start..end.map_or(input.len(), |newline| at + newline + 1)
}
