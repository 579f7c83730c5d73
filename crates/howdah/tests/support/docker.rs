//! A private Docker engine (Debian's docker.io): the rival of the benchmark, and the judge of the images we write.
//! It gets no bridge and no firewall rules, so it cannot disturb the machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `dockerd` with everything it owns in one directory; dropped, it stops.
pub(crate) struct Docker {
    daemon: Child,
    directory: PathBuf,
}

impl Docker {
    /// Starts the daemon below `directory` and waits until it answers (at most a minute).
    pub(crate) fn start(directory: &Path) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        let log = fs_err::File::create(directory.join("dockerd.log"))
            .unwrap()
            .into_file();
        let daemon = Command::new("dockerd")
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--storage-driver=overlay2",
            ])
            .arg(format!("--data-root={}", directory.join("data").display()))
            .arg(format!("--exec-root={}", directory.join("exec").display()))
            .arg(format!(
                "--pidfile={}",
                directory.join("dockerd.pid").display()
            ))
            .arg(format!("--host={}", socket(directory)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd starts: make deps-test installs docker.io");
        let docker = Self {
            daemon,
            directory: directory.to_owned(),
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !docker
            .command(&["version"])
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(
                Instant::now() < deadline,
                "dockerd does not answer, see {}/dockerd.log",
                directory.display()
            );
            super::pause(Duration::from_millis(200));
        }
        docker
    }

    /// A command line of Debian's client (another `docker` on the path may lack BuildKit) that speaks to this daemon, with BuildKit.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command
            .arg("--host")
            .arg(socket(&self.directory))
            .args(arguments);
        command
            .env("DOCKER_BUILDKIT", "1")
            .env("DOCKER_CONFIG", self.directory.join("config"));
        command
    }

    /// Runs `docker …` and returns its stdout; panics with its stderr when it fails.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        super::output(&mut self.command(arguments))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        super::terminate(&mut self.daemon, Duration::from_secs(30));
        // The daemon's containerd mounts are its own; what a killed one leaves is unmounted here.
        let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap_or_default();
        for target in mounts
            .lines()
            .rev()
            .filter_map(|line| line.split(' ').nth(1))
        {
            if Path::new(target).starts_with(&self.directory) {
                drop(Command::new("umount").args(["-l", target]).status());
            }
        }
    }
}

fn socket(directory: &Path) -> String {
    format!("unix://{}", directory.join("docker.sock").display())
}
