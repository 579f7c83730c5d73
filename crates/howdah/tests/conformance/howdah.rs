//! Howdah's side: its command line on one store that all cases share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use crate::case::Case;
use crate::images::Bases;
use crate::outcome::Outcome;
use crate::remote::Remote;
use crate::scene::Scene;
use crate::user::User;

/// A store with the base images in it.
#[derive(Debug)]
pub(crate) struct Howdah {
    root: PathBuf,
    bases: Bases,
    /// Where they are.
    layout: PathBuf,
    /// Whose commands they are; root's without one.
    user: Option<User>,
    remote: Arc<OnceLock<Remote>>,
}

impl Howdah {
    /// Everything is kept below `directory`; what a user has, in its own. `remote` starts with the first case that needs it.
    pub(crate) fn new(
        directory: &Path,
        user: Option<User>,
        remote: &Arc<OnceLock<Remote>>,
    ) -> Howdah {
        let layout = match &user {
            Some(user) => user.path("bases"),
            None => directory.join("bases"),
        };
        let bases = Bases::write(&layout);
        if let Some(user) = &user {
            user.give(&layout);
        }
        let howdah = Howdah {
            root: directory.join("root"),
            bases,
            layout,
            user,
            remote: Arc::clone(remote),
        };
        let mut load = howdah.command();
        load.args(["image", "load", "--quiet", "--input"])
            .arg(&howdah.layout);
        assert!(load.status().unwrap().success(), "{load:?}");
        howdah
    }

    /// Whether the commands are an ordinary user's.
    pub(crate) fn is_users(&self) -> bool {
        self.user.is_some()
    }

    /// Builds a case.
    pub(crate) fn build(&self, case: &Case) -> Outcome {
        if !case.is_remote() {
            return self.build_filled(case);
        }
        let remote = self.remote.get_or_init(Remote::start);
        remote.mask(self.build_filled(&remote.fill(case)))
    }

    fn build_filled(&self, case: &Case) -> Outcome {
        let scene = Scene::new(case, self.user.as_ref());
        let mut command = self.command();
        command.current_dir(scene.directory());
        command.args(["build", "--progress", "plain"]);
        match &case.at {
            _ if case.on_stdin => {
                command.args(["--file", "-"]).stdin(scene.dockerfile(case));
            }
            _ if case.file.contains("://") => {
                command.args(["--file", &case.file]);
            }
            None => {
                command.arg("--file").arg(scene.context().join(&case.file));
            }
            Some(_) if case.file != "Dockerfile" => {
                command.args(["--file", &case.file]);
            }
            Some(_) => {}
        }
        if let Some(bytes) = case.shm_size {
            command.args(["--shm-size", &bytes.to_string()]);
        }
        for limit in &case.ulimits {
            command.args(["--ulimit", limit]);
        }
        command
            .arg("--output")
            .arg(format!("type=oci,dest={}", scene.image().display()));
        command.args(["--network", case.network.as_deref().unwrap_or("none")]);
        if let Some(target) = &case.target {
            command.args(["--target", target]);
        }
        for (option, pairs) in [("--build-arg", &case.build_args), ("--label", &case.labels)] {
            for (name, value) in pairs {
                command.arg(option).arg(format!("{name}={value}"));
            }
        }
        for id in case.secrets.keys() {
            command
                .arg("--secret")
                .arg(format!("id={id},src={}", scene.secret(id).display()));
        }
        for (name, place) in &case.build_contexts {
            command.arg("--build-context").arg(format!(
                "{name}={}",
                scene.named_context(place, &self.layout)
            ));
        }
        for (option, values) in [("--add-host", &case.add_hosts), ("--allow", &case.allow)] {
            for value in values {
                command.args([option, value]);
            }
        }
        if let Some(platform) = &case.platform {
            command.args(["--platform", platform]);
        }
        if case.ssh {
            command
                .args(["--ssh", "default"])
                .env("SSH_AUTH_SOCK", scene.agent());
        }
        match &case.at {
            Some(address) => command.arg(address),
            None => command.arg(scene.context()),
        };
        let output = command.output().unwrap();
        if output.status.success() {
            self.bases.outcome(&scene.image())
        } else {
            Outcome::failed(&String::from_utf8_lossy(&output.stderr))
        }
    }

    /// The program, deaf to the caller's environment.
    fn command(&self) -> Command {
        if let Some(user) = &self.user {
            return user.howdah(&[]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOWDAH_ROOT", &self.root);
        command
    }
}
