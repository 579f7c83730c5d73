//! The format of `cases/*.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::outcome::Difference;

/// One file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    #[serde(skip)]
    pub(crate) name: String,
    /// The build context of the cases that name none of their own.
    #[serde(default)]
    context: BTreeMap<String, File>,
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// One build.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Case {
    /// Unique in its group, in words joined by hyphens.
    pub(crate) name: String,
    /// The text of the Dockerfile.
    pub(crate) dockerfile: String,
    /// Its name below the context.
    #[serde(default = "default_file")]
    pub(crate) file: String,
    /// The build context by path, instead of the group's.
    pub(crate) context: Option<BTreeMap<String, File>>,
    /// Files beside those of `context`.
    #[serde(default)]
    pub(crate) more: BTreeMap<String, File>,
    /// Files beside the directory `context`, for named contexts.
    #[serde(default)]
    pub(crate) beside: BTreeMap<String, File>,
    /// The main context's address, instead of a directory: words of [`crate::remote::Remote`] stand for the servers, here, in
    /// `dockerfile`, in `file` and in `build-contexts`.
    pub(crate) at: Option<String>,
    /// The Dockerfile goes to the standard input (`--file -`).
    #[serde(default)]
    pub(crate) on_stdin: bool,
    /// `--shm-size`, in bytes.
    pub(crate) shm_size: Option<u64>,
    /// `--ulimit`
    #[serde(default)]
    pub(crate) ulimits: Vec<String>,
    /// `--target`
    pub(crate) target: Option<String>,
    /// `--build-arg`
    #[serde(default)]
    pub(crate) build_args: BTreeMap<String, String>,
    /// `--label`
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// `--secret`: ids and values.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    /// `--ssh default`, with a socket that nobody answers.
    #[serde(default)]
    pub(crate) ssh: bool,
    /// `--build-context`: a directory below the one of `beside`, `docker-image://NAME`, or `oci-layout://{bases}:NAME`.
    #[serde(default)]
    pub(crate) build_contexts: BTreeMap<String, String>,
    /// `--platform`
    pub(crate) platform: Option<String>,
    /// `--network`; without it `RUN` has none, which is the fastest.
    pub(crate) network: Option<String>,
    /// `--add-host`, as `name:address`.
    #[serde(default)]
    pub(crate) add_hosts: Vec<String>,
    /// `--allow`
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// The build must fail, and Howdah's message must have this in it.
    pub(crate) fails: Option<String>,
    /// Howdah does something else on purpose.
    pub(crate) differs: Option<Difference>,
    /// Why an ordinary user cannot have this result.
    pub(crate) needs_root: Option<String>,
}

/// A file of a context: its text, or a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum File {
    Text(String),
    Made(Made),
}

/// A file that is more than a text. Without content, a target and a kind it is a directory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Made {
    pub(crate) text: Option<String>,
    /// Content that is no text, such as an archive, in base64.
    pub(crate) base64: Option<String>,
    /// A symbolic link to this.
    pub(crate) link: Option<String>,
    /// Another name of this file of the context.
    pub(crate) hardlink: Option<String>,
    #[serde(default)]
    pub(crate) fifo: bool,
    #[serde(default)]
    pub(crate) socket: bool,
    /// Octal.
    pub(crate) mode: Option<String>,
    #[serde(default)]
    pub(crate) xattrs: BTreeMap<String, String>,
}

fn default_file() -> String {
    "Dockerfile".to_owned()
}

/// Where this program's data is.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

impl Case {
    /// The Dockerfile's name in the context. One by its URL is there too, because buildx fetches it for BuildKit.
    pub(crate) fn local_file(&self) -> &str {
        if self.file.contains("://") {
            "Dockerfile"
        } else {
            &self.file
        }
    }

    /// Whether it needs servers.
    pub(crate) fn is_remote(&self) -> bool {
        let texts = [Some(&self.dockerfile), self.at.as_ref(), Some(&self.file)];
        let texts = texts.into_iter().flatten();
        texts
            .chain(self.build_contexts.values())
            .any(|text| text.contains("{http}") || text.contains("{git}"))
    }
}

impl Group {
    /// Every group, by name.
    pub(crate) fn all() -> Vec<Group> {
        let directory = directory().join("cases");
        let entries = fs_err::read_dir(directory).unwrap();
        let files: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.iter().map(|path| Group::read(path)).collect()
    }

    fn read(path: &Path) -> Group {
        let text = fs_err::read_to_string(path).unwrap();
        let mut group: Group =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .clone_into(&mut group.name);
        let mut names = BTreeSet::new();
        for case in &mut group.cases {
            assert!(
                names.insert(case.name.clone()),
                "{}: two cases `{}`",
                path.display(),
                case.name
            );
            case.context.get_or_insert_with(|| group.context.clone());
        }
        group
    }
}
