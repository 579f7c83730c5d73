//! The forms of a build context: a directory, the standard input, the address of a repository or of a file.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use howdah_build::{
    ContextSource, Fetched, GitReference, NamedContext, Options, Remote, RemoteContext,
    RemoteError, Target, Text,
};
use howdah_image::{Digest, Store};

use super::{failure, interrupt};
use crate::commands::CommandError;

/// The build argument that keeps `.git` in the context (docs.docker.com/build/concepts/context, "Keep .git directory").
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// Where a target's files and its Dockerfile are.
pub(super) struct Place<'a> {
    /// The context as given.
    pub(super) operand: &'a str,
    /// The Dockerfile as given (`--file`).
    pub(super) file: Option<&'a Path>,
    pub(super) build_args: &'a [String],
}

impl Place<'_> {
    /// The target with its context and its Dockerfile, and nothing else.
    pub(super) fn target(&self, store: &Store, options: &Options) -> Result<Target, CommandError> {
        if self.operand == "-" {
            return self.on_stdin(store, options);
        }
        let directory = Path::new(self.operand);
        if directory.is_dir() {
            return self.in_directory(store, options, directory);
        }
        let Some(address) = remote_address(self.operand) else {
            let error = CommandError::new(format!(
                "the build context `{}` is not a directory",
                self.operand
            ));
            return Err(error.hint(
                "a context is a directory, - for an archive or a Dockerfile on the standard input, or the address of a \
                 Git repository or a file",
            ));
        };
        let found = fetch(store, options, |remote| {
            remote.context(&address, self.keeps_git_dir())
        })?;
        self.with_remote(store, options, found)
    }

    fn in_directory(
        &self,
        store: &Store,
        options: &Options,
        directory: &Path,
    ) -> Result<Target, CommandError> {
        let Some(file) = self.file else {
            return Target::load(&default_file(directory), directory).map_err(|error| {
                CommandError::from(error)
                    .hint("name the Dockerfile with -f, or the directory it is in")
            });
        };
        let address = file.to_str().filter(|file| is_url(file));
        let dockerfile = match address {
            _ if file == Path::new("-") => stdin_text()?,
            Some(address) => remote_file(store, options, address)?,
            None => return Ok(Target::load(file, directory)?),
        };
        let mut target = Target::new(dockerfile, directory);
        target.ignore = Text::read_ignore(&directory.join(".dockerignore"))?;
        Ok(target)
    }

    fn on_stdin(&self, store: &Store, options: &Options) -> Result<Target, CommandError> {
        if self.file == Some(Path::new("-")) {
            let error =
                CommandError::new("the standard input cannot be both context and Dockerfile");
            return Err(error.code(2));
        }
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            let error =
                CommandError::new("the build context is the standard input, which is a terminal");
            return Err(
                error.hint("feed it an archive or a Dockerfile: howdah build - < context.tar")
            );
        }
        let found = fetch(store, options, |remote| remote.stream("-", stdin.lock()))?;
        match found {
            RemoteContext::Text { text, .. } if self.file.is_none() => {
                let name = "-".to_owned();
                let mut target = Target::new(Text { name, text }, Path::new(""));
                target.context = ContextSource::Empty;
                Ok(target)
            }
            RemoteContext::Text { .. } => Err(CommandError::new(
                "the standard input is no archive, so --file names nothing in it",
            )
            .code(2)),
            tree @ RemoteContext::Tree(_) => self.with_remote(store, options, tree),
        }
    }

    fn with_remote(
        &self,
        store: &Store,
        options: &Options,
        found: RemoteContext,
    ) -> Result<Target, CommandError> {
        let (dockerfile, tree) = match found {
            RemoteContext::Text { text, file } => {
                let name = file.name();
                (Text { name, text }, file)
            }
            RemoteContext::Tree(tree) => (self.file_of(store, options, &tree)?, tree),
        };
        let mut target = Target::new(dockerfile, Path::new(""));
        target.context = ContextSource::Fetched(tree);
        Ok(target)
    }

    /// The Dockerfile of a tree from elsewhere.
    fn file_of(
        &self,
        store: &Store,
        options: &Options,
        tree: &Fetched,
    ) -> Result<Text, CommandError> {
        let file = self.file.unwrap_or(Path::new("Dockerfile"));
        if file == Path::new("-") {
            return stdin_text();
        }
        let name = file.to_string_lossy().into_owned();
        if is_url(&name) {
            return remote_file(store, options, &name);
        }
        let text = {
            let (cancel, _watch) = interrupt::cancel_on_signal()?;
            let remote = Remote::new(store, options, &cancel);
            remote.read(tree, &name).map_err(failure::step_error)?
        };
        let text = text.ok_or_else(|| {
            let error =
                CommandError::new(format!("no Dockerfile at `{name}` in `{}`", tree.name()));
            error.hint("name it with -f, or its directory behind the address: URL#BRANCH:DIRECTORY")
        })?;
        Ok(Text { name, text })
    }

    fn keeps_git_dir(&self) -> bool {
        let mut values = self
            .build_args
            .iter()
            .filter_map(|argument| argument.strip_prefix(KEEP_GIT_DIR)?.strip_prefix('='));
        values
            .next_back()
            .is_some_and(|value| ["1", "t", "true"].contains(&value.to_lowercase().as_str()))
    }
}

/// `Dockerfile` of the context; of the current directory without its name, as people write it.
fn default_file(context: &Path) -> PathBuf {
    if context == Path::new(".") {
        "Dockerfile".into()
    } else {
        context.join("Dockerfile")
    }
}

fn stdin_text() -> Result<Text, CommandError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let name = "-".to_owned();
    Ok(Text { name, text })
}

/// A Dockerfile that is one file of a URL.
fn remote_file(store: &Store, options: &Options, address: &str) -> Result<Text, CommandError> {
    match fetch(store, options, |remote| remote.context(address, false))? {
        RemoteContext::Text { text, file } => {
            let name = file.name();
            Ok(Text { name, text })
        }
        RemoteContext::Tree(tree) => {
            let message = format!("the Dockerfile `{}` is an archive", tree.name());
            Err(CommandError::new(message))
        }
    }
}

/// Runs `work` with a client that Ctrl-C stops.
fn fetch<T>(
    store: &Store,
    options: &Options,
    work: impl FnOnce(&Remote) -> Result<T, RemoteError>,
) -> Result<T, CommandError> {
    let (cancel, _watch) = interrupt::cancel_on_signal()?;
    work(&Remote::new(store, options, &cancel)).map_err(failure::remote_error)
}

/// The address that an operand is, if it is one. `github.com/...` without a scheme is one for contexts only.
fn remote_address(operand: &str) -> Option<String> {
    if operand.starts_with("github.com/") {
        return Some(format!("https://{operand}"));
    }
    let is_repository = !matches!(GitReference::parse(operand), Ok(None));
    (is_repository || is_url(operand)).then(|| operand.to_owned())
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// `docker-image://reference`, `oci-layout://directory`, an address, or a directory; paths against `base`.
pub(super) fn named(place: &str, base: &Path) -> Result<NamedContext, CommandError> {
    if let Some(reference) = place.strip_prefix("docker-image://") {
        return Ok(NamedContext::Image(reference.to_owned()));
    }
    if let Some(layout) = place.strip_prefix("oci-layout://") {
        let (directory, name) = split_layout(layout);
        return Ok(NamedContext::Layout {
            directory: base.join(directory),
            name: name.map(str::to_owned),
        });
    }
    let is_repository = GitReference::parse(place)
        .map_err(CommandError::from)?
        .is_some();
    if is_repository || is_url(place) {
        return Ok(NamedContext::Remote(place.to_owned()));
    }
    if place.contains("://") {
        let error = CommandError::new(format!("`{place}` is no build context"));
        return Err(error
            .hint("use a directory, docker-image://IMAGE, oci-layout://DIRECTORY[:TAG], or the address of a repository or a file")
            .code(2));
    }
    Ok(NamedContext::Directory(base.join(place)))
}

/// `directory`, `directory:tag` or `directory@sha256:...`.
fn split_layout(layout: &str) -> (&str, Option<&str>) {
    if let Some((directory, digest)) = layout.rsplit_once('@')
        && digest.parse::<Digest>().is_ok()
    {
        return (directory, Some(digest));
    }
    match layout.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag)),
        _ => (layout, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_contexts_have_five_forms() {
        let base = Path::new("/b");
        let context = |text: &str| named(text, base).unwrap();
        let layout = |directory: &str, name: Option<&str>| NamedContext::Layout {
            directory: directory.into(),
            name: name.map(str::to_owned),
        };
        let digest = Digest::of("x").to_string();
        assert_eq!(
            context("docker-image://a:1"),
            NamedContext::Image("a:1".into())
        );
        assert_eq!(context("lib"), NamedContext::Directory("/b/lib".into()));
        assert_eq!(context("oci-layout://a/b"), layout("/b/a/b", None));
        assert_eq!(context("oci-layout:///a:v1"), layout("/a", Some("v1")));
        assert_eq!(
            context(&format!("oci-layout:///a@{digest}")),
            layout("/a", Some(&digest))
        );
        for address in ["https://h/a.git#main", "git@h:a", "https://h/file"] {
            assert_eq!(context(address), NamedContext::Remote(address.into()));
        }
        assert!(named("ftp://h/x", base).is_err());
    }
}
