//! BuildKit's side: a daemon of its own for the time of the recording.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::case::{Case, Group};
use crate::images::Bases;
use crate::outcome::{Outcome, Recorded};
use crate::scene::Scene;

/// Asks BuildKit for the outcome of every case whose `group::name` begins with `filter`, and writes `recorded/`.
pub(crate) fn record(programs: &Path, filter: &str) -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let buildkit = BuildKit::start(programs, directory.path());
    for group in Group::all() {
        let chosen: Vec<&Case> = group
            .cases
            .iter()
            .filter(|case| format!("{}::{}", group.name, case.name).starts_with(filter))
            .collect();
        if chosen.is_empty() {
            continue;
        }
        let outcomes: BTreeMap<String, Outcome> = chosen
            .par_iter()
            .map(|case| (case.name.clone(), buildkit.build(case)))
            .collect();
        let mut recorded = Recorded::read(&group.name);
        let names: Vec<String> = group.cases.iter().map(|case| case.name.clone()).collect();
        recorded.update(&names, &outcomes);
        recorded.write(&group.name);
        let failed = outcomes
            .values()
            .filter(|outcome| outcome.failure.is_some())
            .count();
        eprintln!(
            "{}: {} recorded, {failed} of them failures",
            group.name,
            outcomes.len()
        );
    }
    ExitCode::SUCCESS
}

/// `buildkitd`, and a registry that has the base images; dropped, both stop.
struct BuildKit {
    buildctl: PathBuf,
    socket: PathBuf,
    bases: Bases,
    daemons: Vec<Child>,
}

impl BuildKit {
    fn start(programs: &Path, directory: &Path) -> BuildKit {
        let bases = Bases::write(&directory.join("bases"));
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let registry = registry(directory, port);
        let config = directory.join("buildkitd.toml");
        let text = format!(
            "root = \"{root}\"\ninsecure-entitlements = [\"network.host\", \"security.insecure\"]\n\
             [grpc]\naddress = [\"unix://{socket}\"]\n[worker.oci]\nsnapshotter = \"overlayfs\"\n\
             [worker.containerd]\nenabled = false\n\
             [registry.\"docker.io\"]\nmirrors = [\"127.0.0.1:{port}\"]\n[registry.\"127.0.0.1:{port}\"]\nhttp = true\n",
            root = directory.join("buildkit").display(),
            socket = directory.join("socket").display(),
        );
        fs_err::write(&config, text).unwrap();
        let daemon = daemon(
            Command::new(programs.join("buildkitd"))
                .arg("--config")
                .arg(&config),
            directory,
        );
        let buildkit = BuildKit {
            buildctl: programs.join("buildctl"),
            socket: directory.join("socket"),
            bases,
            daemons: vec![daemon, registry],
        };
        wait("buildkitd", || {
            buildkit
                .command()
                .args(["debug", "workers"])
                .output()
                .is_ok_and(|output| output.status.success())
        });
        for name in Bases::names() {
            let mut copy = Command::new("skopeo");
            copy.args(["copy", "--all", "--quiet", "--dest-tls-verify=false"])
                .arg(format!("oci:{}:{name}", directory.join("bases").display()))
                .arg(format!("docker://127.0.0.1:{port}/library/{name}:latest"));
            assert!(copy.status().unwrap().success(), "{copy:?}");
        }
        buildkit
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.buildctl);
        command
            .arg("--addr")
            .arg(format!("unix://{}", self.socket.display()));
        command
    }

    fn build(&self, case: &Case) -> Outcome {
        let scene = Scene::new(case, None);
        let mut command = self.command();
        command.args([
            "build",
            "--progress",
            "plain",
            "--no-cache",
            "--frontend",
            "dockerfile.v0",
        ]);
        for name in ["context", "dockerfile"] {
            command
                .arg("--local")
                .arg(format!("{name}={}", scene.context().display()));
        }
        let mut option = |name: &str, value: &str| {
            command.arg("--opt").arg(format!("{name}={value}"));
        };
        option("filename", &case.file);
        // Whoever gives it has followed `# syntax=` already: the frontend that is built in is the one meant.
        option("cmdline", "docker/dockerfile:1");
        match case.network.as_deref().unwrap_or("none") {
            "default" => {}
            network => option("force-network-mode", network),
        }
        for (name, value) in [("target", &case.target), ("platform", &case.platform)] {
            if let Some(value) = value {
                option(name, value);
            }
        }
        for (kind, pairs) in [("build-arg", &case.build_args), ("label", &case.labels)] {
            for (name, value) in pairs {
                option(&format!("{kind}:{name}"), value);
            }
        }
        if !case.add_hosts.is_empty() {
            option("add-hosts", &case.add_hosts.join(",").replace(':', "="));
        }
        for (name, place) in &case.build_contexts {
            let place = scene.named_context(place);
            if place.contains("://") {
                command.arg("--opt").arg(format!("context:{name}={place}"));
            } else {
                command
                    .arg("--opt")
                    .arg(format!("context:{name}=local:{name}"));
                command.arg("--local").arg(format!("{name}={place}"));
            }
        }
        for id in case.secrets.keys() {
            command
                .arg("--secret")
                .arg(format!("id={id},src={}", scene.secret(id).display()));
        }
        for entitlement in &case.allow {
            command.args(["--allow", entitlement]);
        }
        if case.ssh {
            command
                .arg("--ssh")
                .arg(format!("default={}", scene.agent().display()));
        }
        command
            .arg("--output")
            .arg(format!("type=oci,dest={}", scene.image().display()));
        let output = command.output().unwrap();
        if output.status.success() {
            return self.bases.outcome(&scene.image());
        }
        Outcome::failed(&message(&String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            rustix::process::kill_process(
                rustix::process::Pid::from_child(daemon),
                rustix::process::Signal::TERM,
            )
            .ok();
            daemon.wait().ok();
        }
    }
}

/// What `buildctl` says last, without the parts that differ from run to run.
fn message(stderr: &str) -> String {
    let error = stderr
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    let text = error.unwrap_or(stderr).trim();
    let text = text.trim_start_matches("failed to solve: ");
    // Names of references: `iwebhk0ngj12u3av9jjzwib3b::ssnjbb6nsqn9y0w3jsl7wrt9s`.
    let words = text.split(' ').map(|word| match word.rsplit_once("::") {
        Some((_, random)) if random.len() > 20 => "…".to_owned(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Debian's registry on the loopback.
fn registry(directory: &Path, port: u16) -> Child {
    let config = directory.join("registry.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        directory.join("registry").display()
    );
    fs_err::write(&config, text).unwrap();
    let child = daemon(
        Command::new("docker-registry").arg("serve").arg(&config),
        directory,
    );
    wait("docker-registry", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
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
        .expect("the daemon starts")
}

#[expect(
    clippy::disallowed_methods,
    reason = "an outside program gives no event to wait for"
)]
fn wait(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
}
