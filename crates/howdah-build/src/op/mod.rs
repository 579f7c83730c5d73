//! What a vertex does, and the recipe of its cache key.
//!
//! Each operation says what is in its key, and beside it what is not. Times of files are never in a key.

mod mount;

use std::net::IpAddr;
use std::sync::Arc;

use howdah_dockerfile::{Network, Security};
use howdah_image::{Digest, Platform};
use howdah_runtime::{Limits, Ulimit};
use howdah_solver::{Key, Recipe};

use crate::copy::{Pattern, Selection};
use crate::remote::FetchOp;
use crate::root::Root;

pub(crate) use mount::{Attributes, CacheStart, MountKindOp, MountOp, TreeSource};

/// The fields a key was made of, kept for people who ask why a step ran.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// What a vertex does. Its first input, except for an image's, is the root filesystem below it.
#[derive(Debug)]
pub(crate) enum Op {
    Image(ImageOp),
    /// Begins with a tree from elsewhere.
    Fetch(FetchOp),
    Copy(CopyOp),
    Workdir(WorkdirOp),
    Run(Box<RunOp>),
}

/// Begins with an image of the store, or with nothing.
#[derive(Debug)]
pub(crate) struct ImageOp {
    /// In the key: the layers' contents, which are the same in every store. Not: the names of their snapshots.
    pub(crate) root: Arc<Root>,
    // Not in the key: the image's name; its configuration and times, which count where they are used.
}

/// Copies files into the root filesystem.
#[derive(Debug)]
pub(crate) struct CopyOp {
    pub(crate) sources: Vec<CopySource>,
    pub(crate) destination: String,
    pub(crate) into_directory: bool,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<String>,
    pub(crate) excludes: Vec<String>,
    /// `--link`: what is below does not matter.
    pub(crate) link: bool,
    /// `ADD`: unpack archives of the context.
    pub(crate) unpack: bool,
    /// Not in the key: which step of which project this is, to find what it wrote the last time.
    pub(crate) step: Key,
}

/// Where a `COPY` takes files from.
#[derive(Debug)]
pub(crate) enum CopySource {
    /// The build context or a named one. In the key: paths, types, modes, links, content. Not: owners.
    Context {
        patterns: Vec<Pattern>,
        selection: Selection,
        digest: Key,
    },
    /// An input of the vertex, by its number. In the key: the patterns; what they match is that input's affair.
    Input {
        number: usize,
        patterns: Vec<Pattern>,
        place: String,
    },
    /// A file of a URL. In the key: its name, the digest of its content, whether it is unpacked. Not: the URL.
    Url {
        name: String,
        address: String,
        digest: Digest,
        unpack: bool,
    },
    /// A heredoc.
    Inline { name: String, content: String },
}

/// Makes a directory, as `WORKDIR` does.
#[derive(Debug)]
pub(crate) struct WorkdirOp {
    pub(crate) path: String,
    /// The image's `USER` at that place.
    pub(crate) user: String,
}

/// Executes a command in a container.
#[derive(Debug)]
pub(crate) struct RunOp {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) network: Network,
    pub(crate) security: Security,
    pub(crate) hosts: Vec<(IpAddr, String)>,
    pub(crate) mounts: Vec<MountOp>,
    /// A heredoc that is a program of its own: name and text.
    pub(crate) script: Option<(String, String)>,
    /// In the key: the size of `/dev/shm` and the limits of setrlimit(2), which programs can ask for, if any is given.
    /// Not: memory and processors.
    pub(crate) limits: Limits,
    // Not in the key:
    /// Values of the proxy arguments, which Docker keeps out of keys and history.
    pub(crate) proxies: Vec<String>,
    /// Which machine its programs are for; they are input, and say it themselves.
    pub(crate) platform: Platform,
    pub(crate) cgroup_parent: Option<String>,
}

impl Op {
    /// The digest of what it does without its inputs, and the fields that went into it.
    pub(crate) fn digest(&self) -> (Key, Fields) {
        match self {
            Op::Image(op) => op.digest(),
            Op::Fetch(op) => op.digest(),
            Op::Copy(op) => op.digest(),
            Op::Workdir(op) => op.digest(),
            Op::Run(op) => op.digest(),
        }
    }
}

impl ImageOp {
    fn digest(&self) -> (Key, Fields) {
        let mut recipe = Recipe::new("image", 2);
        for layer in &self.root.layers {
            recipe.key("layer", &layer.content);
        }
        recipe.finish()
    }
}

impl CopyOp {
    fn digest(&self) -> (Key, Fields) {
        let mut recipe = Recipe::new("copy", 1);
        for source in &self.sources {
            match source {
                CopySource::Context {
                    patterns, digest, ..
                } => {
                    recipe.text("from", "context");
                    add_patterns(&mut recipe, patterns);
                    recipe.key("content", digest);
                }
                CopySource::Input {
                    number, patterns, ..
                } => {
                    recipe.text("from", "input");
                    // The first of them has always been without a number.
                    if *number > 1 {
                        recipe.text("number", &number.to_string());
                    }
                    add_patterns(&mut recipe, patterns);
                }
                CopySource::Url {
                    name,
                    digest,
                    unpack,
                    ..
                } => {
                    recipe
                        .text("from", "url")
                        .text("name", name)
                        .text("digest", &digest.to_string())
                        .text("unpack", flag(*unpack));
                }
                CopySource::Inline { name, content } => {
                    recipe
                        .text("from", "heredoc")
                        .text("name", name)
                        .text("text", content);
                }
            }
        }
        recipe
            .text("destination", &self.destination)
            .text("into-directory", flag(self.into_directory))
            .list("chown", &self.chown)
            .list("chmod", &self.chmod)
            .list("exclude", &self.excludes)
            .text("link", flag(self.link))
            .text("unpack", flag(self.unpack));
        recipe.finish()
    }
}

fn add_patterns(recipe: &mut Recipe, patterns: &[Pattern]) {
    for pattern in patterns {
        recipe
            .text("source", &pattern.text)
            .text("parents", flag(pattern.parents));
    }
}

impl WorkdirOp {
    fn digest(&self) -> (Key, Fields) {
        let mut recipe = Recipe::new("workdir", 1);
        recipe.text("path", &self.path).text("user", &self.user);
        recipe.finish()
    }
}

impl RunOp {
    fn digest(&self) -> (Key, Fields) {
        let mut recipe = Recipe::new("run", 1);
        recipe
            .list("argument", &self.args)
            .list("env", &self.env)
            .text("cwd", &self.cwd)
            .text("user", &self.user)
            .text("network", network_name(self.network))
            .text(
                "security",
                if self.security == Security::Insecure {
                    "insecure"
                } else {
                    "sandbox"
                },
            )
            .list(
                "host",
                self.hosts
                    .iter()
                    .map(|(address, name)| format!("{name}={address}")),
            );
        if let Some((name, text)) = &self.script {
            recipe.text("script", name).text("text", text);
        }
        if let Some(bytes) = self.limits.shm_bytes {
            recipe.text("shm", &bytes.to_string());
        }
        for Ulimit { name, soft, hard } in &self.limits.ulimits {
            recipe.text("ulimit", &format!("{name}={soft}:{hard}"));
        }
        for mount in &self.mounts {
            mount.add_to(&mut recipe);
        }
        recipe.finish()
    }
}

fn flag(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn network_name(network: Network) -> &'static str {
    match network {
        Network::Default => "default",
        Network::None => "none",
        Network::Host => "host",
    }
}

#[cfg(test)]
mod tests {
    use howdah_dockerfile::Sharing;
    use howdah_image::{Layer, SnapshotId};

    use super::*;

    fn golden(op: &Op, expected: &str) {
        assert_eq!(op.digest().0.to_string(), expected);
    }

    #[test]
    fn an_images_key_is_what_its_layers_hold() {
        let layer = Layer {
            snapshots: vec!["ab".repeat(32).parse().unwrap()],
        };
        let root = Root::of_image(7, [(&layer, None)]);
        golden(
            &Op::Image(ImageOp { root: root.into() }),
            "161be983ad9efd4dca9b8a6e5938b852f92277c54f994c2d36670c24c255c507",
        );
        let elsewhere = Layer {
            snapshots: vec![SnapshotId::random(), SnapshotId::random()],
        };
        let content = Key::of(b"what a build put into it");
        let key = |layer| {
            let root = Root::of_image(7, [(layer, Some(content))]);
            ImageOp { root: root.into() }.digest().0
        };
        assert_eq!(key(&layer), key(&elsewhere));
    }

    #[test]
    fn a_copys_key_is_its_sources_and_destination() {
        let op = CopyOp {
            sources: vec![
                CopySource::Context {
                    patterns: vec![Pattern {
                        text: "composer.*".into(),
                        parents: false,
                    }],
                    selection: Selection::default(),
                    digest: Key::of(b"content"),
                },
                CopySource::Inline {
                    name: "a".into(),
                    content: "b\n".into(),
                },
            ],
            destination: "/app/".into(),
            into_directory: true,
            chown: Some("1000:1000".into()),
            chmod: None,
            excludes: vec!["*.md".into()],
            link: false,
            unpack: false,
            step: Key::of(b"not in the key"),
        };
        golden(
            &Op::Copy(op),
            "f782db5fcf13ffd98b79dd6e74b41406f1f3085ffe1c0d7fd99afef7080db906",
        );
    }

    #[test]
    fn a_workdirs_key_is_its_path_and_user() {
        golden(
            &Op::Workdir(WorkdirOp {
                path: "/app".into(),
                user: "app".into(),
            }),
            "7dc4a6bda954758d7d9f9b4e81dc3aa7fda81e6fac4cc2905710da2cb85201fe",
        );
    }

    fn run() -> RunOp {
        let secret = MountKindOp::Secret {
            id: "composer".into(),
            env: None,
            required: true,
            attributes: Attributes {
                mode: 0o400,
                uid: 0,
                gid: 0,
            },
        };
        let cache = MountKindOp::Cache {
            id: "npm".into(),
            sharing: Sharing::Locked,
            start: CacheStart::Empty(Attributes {
                mode: 0o755,
                uid: 0,
                gid: 0,
            }),
        };
        RunOp {
            args: ["/bin/sh", "-c", "composer install"]
                .map(str::to_owned)
                .to_vec(),
            env: vec!["PATH=/bin".into(), "APP=prod".into()],
            cwd: "/app".into(),
            user: String::new(),
            network: Network::Default,
            security: Security::Sandbox,
            hosts: Vec::new(),
            mounts: vec![
                MountOp {
                    target: "/run/secrets/composer".into(),
                    read_only: true,
                    kind: secret,
                },
                MountOp {
                    target: "/root/.npm".into(),
                    read_only: false,
                    kind: cache,
                },
            ],
            script: None,
            proxies: Vec::new(),
            platform: Platform::default(),
            limits: Limits::default(),
            cgroup_parent: None,
        }
    }

    #[test]
    fn a_runs_key_is_its_command_and_surroundings() {
        golden(
            &Op::Run(Box::new(run())),
            "924914fdf2818eb59e5bb0d6db141c1aef821443a442ed7807c7fceba382b037",
        );
    }

    #[test]
    fn what_is_said_not_to_be_in_the_key_is_not() {
        let with_proxy = RunOp {
            proxies: vec!["HTTP_PROXY=http://proxy".into()],
            ..run()
        };
        assert_eq!(with_proxy.digest().0, run().digest().0);
        let elsewhere = RunOp {
            cgroup_parent: Some("ci".into()),
            limits: Limits {
                memory_bytes: Some(1 << 30),
                ..Limits::default()
            },
            ..run()
        };
        assert_eq!(elsewhere.digest().0, run().digest().0);
        let with_shm = RunOp {
            limits: Limits {
                shm_bytes: Some(1 << 30),
                ..Limits::default()
            },
            ..run()
        };
        assert_ne!(with_shm.digest().0, run().digest().0);
        let with_host = RunOp {
            hosts: vec![([10, 0, 0, 1].into(), "db".into())],
            ..run()
        };
        assert_ne!(with_host.digest().0, run().digest().0);
    }
}
