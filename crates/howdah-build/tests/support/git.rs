//! A Git server of the test's own: `git daemon` over repositories in a directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "part of a test program"
)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; dropped, it stops.
pub(crate) struct GitServer {
    directory: tempfile::TempDir,
    daemon: Child,
    port: u16,
}

impl GitServer {
    pub(crate) fn start() -> GitServer {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        // Without `git` in front, so that the process to end is the server itself.
        let daemon = Command::new("/usr/lib/git-core/git-daemon")
            .args(["--listen=127.0.0.1", "--export-all", "--reuseaddr"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", directory.path().display()))
            .stderr(Stdio::null())
            .spawn()
            .expect("git is installed");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "git daemon does not answer");
            std::thread::yield_now();
        }
        GitServer {
            directory,
            daemon,
            port,
        }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }

    /// A new repository.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        let repository = Repository(self.directory.path().join(name));
        fs_err::create_dir(&repository.0).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// A repository that the server serves.
pub(crate) struct Repository(PathBuf);

impl Repository {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes files and commits them; gives the commit's id.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.0.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&[
            "commit",
            "--quiet",
            "--message=x",
            "--date=2001-01-01T00:00:00Z",
        ]);
        self.git(&["rev-parse", "HEAD"])
    }
}
