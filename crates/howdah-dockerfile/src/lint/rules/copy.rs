//! `COPY` and `ADD` of what .dockerignore keeps out.

use crate::lint::Subject;
use crate::lint::rule::COPY_IGNORED_FILE;
use crate::lint::sink::{Sink, Site};
use crate::{Command, Files};

/// Sources that the context does not have. With negations only a look at the files themselves could tell.
pub(in crate::lint) fn ignored(subject: &Subject, site: &Site, command: &Command, sink: &mut Sink) {
    let Some(ignore) = subject.ignore.filter(|ignore| !ignore.has_negations()) else {
        return;
    };
    let Some(files) = from_context(command) else {
        return;
    };
    for source in files.sources.iter().filter(|source| is_local(&source.text)) {
        let path = super::super::walk::join("", &source.text);
        let path = path.trim_start_matches('/');
        // The context itself is absent when even a file of a name that nobody thought of is.
        let path = if path.is_empty() { "\u{10fffd}" } else { path };
        if ignore.is_ignored(path) {
            let message = format!(
                "`{}` is kept out of the context by .dockerignore",
                source.text
            );
            sink.report(site, &COPY_IGNORED_FILE, message);
        }
    }
}

/// The files of an instruction that takes them from the build context.
pub(in crate::lint) fn from_context(command: &Command) -> Option<&Files> {
    match command {
        Command::Copy(copy) if copy.from.is_none() => Some(&copy.files),
        Command::Add(add) => Some(&add.files),
        _ => None,
    }
}

fn is_local(source: &str) -> bool {
    !source.contains("://") && !source.starts_with("git@")
}
