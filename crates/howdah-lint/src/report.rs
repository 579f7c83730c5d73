//! What was found, in which files.

use howdah_dockerfile::Fault;
use howdah_dockerfile::lint::Finding;

/// A file that something was said about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As people know it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Something about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The number of the file in [`Report::sources`].
    pub source: usize,
    /// What about it.
    pub what: T,
}

/// All that the checks have to say.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files.
    pub sources: Vec<Source>,
    /// What is allowed and yet wrong, by file and line.
    pub findings: Vec<Located<Finding>>,
    /// What cannot be built.
    pub faults: Vec<Located<Fault>>,
    /// A Dockerfile says `error=true`, and one of BuildKit's rules found something. Howdah's own stop no build: what
    /// Docker builds is built here.
    pub stops_builds: bool,
}

impl Report {
    /// Nothing to say.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.faults.is_empty()
    }

    /// The number of a file.
    pub(crate) fn source(&mut self, name: &str, text: &str) -> usize {
        let known = self.sources.iter().position(|source| source.name == name);
        known.unwrap_or_else(|| {
            self.sources.push(Source {
                name: name.to_owned(),
                text: text.to_owned(),
            });
            self.sources.len() - 1
        })
    }

    /// Several targets of one Dockerfile say the same; it is kept once.
    pub(crate) fn add(&mut self, source: usize, what: Finding) {
        let located = Located { source, what };
        if !self.findings.contains(&located) {
            self.findings.push(located);
        }
    }

    pub(crate) fn faults(&mut self, source: usize, faults: Vec<Fault>) {
        for what in faults {
            let located = Located { source, what };
            if !self.faults.contains(&located) {
                self.faults.push(located);
            }
        }
    }

    pub(crate) fn sort(&mut self) {
        self.findings
            .sort_by_key(|located| (located.source, located.what.lines.first));
    }
}
