//! `COPY` and `ADD`.

use super::Word;
use crate::Span;

/// `COPY`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What is copied to where.
    pub files: Files,
    /// `--from`: stage name, stage number, named context or image; never expands.
    pub from: Option<Word>,
    /// `--parents`: keep the sources' directories (`/./` in a source marks where they begin).
    pub parents: bool,
}

/// `ADD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// What is added to where; a source may be a URL or a Git reference.
    pub files: Files,
    /// `--checksum`: digest or commit that a remote source must have; expands.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, when given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, when given; else local archives are unpacked and remote ones are not.
    pub unpack: Option<bool>,
}

/// What `COPY` and `ADD` have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Paths and wildcards; each expands.
    pub sources: Vec<Word>,
    /// Files written in the Dockerfile itself; copied after `sources`.
    pub heredocs: Vec<Heredoc>,
    /// The last argument; expands.
    pub destination: Word,
    /// `--chown`; expands.
    pub chown: Option<Word>,
    /// `--chmod`, octal or symbolic; expands.
    pub chmod: Option<Word>,
    /// `--link`: the layer does not depend on what is below it.
    pub link: bool,
    /// `--exclude`, several; each expands.
    pub excludes: Vec<Word>,
}

/// `<<NAME` and the lines up to `NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter; for `COPY` also the name of the file.
    pub name: String,
    /// The body. In `COPY` and `ADD` the leading tabs of a `<<-` are gone; in [`super::Run::heredocs`] it is as written.
    pub content: String,
    /// False for a quoted delimiter. Only `COPY` and `ADD` expand; in `RUN` it is the shell's affair.
    pub expand: bool,
    /// Written `<<-`: leading tabs do not count.
    pub chomp: bool,
    /// The file descriptor before `<<`, 0 if there is none.
    pub descriptor: u32,
    /// The body in the text, without the closing delimiter.
    pub span: Span,
}
