//! Containers' logs: JSON lines as Docker's `json-file` writes them, read back across rotation.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use jiff::Timestamp;
use rustix::fs::inotify;
use serde::Deserialize;

/// The most rotated files that are looked for.
const MOST_ROTATED: u32 = 64;

/// One line a container wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// The text, with its line end unless the line was cut or was the last.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it was written.
    pub time: Timestamp,
}

/// Reads one container's log from its beginning on, and then what is added.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    current: Option<BufReader<File>>,
    inode: u64,
    /// A line that was not complete when it was read.
    partial: String,
    /// Rotated files still to be read, oldest first.
    older: VecDeque<PathBuf>,
}

impl LogReader {
    /// Begins at the oldest line that is kept.
    pub fn new(path: &Path) -> Self {
        let rotated = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        let older = (1..MOST_ROTATED)
            .map(rotated)
            .take_while(|path| path.exists())
            .collect::<Vec<_>>();
        Self {
            path: path.to_owned(),
            current: None,
            inode: 0,
            partial: String::new(),
            older: older.into_iter().rev().collect(),
        }
    }

    /// Begins behind what is there.
    pub fn at_end(path: &Path) -> io::Result<Self> {
        let mut reader = Self {
            older: VecDeque::new(),
            ..Self::new(path)
        };
        if reader.open()?
            && let Some(file) = &mut reader.current
        {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(reader)
    }

    /// All lines written since the last call.
    pub fn read(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while let Some(path) = self.older.pop_front() {
            let mut file = BufReader::new(File::open(path)?);
            drain(&mut file, &mut String::new(), &mut lines)?;
        }
        loop {
            if self.current.is_none() && !self.open()? {
                return Ok(lines);
            }
            if let Some(file) = &mut self.current {
                drain(file, &mut self.partial, &mut lines)?;
            }
            // The file was rotated away while it was read: what was added before that has been read now.
            match fs_err::metadata(&self.path) {
                Ok(metadata) if metadata.ino() != self.inode => self.current = None,
                _ => return Ok(lines),
            }
        }
    }

    fn open(&mut self) -> io::Result<bool> {
        match File::open(&self.path) {
            Ok(file) => {
                self.inode = file.metadata()?.ino();
                self.current = Some(BufReader::new(file));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn drain(
    file: &mut BufReader<File>,
    partial: &mut String,
    lines: &mut Vec<LogLine>,
) -> io::Result<()> {
    while file.read_line(partial)? > 0 {
        if !partial.ends_with('\n') {
            return Ok(());
        }
        // A line a full disk cut off is skipped, the others are whole.
        lines.extend(serde_json::from_str::<LogLine>(partial));
        partial.clear();
    }
    Ok(())
}

/// The last lines of a log.
pub fn tail(path: &Path, count: usize) -> io::Result<Vec<LogLine>> {
    let mut lines = LogReader::new(path).read()?;
    let surplus = lines.len().saturating_sub(count);
    Ok(lines.split_off(surplus))
}

/// Wakes who follows logs when one of them grows (inotify(7)).
#[derive(Debug)]
pub struct LogWatch {
    descriptor: std::os::fd::OwnedFd,
}

impl LogWatch {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            descriptor: inotify::init(inotify::CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches a container's log; its directory is, since the file may not be there yet, and is rotated.
    pub fn add(&self, log: &Path) -> io::Result<()> {
        let Some(directory) = log.parent() else {
            return Ok(());
        };
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO;
        match inotify::add_watch(&self.descriptor, directory, flags) {
            // Removed meanwhile: nothing will be written any more.
            Err(rustix::io::Errno::NOENT) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// Blocks until something was written.
    pub fn wait(&self) -> io::Result<()> {
        let mut buffer = [0u8; 4096];
        Ok(rustix::io::read(&self.descriptor, &mut buffer).map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.log.trim_end()).collect()
    }

    #[test]
    fn reads_across_rotation_and_half_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        fs_err::write(directory.path().join("log.json.2"), line("1")).unwrap();
        fs_err::write(directory.path().join("log.json.1"), line("2")).unwrap();
        let whole = line("3");
        fs_err::write(&path, &whole[..20]).unwrap();
        let mut reader = LogReader::new(&path);
        assert_eq!(texts(&reader.read().unwrap()), ["1", "2"]);
        fs_err::write(&path, &whole).unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["3"]);
        fs_err::write(&path, [whole.as_str(), &line("4")].concat()).unwrap();
        fs_err::rename(&path, directory.path().join("log.json.1")).unwrap();
        fs_err::write(&path, line("5")).unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["4", "5"]);
        assert_eq!(texts(&reader.read().unwrap()), [""; 0]);
        assert_eq!(texts(&tail(&path, 1).unwrap()), ["5"]);
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut reader = LogReader::at_end(&path).unwrap();
        assert_eq!(reader.read().unwrap(), []);
        fs_err::write(&path, line("1")).unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["1"]);
    }
}
