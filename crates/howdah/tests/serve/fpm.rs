//! A PHP-FPM server of the test's own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// See the module's head. Ends with its value.
pub(crate) struct Fpm {
    process: Child,
    socket: PathBuf,
}

impl Fpm {
    /// With so many processes, its socket and log in `directory`. `settings`: further lines of its pool.
    pub(crate) fn start(
        directory: &Path,
        processes: usize,
        settings: &str,
        environment: &[(&str, String)],
    ) -> Fpm {
        let socket = directory.join("fpm.sock");
        let configuration = directory.join("fpm.conf");
        let text = format!(
            "[global]\nerror_log = {log}\ndaemonize = no\n[pool]\nuser = root\ngroup = root\nlisten = {socket}\npm = static\n\
             pm.max_children = {processes}\nclear_env = no\n{settings}\n",
            log = directory.join("fpm.log").display(),
            socket = socket.display(),
        );
        fs_err::write(&configuration, text).unwrap();
        let process = Command::new("php-fpm8.2")
            .args(["--allow-to-run-as-root", "--fpm-config"])
            .arg(&configuration)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let fpm = Fpm { process, socket };
        let start = Instant::now();
        while UnixStream::connect(&fpm.socket).is_err() {
            assert!(start.elapsed() < super::DEADLINE, "PHP-FPM does not start");
            std::thread::yield_now();
        }
        fpm
    }

    pub(crate) fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // Its children end with it.
        let pid = self.process.id().to_string();
        Command::new("kill").arg(pid).status().ok();
        self.process.wait().ok();
    }
}
