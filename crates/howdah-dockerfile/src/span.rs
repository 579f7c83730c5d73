//! Where something stands in the text of a Dockerfile.

use std::ops::Range;

/// A half-open range of bytes in the text given to [`crate::parse()`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// The range from `start` to `end`; an `end` before `start` makes an empty span.
    pub fn new(start: usize, end: usize) -> Span {
        Span {
            start,
            end: end.max(start),
        }
    }

    /// The bytes as a range, for slicing the text that was parsed.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The lines this span touches in `text`.
    pub fn lines(self, text: &str) -> Lines {
        let newlines = |to: usize| {
            let before = &text.as_bytes()[..to.min(text.len())];
            before.split(|&byte| byte == b'\n').count() - 1
        };
        let last_byte = self.end.saturating_sub(1).max(self.start);
        Lines {
            first: newlines(self.start) + 1,
            last: newlines(last_byte) + 1,
        }
    }
}

/// A range of lines, both ends included, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lines {
    /// The line on which the thing begins.
    pub first: usize,
    /// The line on which it ends.
    pub last: usize,
}
