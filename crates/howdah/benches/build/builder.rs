//! The builders that are compared; each is a command line that turns a directory into an image.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::buildkit::BuildKit;

/// One build: `file` in `context` becomes the image `tag`.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Path,
    pub(crate) file: &'a str,
    pub(crate) tag: &'a str,
    /// Handed in as the secret `ca_certificates`.
    pub(crate) certificates: Option<&'a Path>,
}

impl<'a> Job<'a> {
    /// The Dockerfile of a directory.
    pub(crate) fn new(context: &'a Path, tag: &'a str) -> Job<'a> {
        Job {
            context,
            file: "Dockerfile",
            tag,
            certificates: None,
        }
    }
}

/// A builder with everything it owns in a directory of the benchmark.
pub(crate) enum Builder {
    Howdah { root: PathBuf },
    BuildKit(BuildKit),
    Buildah(Buildah),
}

/// Debian's buildah. It leaves overlays mounted; dropped, they are unmounted.
pub(crate) struct Buildah {
    pub(crate) root: PathBuf,
}

impl Drop for Buildah {
    fn drop(&mut self) {
        let mounts = fs_err::read_to_string("/proc/mounts").unwrap_or_default();
        let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for target in targets.filter(|target| Path::new(target).starts_with(&self.root)) {
            drop(Command::new("umount").arg(target).status());
        }
    }
}

impl Builder {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Builder::Howdah { .. } => "howdah",
            Builder::BuildKit(_) => "BuildKit",
            Builder::Buildah(_) => "buildah",
        }
    }

    /// The command line of a build, quiet, with the host's network: none of the steps that are timed needs another.
    pub(crate) fn build(&self, job: &Job) -> Command {
        let secret = job
            .certificates
            .map(|path| format!("id=ca_certificates,src={}", path.display()));
        let mut command = self.command();
        match self {
            Builder::Howdah { .. } => {
                command.args(["build", "--quiet", "--network=host", "--tag", job.tag]);
                command.arg("--file").arg(job.context.join(job.file));
            }
            Builder::BuildKit(_) => {
                command.args(["build", "--progress=quiet", "--frontend=dockerfile.v0"]);
                command.args(["--opt", "force-network-mode=host"]);
                command.args(["--allow", "network.host"]);
                command.arg("--opt").arg(format!("filename={}", job.file));
                for local in ["context", "dockerfile"] {
                    let local = format!("--local={local}={}", job.context.display());
                    command.arg(local);
                }
                command.arg(format!("--output=type=image,name={}", job.tag));
            }
            Builder::Buildah(_) => {
                command.args(["bud", "--quiet", "--layers", "--network=host"]);
                command.args(["--isolation=oci", "--runtime=runc", "--pull-never"]);
                command.args(["--tag", job.tag]);
                command.arg("--file").arg(job.context.join(job.file));
            }
        }
        if let Some(secret) = secret {
            command.arg("--secret").arg(secret);
        }
        if !matches!(self, Builder::BuildKit(_)) {
            command.arg(job.context);
        }
        command
    }

    /// Gives the builder a base image from an archive that `howdah image save` wrote.
    pub(crate) fn provide(&self, archive: &Path, name: &str) {
        let source = format!("docker-archive:{}", archive.display());
        match self {
            Builder::Howdah { .. } => {}
            Builder::BuildKit(buildkit) => buildkit.provide(&source, name),
            Builder::Buildah(_) => {
                crate::support::output(self.command().args(["pull", "--quiet", &source]));
            }
        }
    }

    fn command(&self) -> Command {
        match self {
            Builder::Howdah { root } => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
                command.env("HOWDAH_ROOT", root);
                command
            }
            Builder::BuildKit(buildkit) => buildkit.command(),
            Builder::Buildah(Buildah { root }) => {
                let mut command = Command::new("buildah");
                command.arg("--root").arg(root.join("storage"));
                command.arg("--runroot").arg(root.join("run"));
                command.arg("--storage-driver=overlay");
                command
            }
        }
    }
}
