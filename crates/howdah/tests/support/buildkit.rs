//! A BuildKit of our own: `buildkitd` as `make buildkit` builds it, and Debian's registry for its base images.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{output, terminate, wait_for};

/// `buildkitd` and a registry that stands for Docker Hub, with everything they own in one directory; dropped, both stop.
pub(crate) struct BuildKit {
    buildctl: PathBuf,
    socket: PathBuf,
    port: u16,
    daemon: Child,
    registry: Child,
}

impl BuildKit {
    /// Starts the daemons of `programs` (`buildkitd`, `buildctl`) and waits until they answer (at most a minute each).
    pub(crate) fn start(programs: &Path, directory: &Path) -> BuildKit {
        fs_err::create_dir_all(directory).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let port = address.unwrap().port();
        let registry = registry(directory, port);
        let config = directory.join("buildkitd.toml");
        let socket = directory.join("socket");
        let text = format!(
            "root = \"{root}\"\ninsecure-entitlements = [\"network.host\", \"security.insecure\"]\n\
             [grpc]\naddress = [\"unix://{socket}\"]\n[worker.oci]\nsnapshotter = \"overlayfs\"\n\
             [worker.containerd]\nenabled = false\n\
             [registry.\"docker.io\"]\nmirrors = [\"127.0.0.1:{port}\"]\n[registry.\"127.0.0.1:{port}\"]\nhttp = true\n",
            root = directory.join("buildkit").display(),
            socket = socket.display(),
        );
        fs_err::write(&config, text).unwrap();
        let mut command = Command::new(programs.join("buildkitd"));
        let daemon = daemon(command.arg("--config").arg(&config), directory);
        let buildkit = BuildKit {
            buildctl: programs.join("buildctl"),
            socket,
            port,
            daemon,
            registry,
        };
        wait_for("buildkitd answers", Duration::from_mins(1), || {
            let workers = buildkit.command().args(["debug", "workers"]).output();
            workers
                .is_ok_and(|output| output.status.success())
                .then_some(())
        });
        buildkit
    }

    /// `buildctl` on this daemon.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.buildctl);
        command
            .arg("--addr")
            .arg(format!("unix://{}", self.socket.display()));
        command
    }

    /// Gives it an image under a name of Docker Hub's library. `source` is a place as skopeo writes it.
    pub(crate) fn provide(&self, source: &str, name: &str) {
        output(
            Command::new("skopeo")
                .args([
                    "copy",
                    "--all",
                    "--quiet",
                    "--dest-tls-verify=false",
                    source,
                ])
                .arg(format!("docker://127.0.0.1:{}/library/{name}", self.port)),
        );
    }

    /// The daemon's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        terminate(&mut self.daemon, Duration::from_secs(20));
        terminate(&mut self.registry, Duration::from_secs(20));
    }
}

/// Debian's registry on the loopback.
fn registry(directory: &Path, port: u16) -> Child {
    let config = directory.join("registry.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        directory.join("registry").display()
    );
    fs_err::write(&config, text).unwrap();
    let mut command = Command::new("docker-registry");
    let child = daemon(command.arg("serve").arg(&config), directory);
    wait_for("docker-registry answers", Duration::from_mins(1), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    child
}

fn daemon(command: &mut Command, directory: &Path) -> Child {
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap()
        .into_file();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("the daemon starts: make deps-test buildkit")
}
