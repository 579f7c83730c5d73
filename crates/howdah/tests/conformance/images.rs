//! The images that cases begin with, made here so that both builders get the same, and images that builders wrote.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use howdah_image::{Digest, host_architecture};
use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::tree::Tree;

/// Debian's package busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// An image that has this file is shown as what differs from `base`.
const MARK: &str = "/etc/base";

/// The commands that `RUN` of a case may use.
const APPLETS: &str = "[ ash awk basename cat chgrp chmod chown cp cut date dd df dirname echo env false find grep \
    head hostname id ln ls mkdir mkfifo mknod mount mv nl pwd printf readlink realpath rm rmdir sed sh sleep sort stat \
    tail tar test touch tr true umount uname uniq wc wget whoami xargs";

/// Directories, files and links of the base images: path, mode, owner, and the content or, with `-> `, the target.
const FILES: &[(&str, u32, u64, &str)] = &[
    ("dev/", 0o755, 0, ""),
    ("etc/", 0o755, 0, ""),
    ("etc/base", 0o644, 0, "base\n"),
    (
        "etc/passwd",
        0o644,
        0,
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nwww:x:33:33::/srv:/bin/sh\n",
    ),
    (
        "etc/group",
        0o644,
        0,
        "root:x:0:\napp:x:1001:\nwww:x:33:\nstaff:x:50:app\n",
    ),
    ("home/", 0o755, 0, ""),
    ("home/app/", 0o750, 1000, ""),
    ("proc/", 0o755, 0, ""),
    ("root/", 0o700, 0, ""),
    ("srv/", 0o755, 0, ""),
    ("srv/data/", 0o755, 0, ""),
    ("srv/data/a.txt", 0o644, 0, "base a\n"),
    ("srv/data/b.txt", 0o600, 1000, "base b\n"),
    ("srv/data/sub/", 0o700, 1000, ""),
    ("srv/data/sub/c.txt", 0o444, 1000, "base c\n"),
    ("srv/link", 0o777, 0, "-> data"),
    ("srv/absolute", 0o777, 0, "-> /srv/data"),
    ("srv/file-link", 0o777, 0, "-> data/a.txt"),
    ("srv/broken", 0o777, 0, "-> nowhere"),
    ("srv/setuid", 0o4755, 0, "setuid\n"),
    ("srv/empty/", 0o755, 0, ""),
    ("sys/", 0o755, 0, ""),
    ("tmp/", 0o1777, 0, ""),
    ("var/", 0o755, 0, ""),
    ("var/log/", 0o755, 33, ""),
    ("var/log/old.log", 0o640, 33, "old\n"),
];

/// An image with a second layer, whose files have extended attributes.
const ATTRIBUTES: &str = "attributes";
/// An image for all [`PLATFORMS`], and one for the second alone.
const MULTI: &str = "multi";
const FOREIGN: &str = "foreign";
/// Architectures and variants as other builders write them into indexes.
const PLATFORMS: [(&str, &str); 3] = [("amd64", ""), ("arm64", "v8"), ("arm", "v7")];

/// The base images: their names, and their configurations beside `PATH`.
fn configurations() -> [(&'static str, Value); 4] {
    [
        ("base", json!({"Env": ["PATH=/bin"], "Cmd": ["sh"]})),
        (
            "rich",
            json!({
                "User": "app", "Env": ["PATH=/bin", "BASE=1", "GREETING=hello"], "Entrypoint": ["/bin/env"],
                "Cmd": ["one", "two"], "WorkingDir": "/srv", "Labels": {"from": "base", "kept": "yes"},
                "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/srv/data": {}}, "StopSignal": "SIGQUIT",
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000_u64}
            }),
        ),
        (
            "triggers",
            json!({
                "Env": ["PATH=/bin"],
                "OnBuild": ["ENV TRIGGERED=yes", "RUN echo $TRIGGERED > /triggered", "COPY a.txt /from-trigger"]
            }),
        ),
        (
            "shell",
            json!({"Env": ["PATH=/bin"], "Shell": ["/bin/ash", "-ec"]}),
        ),
    ]
}

/// The base images as an OCI layout, and what must be known of them to show other images.
#[derive(Debug)]
pub(crate) struct Bases {
    /// The layout's `index.json`.
    index: Value,
    tree: Tree,
    busybox: Digest,
}

impl Bases {
    /// Writes the layout into `directory`, which is made.
    pub(crate) fn write(directory: &Path) -> Bases {
        let layer = layer();
        let blobs = directory.join("blobs/sha256");
        fs_err::create_dir_all(&blobs).unwrap();
        let blob = |content: &[u8], kind: &str| {
            let digest = Digest::of(content);
            fs_err::write(blobs.join(digest.hex()), content).unwrap();
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": content.len()})
        };
        let layer_descriptor = blob(&layer, "layer.v1.tar");
        let manifests = configurations().map(|(name, config)| {
            let config = json!({
                "created": "2026-01-01T00:00:00Z", "architecture": host_architecture(), "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
                "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "base"}]
            });
            let manifest = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(config.to_string().as_bytes(), "config.v1+json"), "layers": [layer_descriptor]
            });
            let mut descriptor = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
            descriptor["annotations"] = annotations(name);
            descriptor
        });
        let manifests = manifests.into_iter();
        let manifests = manifests.chain([attributes(&layer_descriptor, &blob)]);
        let manifests = manifests.chain(foreign(&blob));
        let index = json!({"schemaVersion": 2, "manifests": manifests.collect::<Vec<_>>()});
        fs_err::write(directory.join("index.json"), index.to_string()).unwrap();
        fs_err::write(
            directory.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        let mut tree = Tree::default();
        tree.apply(layer.as_slice());
        Bases {
            index,
            tree,
            busybox: Digest::of(fs_err::read(BUSYBOX).unwrap()),
        }
    }

    /// Their names.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        let names = configurations().map(|(name, _)| name);
        names.into_iter().chain([ATTRIBUTES, MULTI, FOREIGN])
    }

    /// The digest of the manifest or index of that name.
    pub(crate) fn digest(&self, name: &str) -> &str {
        let named = self.index["manifests"].as_array().unwrap().iter();
        let mut named =
            named.filter(|image| image["annotations"]["org.opencontainers.image.ref.name"] == name);
        named.next().unwrap()["digest"].as_str().unwrap()
    }

    /// Reads an image out of the archive of an OCI layout.
    pub(crate) fn outcome(&self, archive: &Path) -> Outcome {
        let files = files(archive);
        let parse = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
        let blob = |descriptor: &Value| {
            format!(
                "blobs/sha256/{}",
                descriptor["digest"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("sha256:")
            )
        };
        let mut document = parse("index.json");
        while let Some(first) = document["manifests"].get(0) {
            document = parse(&blob(first));
        }
        let mut tree = Tree::default();
        // An image from scratch with no step has none.
        let layers = document["layers"].as_array();
        for layer in layers.map(Vec::as_slice).unwrap_or_default() {
            let layer = &files[&blob(layer)];
            if layer.starts_with(&[0x1f, 0x8b]) {
                tree.apply(MultiGzDecoder::new(layer.as_slice()));
            } else {
                tree.apply(layer.as_slice());
            }
        }
        let config = parse(&blob(&document["config"]));
        let known = HashMap::from([(self.busybox, "busybox")]);
        let nothing = Tree::default();
        let base = if tree.has(MARK) { &self.tree } else { &nothing };
        Outcome {
            failure: None,
            tree: tree.listing(base, &known),
            history: history(&config),
            config: fields(&config),
        }
    }
}

/// `base` with files that have capabilities (capabilities(7), `security.capability`) and notes.
fn attributes(base: &Value, blob: &dyn Fn(&[u8], &str) -> Value) -> Value {
    let layer = attributed_layer();
    let layer = blob(&layer, "layer.v1.tar");
    let history = json!({"created": "2026-01-01T00:00:00Z", "created_by": "base"});
    let config = json!({
        "created": "2026-01-01T00:00:00Z", "architecture": host_architecture(), "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [base["digest"], layer["digest"]]}, "history": [history, history]
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config.to_string().as_bytes(), "config.v1+json"), "layers": [base, layer]
    });
    let mut descriptor = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
    descriptor["annotations"] = annotations(ATTRIBUTES);
    descriptor
}

fn attributed_layer() -> Vec<u8> {
    // struct vfs_cap_data of linux/capability.h: revision 2 with the effective bit, CAP_NET_BIND_SERVICE permitted.
    let capability: [u32; 5] = [0x0200_0001, 1 << 10, 0, 0, 0];
    let capability = capability.map(u32::to_le_bytes).concat();
    let files: [(&str, u32, &str, &[u8]); 4] = [
        ("srv/capable", 0o755, "security.capability", &capability),
        ("srv/noted", 0o644, "user.note", b"of the image"),
        ("srv/directory/", 0o750, "user.directory", b"yes"),
        ("srv/directory/below", 0o600, "user.note", b"below"),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, name, value) in files {
        let name = format!("SCHILY.xattr.{name}");
        archive
            .append_pax_extensions([(name.as_str(), value)])
            .unwrap();
        let content: &[u8] = if path.ends_with('/') {
            b""
        } else {
            b"attributed\n"
        };
        let mut header = tar::Header::new_ustar();
        if content.is_empty() {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_767_225_600);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// `multi`, an index of several platforms, and `foreign`, an image of one that this machine is not. All they hold is a file that
/// says the platform.
fn foreign(blob: &dyn Fn(&[u8], &str) -> Value) -> [Value; 2] {
    let manifests = PLATFORMS.map(|(architecture, variant)| {
        let mut archive = tar::Builder::new(Vec::new());
        let content = format!("{architecture}{variant}\n");
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_767_225_600);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, "platform", content.as_bytes())
            .unwrap();
        let layer = blob(&archive.into_inner().unwrap(), "layer.v1.tar");
        let mut platform = json!({"architecture": architecture, "os": "linux"});
        if !variant.is_empty() {
            platform["variant"] = json!(variant);
        }
        let mut config = json!({
            "created": "2026-01-01T00:00:00Z", "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "base"}]
        });
        for (name, value) in platform.as_object().unwrap() {
            config[name] = value.clone();
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(config.to_string().as_bytes(), "config.v1+json"), "layers": [layer]
        });
        let mut descriptor = blob(manifest.to_string().as_bytes(), "manifest.v1+json");
        descriptor["platform"] = platform;
        descriptor
    });
    let mut foreign = manifests[1].clone();
    foreign.as_object_mut().unwrap().remove("platform");
    foreign["annotations"] = annotations(FOREIGN);
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests
    });
    let mut multi = blob(index.to_string().as_bytes(), "index.v1+json");
    multi["annotations"] = annotations(MULTI);
    [multi, foreign]
}

/// skopeo finds images by the one annotation, Howdah by the other.
fn annotations(name: &str) -> Value {
    json!({
        "org.opencontainers.image.ref.name": name,
        "io.containerd.image.name": format!("docker.io/library/{name}:latest")
    })
}

/// The one layer of all base images. `home/app` and `var/log` belong to other users, so that inheritance shows.
fn layer() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, owner: u64, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(if owner == 1000 { 1001 } else { owner });
        header.set_mtime(1_767_225_600);
        if kind == tar::EntryType::Symlink {
            header.set_size(0);
            archive
                .append_link(&mut header, path, std::str::from_utf8(content).unwrap())
                .unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content).unwrap();
        }
    };
    add("bin/", tar::EntryType::Directory, 0o755, 0, b"");
    add(
        "bin/busybox",
        tar::EntryType::Regular,
        0o755,
        0,
        &fs_err::read(BUSYBOX).unwrap(),
    );
    for applet in APPLETS.split_whitespace() {
        add(
            &format!("bin/{applet}"),
            tar::EntryType::Symlink,
            0o777,
            0,
            b"busybox",
        );
    }
    for (path, mode, owner, content) in FILES {
        match content.strip_prefix("-> ") {
            Some(target) => add(
                path,
                tar::EntryType::Symlink,
                *mode,
                *owner,
                target.as_bytes(),
            ),
            None if path.ends_with('/') => add(path, tar::EntryType::Directory, *mode, *owner, b""),
            None => add(
                path,
                tar::EntryType::Regular,
                *mode,
                *owner,
                content.as_bytes(),
            ),
        }
    }
    archive.into_inner().unwrap()
}

fn files(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(fs_err::File::open(archive).unwrap());
    let file = |entry: std::io::Result<tar::Entry<'_, fs_err::File>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (
            String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            content,
        )
    };
    archive.entries().unwrap().map(file).collect()
}

/// The lines of history that the build added, without the builder's signature. A step that changes nothing makes an empty
/// layer in BuildKit and none in Howdah, so only instructions that never make one are marked.
fn history(config: &Value) -> Vec<String> {
    let steps = config["history"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let texts = steps
        .iter()
        .filter(|step| step["created_by"] != "base")
        .map(|step| {
            let text = step["created_by"].as_str().unwrap_or_default();
            let text = text
                .trim_end_matches(" # buildkit")
                .trim_end_matches(" # howdah");
            let word = text.split(' ').next().unwrap_or_default();
            let changes_files = ["ADD", "COPY", "RUN", "WORKDIR"].contains(&word);
            let empty = if step["empty_layer"] == true && !changes_files {
                " (empty)"
            } else {
                ""
            };
            format!("{text}{empty}")
        });
    texts.collect()
}

/// The lines of a configuration, without what every build has and what differs from build to build.
fn fields(document: &Value) -> Vec<String> {
    let own = [("architecture", host_architecture()), ("os", "linux")];
    let skipped = ["config", "created", "history", "rootfs"];
    let outer = document
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| {
            !skipped.contains(&name.as_str())
                && !own.iter().any(|own| own.0 == *name && *value == own.1)
        });
    let inner = document["config"].as_object().into_iter().flatten();
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let fields = outer.chain(inner).filter(|(_, value)| !is_empty(value));
    let mut lines: Vec<String> = fields
        .map(|(name, value)| format!("{name} {}", sorted(value)))
        .collect();
    lines.sort();
    lines
}

/// Fields in the order of their names.
fn sorted(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return value.clone();
    };
    let sorted: BTreeMap<_, _> = fields
        .iter()
        .map(|(name, value)| (name, sorted(value)))
        .collect();
    json!(sorted)
}
