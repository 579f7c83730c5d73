//! A supervisor under test: as the real PID 1 of a namespace, or as a plain process, with everything it says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use howdah_init::control::{Report, query};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How the supervisor runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// PID 1 of its own namespace.
    Init,
    /// A process like any other.
    Plain,
}

/// A running supervisor. Dropping it ends it, with all that belongs to it.
pub(crate) struct World {
    directory: TempDir,
    child: Child,
    mode: Mode,
    output: BufReader<File>,
    /// Everything read so far.
    pub(crate) seen: Vec<String>,
}

/// The smallest supervisor, `supervisor.rs` beside this file.
pub(crate) const PID1: &str = env!("CARGO_BIN_EXE_howdah-init-pid1");

impl World {
    /// Starts a supervisor with the configuration `text`, in a directory of its own, as PID 1.
    pub(crate) fn init(file: &str, text: &str) -> Self {
        Self::start(Mode::Init, file, text, &[])
    }

    pub(crate) fn start(mode: Mode, file: &str, text: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), mode, file, text, arguments)
    }

    pub(crate) fn start_in(
        directory: TempDir,
        mode: Mode,
        file: &str,
        text: &str,
        arguments: &[&str],
    ) -> Self {
        fs_err::write(directory.path().join(file), text).unwrap();
        let mut command = match mode {
            Mode::Init => {
                let mut command = Command::new("unshare");
                command
                    .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
                    .arg(PID1);
                command
            }
            Mode::Plain => Command::new(PID1),
        };
        let (reader, writer) = std::io::pipe().unwrap();
        command
            .arg(file)
            .arg("s.sock")
            .args(arguments)
            .current_dir(directory.path());
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", directory.path().display()),
        );
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        drop(command);
        let output = BufReader::new(File::from(OwnedFd::from(reader)));
        Self {
            directory,
            child,
            mode,
            output,
            seen: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Reads until a line contains `text`; its absence fails the test when the output ends.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(
                read > 0,
                "never said `{text}`, but:\n{}",
                self.seen.join("\n")
            );
            self.seen.push(line.trim_end().to_owned());
            if line.contains(text) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// The supervisor's process id in our namespace.
    pub(crate) fn pid(&self) -> i32 {
        let own = i32::try_from(self.child.id()).unwrap();
        match self.mode {
            Mode::Plain => own,
            Mode::Init => children(own)[0],
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Reads the rest of the output and gives the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.seen
            .extend(String::from_utf8_lossy(&rest).lines().map(str::to_owned));
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    pub(crate) fn stop(&mut self) -> i32 {
        self.send(Signal::SIGTERM);
        self.end()
    }

    pub(crate) fn health(&self, program: Option<&str>) -> Report {
        query(
            &[self.path().join("s.sock")],
            program,
            Duration::from_secs(30),
        )
        .unwrap()
    }

    /// Asks for its health until `well` agrees. Each question is one turn of the supervisor's loop.
    pub(crate) fn health_until(&self, well: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.health(None);
            if well(&report) {
                return report;
            }
        }
    }

    pub(crate) fn said(&self, text: &str) -> bool {
        self.seen.iter().any(|line| line.contains(text))
    }

    /// The lines of one program, without its name.
    pub(crate) fn lines_of(&self, name: &str) -> Vec<&str> {
        let lines = self.seen.iter().filter_map(|line| line.split_once(" | "));
        lines
            .filter(|(prefix, _)| prefix.trim_end() == name)
            .map(|(_, line)| line)
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // `unshare --kill-child` takes PID 1 with it, and that its namespace; the programs of a plain supervisor
            // have its death as their signal.
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// Children of a process: /proc/PID/task/PID/children.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let list =
        fs_err::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// The third field of /proc/PID/stat: Z is a zombie. `None` when there is no such process.
pub(crate) fn process_state(pid: i32) -> Option<char> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
