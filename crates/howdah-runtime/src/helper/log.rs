//! A container's output as Docker's `json-file` writes it: one JSON object a line, with bounded rotation.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use jiff::Timestamp;
use serde::Serialize;

use crate::LogLimits;

/// Longer lines are split, as Docker does, so that a program cannot fill our memory with one.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// Which of the program's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

#[derive(Serialize)]
struct Line<'a> {
    log: &'a str,
    stream: Stream,
    time: Timestamp,
}

/// The log of one container.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limits: LogLimits,
    /// What has come of a line that has not ended, by stream.
    partial: [Vec<u8>; 2],
}

impl Log {
    /// Opens the log, to go on where it ended.
    pub(super) fn open(path: &Path, limits: LogLimits) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let file = open_append(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limits,
            partial: [Vec::new(), Vec::new()],
        })
    }

    /// Takes output of the program, and writes the lines that it completes.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        partial.extend_from_slice(bytes);
        let time = Timestamp::now();
        let mut rest = partial.as_slice();
        let mut result = Ok(());
        while let Some(length) = line_length(rest) {
            let (line, after) = rest.split_at(length);
            // A full disk costs lines, never the container: go on with the next.
            result = result.and(self.write_line(stream, line, time));
            rest = after;
        }
        self.partial[stream as usize] = rest.to_vec();
        result
    }

    /// The stream has ended: writes what came after the last line end.
    pub(super) fn finish(&mut self, stream: Stream) -> io::Result<()> {
        let rest = std::mem::take(&mut self.partial[stream as usize]);
        if rest.is_empty() {
            Ok(())
        } else {
            self.write_line(stream, &rest, Timestamp::now())
        }
    }

    fn write_line(&mut self, stream: Stream, bytes: &[u8], time: Timestamp) -> io::Result<()> {
        let log = String::from_utf8_lossy(bytes);
        let mut line = serde_json::to_vec(&Line {
            log: &log,
            stream,
            time,
        })?;
        line.push(b'\n');
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.limits.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(&line)?;
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let kept = self.limits.max_files.max(1) - 1;
        for number in (1..kept).rev() {
            if older(number).exists() {
                fs_err::rename(older(number), older(number + 1))?;
            }
        }
        if kept == 0 {
            fs_err::remove_file(&self.path)?;
        } else {
            fs_err::rename(&self.path, older(1))?;
        }
        self.file = open_append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Length of the first complete line with its end, or of the first part of one that is too long; `None` when more is to come.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
        return Some(end + 1);
    }
    if bytes.len() < MAX_LINE_BYTES {
        return None;
    }
    // Not within a character: its bytes after the first are 0b10xx_xxxx.
    let boundary = (MAX_LINE_BYTES - 3..MAX_LINE_BYTES)
        .rev()
        .find(|&at| bytes[at] & 0b1100_0000 != 0b1000_0000);
    Some(match boundary {
        Some(at) if bytes[at] >= 0b1100_0000 => at,
        _ => MAX_LINE_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<(String, String)> {
        let text = fs_err::read_to_string(path).unwrap();
        text.lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(value["time"].as_str().unwrap().ends_with('Z'));
                (
                    value["stream"].as_str().unwrap().to_owned(),
                    value["log"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn lines_are_joined_and_the_last_needs_no_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/web.log");
        let mut log = Log::open(&path, LogLimits::default()).unwrap();
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"bad \xff\n").unwrap();
        log.write(Stream::Stdout, b"o\nthree").unwrap();
        log.finish(Stream::Stdout).unwrap();
        log.finish(Stream::Stderr).unwrap();
        let expected = [
            ("stdout", "one\n"),
            ("stderr", "bad \u{fffd}\n"),
            ("stdout", "two\n"),
            ("stdout", "three"),
        ];
        assert_eq!(
            lines(&path),
            expected.map(|(stream, line)| (stream.to_owned(), line.to_owned()))
        );
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::open(&path, LogLimits::default()).unwrap();
        let text = format!(
            "{}\u{20ac}{}\n",
            "x".repeat(MAX_LINE_BYTES - 1),
            "y".repeat(MAX_LINE_BYTES)
        );
        log.write(Stream::Stdout, text.as_bytes()).unwrap();
        let written: String = lines(&path).into_iter().map(|(_, line)| line).collect();
        assert_eq!(written, text);
        assert!(lines(&path).len() >= 3);
    }

    #[test]
    fn no_more_files_are_kept_than_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::open(
            &path,
            LogLimits {
                max_bytes: 200,
                max_files: 3,
            },
        )
        .unwrap();
        for number in 0..100 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes())
                .unwrap();
        }
        let mut names: Vec<_> = fs_err::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        assert_eq!(lines(&path).last().unwrap().1, "line 99\n");
        for name in names {
            assert!(fs_err::metadata(directory.path().join(name)).unwrap().len() <= 200);
        }
    }
}
