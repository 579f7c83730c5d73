//! A step's output, line by line.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Longer lines are broken here.
const LINE_LIMIT: usize = 16 << 10;
/// How much of the end is shown with a failure.
const TAIL_LINES: usize = 20;

/// Reads to the end, giving every line to `sink`. Bytes that are no UTF-8 are replaced; a carriage return begins its line
/// anew, as progress bars mean it.
pub(super) fn read_lines(mut reader: impl Read, mut sink: impl FnMut(String)) -> io::Result<()> {
    let mut line = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..length] {
            if byte == b'\n' || line.len() >= LINE_LIMIT {
                sink(text(&line));
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        sink(text(&line));
    }
    Ok(())
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    String::from_utf8_lossy(shown).into_owned()
}

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(text, |line| lines.push(line)).unwrap();
        lines
    }

    #[test]
    fn lines_are_what_a_terminal_shows() {
        assert_eq!(lines(b"a\nb\r\n10%\r100%\nend"), ["a", "b", "100%", "end"]);
        assert_eq!(lines(b"\n\n"), ["", ""]);
        assert_eq!(lines(b"\xff"), ["\u{fffd}"]);
        assert_eq!(lines(&vec![b'x'; LINE_LIMIT * 2 + 1]).len(), 3);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        (0..100).for_each(|index| tail.push(index.to_string()));
        let lines = tail.into_lines();
        assert_eq!(
            (lines.len(), lines.last().map(String::as_str)),
            (TAIL_LINES, Some("99"))
        );
    }
}
