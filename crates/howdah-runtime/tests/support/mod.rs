//! A root filesystem with the static busybox, a runtime with a state directory of its own, and their removal.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "part of several test programs, each of which uses some"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use howdah_runtime::{ContainerSpec, Exit, Mount, Rootfs, Runtime, RuntimeError, State, Stdio};

/// Held by tests that share the machine's bridges and firewall.
static MACHINE: Mutex<()> = Mutex::new(());

pub(crate) fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything one test makes; removed when dropped, containers first.
pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) runtime: Runtime,
}

/// What a container printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: Exit,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let helper = Path::new(env!("CARGO_BIN_EXE_howdah-runtime-helper"));
        let runtime = Runtime::new(&directory.path().join("run"), helper).unwrap();
        let lab = Self { directory, runtime };
        lab.make_base();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A layer with busybox under all its names, users, and nothing mounted over.
    fn make_base(&self) {
        let base = self.path("base");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs_err::create_dir_all(base.join(name)).unwrap();
        }
        // Debian's package busybox-static.
        fs_err::copy("/bin/busybox", base.join("bin/busybox")).unwrap();
        for name in [
            "sh", "true", "cat", "echo", "id", "ls", "mkdir", "touch", "sleep", "env", "pwd",
            "hostname", "mount", "grep", "wget", "nc", "ping", "ip", "kill", "ps", "stat", "dd",
            "head", "tty", "stty", "mknod", "chmod", "wc", "tail", "rm", "sysctl", "ulimit", "yes",
            "find", "unshare", "df", "readlink", "nslookup",
        ] {
            fs_err::os::unix::fs::symlink("busybox", base.join("bin").join(name)).unwrap();
        }
        fs_err::write(
            base.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .unwrap();
        fs_err::write(
            base.join("etc/group"),
            "root:x:0:\napp:x:1000:\nextra:x:1234:app\n",
        )
        .unwrap();
    }

    /// A container with a fresh writable layer over the base.
    pub(crate) fn spec(&self, id: &str, args: &[&str]) -> ContainerSpec {
        let layer = self.path(&format!("layer-{id}"));
        fs_err::create_dir_all(layer.join("upper")).unwrap();
        fs_err::create_dir_all(layer.join("work")).unwrap();
        ContainerSpec {
            id: id.to_owned(),
            rootfs: Rootfs {
                lowers: vec![self.path("base")],
                upper: layer.join("upper"),
                work: layer.join("work"),
            },
            args: args.iter().map(|argument| (*argument).to_owned()).collect(),
            ..ContainerSpec::default()
        }
    }

    pub(crate) fn shell(&self, id: &str, script: &str) -> ContainerSpec {
        self.spec(id, &["sh", "-c", script])
    }

    /// Runs a container to its end and collects its output.
    pub(crate) fn run(&self, spec: &ContainerSpec) -> Result<Outcome, RuntimeError> {
        let mut running = self.runtime.run(spec, Stdio::Piped)?;
        let stdout = running.stdout.take().unwrap();
        let stderr = running.stderr.take().unwrap();
        let reader = std::thread::spawn(move || text(stderr));
        let stdout = text(stdout);
        let stderr = reader.join().unwrap();
        let exit = running.wait()?;
        Ok(Outcome {
            stdout,
            stderr,
            exit,
        })
    }

    /// What a shell script prints; it must succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.run_ok(&self.shell("script", script))
    }

    pub(crate) fn run_ok(&self, spec: &ContainerSpec) -> String {
        let outcome = self.run(spec).unwrap();
        assert_eq!(outcome.exit.code, 0, "{outcome:?}");
        outcome.stdout
    }

    /// Everything in a container's writable layer, sorted.
    pub(crate) fn changes(&self, id: &str) -> Vec<String> {
        let upper = self.path(&format!("layer-{id}/upper"));
        let mut found = Vec::new();
        let mut directories = vec![upper.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs_err::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                found.push(
                    entry
                        .path()
                        .strip_prefix(&upper)
                        .unwrap()
                        .display()
                        .to_string(),
                );
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    /// What the machine still has of this lab's containers: control groups, mounts, state.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let root = self.directory.path().display().to_string();
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&root))
                .map(str::to_owned),
        );
        for id in fs_err::read_dir(self.path("run/containers"))
            .into_iter()
            .flatten()
        {
            found.push(format!("state {}", id.unwrap().path().display()));
        }
        found
    }

    pub(crate) fn is_running(&self, id: &str) -> bool {
        matches!(self.runtime.state(id).unwrap(), State::Running { .. })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (id, _) in self.runtime.list().unwrap_or_default() {
            self.runtime.delete(&id).ok();
        }
    }
}

pub(crate) fn text(mut file: impl Read) -> String {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks again until the answer comes, for what the kernel does in its own time.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{what} did not happen"
        );
        let pause = rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 10_000_000,
        };
        rustix::event::poll(&mut [], Some(&pause)).unwrap();
    }
}

pub(crate) fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount::Bind {
        source: source.to_owned(),
        target: target.into(),
        read_only,
    }
}
