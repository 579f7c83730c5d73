//! The variables that an instruction sees, and what a stage has come to.

use std::collections::{BTreeMap, BTreeSet};

use super::{BaseImage, Subject};
use crate::{Arg, ExpandError, Lexer, Names, Variables};

/// Arguments that BuildKit reads itself; they never become variables.
const NOT_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// BuildKit sets it where the image does not.
const PATH: &str = "PATH";

/// What `FROM` sees: the arguments of the platform, and those declared before the first `FROM`.
pub(super) struct Globals {
    pub(super) values: BTreeMap<String, String>,
    /// With and without a value.
    pub(super) declared: BTreeSet<String>,
}

impl Globals {
    /// With these build arguments.
    pub(super) fn new(
        subject: &Subject,
        lexer: Lexer,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Globals, ExpandError> {
        let mut values = platform_values(subject);
        for (name, value) in &mut values {
            if let Some(given) = build_args.get(name) {
                value.clone_from(given);
            }
        }
        let mut declared: BTreeSet<String> = values.keys().cloned().collect();
        for arg in subject.file.global_args.iter().filter_map(as_arg) {
            for value in &arg.values {
                let name = &value.name.text;
                declared.insert(name.clone());
                let found = match (build_args.get(name), &value.default) {
                    (Some(given), _) => given.clone(),
                    (None, Some(default)) => {
                        lexer.word(&default.text, &values, &mut Names::default())?
                    }
                    (None, None) => continue,
                };
                values.insert(name.clone(), found);
            }
        }
        Ok(Globals { values, declared })
    }
}

fn as_arg(instruction: &crate::Instruction) -> Option<&Arg> {
    match &instruction.command {
        crate::Command::Arg(arg) => Some(arg),
        _ => None,
    }
}

/// <https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>
fn platform_values(subject: &Subject) -> BTreeMap<String, String> {
    let mut parts = subject.platform.split('/');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (system, machine, variant) = (part(), part(), part());
    let mut values = BTreeMap::new();
    for prefix in ["BUILD", "TARGET"] {
        let mut set =
            |name: &str, value: &str| values.insert(format!("{prefix}{name}"), value.to_owned());
        set("PLATFORM", subject.platform);
        set("OS", &system);
        set("OSVERSION", "");
        set("ARCH", &machine);
        set("VARIANT", &variant);
    }
    let stage = subject
        .target
        .and_then(|index| subject.file.stages[index].name.as_ref());
    let stage = stage.map_or("default", |name| name.text.as_str());
    values.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    values
}

/// What an instruction of a stage sees, and what the instructions before it have set.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Variables of `ENV` and `ARG`; BuildKit keeps them in one table.
    values: BTreeMap<String, String>,
    /// Declared by `ARG`, with and without a value.
    args: BTreeSet<String>,
    /// The base image, when its variables are not known.
    unknown_base: Option<String>,
    /// A `WORKDIR` of this Dockerfile was seen.
    pub(super) workdir_set: bool,
    pub(super) workdir: String,
    pub(super) user: String,
    pub(super) has_shell: bool,
    pub(super) on_build: Vec<String>,
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

impl Scope {
    /// On top of an image; of an unknown one only the name.
    pub(super) fn on_image(name: &str, image: Option<BaseImage>) -> Scope {
        let mut scope = Scope {
            unknown_base: image.is_none().then(|| name.to_ascii_lowercase()),
            ..Scope::default()
        };
        let image = image.unwrap_or_default();
        for pair in &image.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            scope.set(name, value);
        }
        if !scope.values.contains_key(PATH) {
            scope.set(
                PATH,
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        }
        scope.has_shell = image.has_shell;
        scope.user = image.user;
        scope.workdir = image.working_dir;
        scope.on_build = image.on_build;
        scope
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// `ARG`; `value` is what it comes to.
    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        self.args.insert(name.to_owned());
        if let Some(value) = value.filter(|_| !NOT_VARIABLES.contains(&name)) {
            self.set(name, value);
        }
    }

    /// Whether a name without a value was never declared. A base image that is not known here may have set names like its
    /// own (`PHP_INI_DIR` of `php`); those get the benefit of the doubt.
    pub(super) fn is_undefined(&self, name: &str) -> bool {
        let presumed = self.unknown_base.as_ref().is_some_and(|base| {
            let base = base.rsplit('/').next().unwrap_or_default();
            let base = base.split([':', '@']).next().unwrap_or_default();
            let words = name.split('_').map(str::to_ascii_lowercase);
            words
                .filter(|word| word.len() > 2)
                .any(|word| base.contains(&word))
        });
        !presumed && !self.args.contains(name) && !NOT_VARIABLES.contains(&name)
    }

    /// The names that could be meant.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}
