//! A project of its own with a store of its own, and nothing left of either afterwards.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; only reached when something is broken.
const PATIENCE: Duration = Duration::from_mins(1);
// Two cores would not give several stacks their health checks in time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Scene {
    directory: TempDir,
    pub(crate) port: u16,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// A project `t` whose services may use the image `busybox` and the published port `${PORT}`.
    pub(crate) fn new(compose: &str) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::Builder::new()
            .prefix("howdah-compose-")
            .tempdir()
            .unwrap();
        let scene = Self {
            directory,
            port: free_port(),
            _alone: alone,
        };
        scene.build_image();
        scene.write(compose);
        scene
    }

    fn build_image(&self) {
        let context = self.path("image");
        fs_err::create_dir_all(&context).unwrap();
        fs_err::copy("/bin/busybox", context.join("busybox")).unwrap();
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
            RUN mkdir -p /data /tmp /etc && echo seed > /data/seed && chown -R 1000:1000 /data && chmod 750 /data\n\
            ENV PATH=/bin\nCMD [\"sleep\", \"1000\"]\n";
        fs_err::write(context.join("Dockerfile"), dockerfile).unwrap();
        let context = context.display().to_string();
        self.ok(&["build", "-q", "-t", "busybox", &context]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn write(&self, compose: &str) {
        let project = self.path("t");
        fs_err::create_dir_all(&project).unwrap();
        fs_err::write(project.join("compose.yaml"), compose).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let project = self.path("t");
        fs_err::create_dir_all(&project).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .args(arguments)
            .current_dir(project)
            .env("HOWDAH_ROOT", self.root())
            .env("PORT", self.port.to_string())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed; gives its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}\n{}\n{}", said.out, said.err);
        said.out
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// `sh -c` in a service's container; its output.
    #[track_caller]
    pub(crate) fn sh(&self, service: &str, script: &str) -> String {
        self.ok(&["exec", "-T", service, "sh", "-c", script])
    }

    /// All containers as `ps --format json` shows them.
    pub(crate) fn containers(&self) -> Vec<Value> {
        let lines = self.ok(&["ps", "-a", "--format", "json"]);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn container(&self, name: &str) -> Value {
        let all = self.containers();
        all.iter()
            .find(|container| container["Name"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// What a GET of the published port answers.
    pub(crate) fn get(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The keeper's process, when one runs.
    pub(crate) fn keeper(&self) -> Option<u32> {
        let root = self.root().display().to_string();
        processes().into_iter().find(|pid| {
            let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("\0__keeper\0") && line.contains(&root)
        })
    }

    /// The helper that keeps a container: it writes the log.
    pub(crate) fn helper(&self, id: &str) -> u32 {
        let keeps = |pid: &u32| {
            let open = fs_err::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let log = self.root().join("containers").join(id).join("log.json");
            line.contains("\0__container\0")
                && open
                    .into_iter()
                    .any(|entry| fs_err::read_link(entry.path()).is_ok_and(|target| target == log))
        };
        processes()
            .into_iter()
            .find(keeps)
            .expect("a process writes the container's log")
    }

    /// Everything that would be left behind: state, writable layers, secrets, keepers and bridges.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let root = self.root();
        let mut left: Vec<String> = ["stacks", "containers"]
            .iter()
            .flat_map(|name| names(&root.join(name)))
            .collect();
        let own = root.display().to_string();
        left.extend(processes().into_iter().filter_map(|pid| {
            let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline"))
                .ok()?
                .replace('\0', " ");
            line.contains(&own).then_some(line)
        }));
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&own))
                .map(str::to_owned),
        );
        left
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let said = self.run(&["down", "-v", "-t", "0", "--remove-orphans"]);
        let hash = blake3::hash(self.root().as_os_str().as_encoded_bytes()).to_hex();
        let runtime = Path::new("/run/howdah").join(&hash[..12]);
        if !std::thread::panicking() {
            assert_eq!(said.code, 0, "{}", said.err);
            eventually("nothing is left", || self.leftovers().is_empty());
            for name in ["stacks", "files", "containers"] {
                assert_eq!(names(&runtime.join(name)), [""; 0], "{name}");
            }
        }
        drop(fs_err::remove_dir_all(runtime));
    }
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn wait(child: Child) -> Said {
    said(child.wait_with_output().unwrap())
}

pub(crate) fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// Waits for what must come to pass.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    let any: SocketAddr = ([0, 0, 0, 0], 0).into();
    TcpListener::bind(any).unwrap().local_addr().unwrap().port()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path().display().to_string())
        .collect()
}

pub(crate) fn processes() -> Vec<u32> {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
