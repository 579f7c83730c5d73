//! What cases take from elsewhere: a web server and a Git server of the program's own, with the same for both builders.

use crate::case::Case;
use crate::git::GitServer;
use crate::http::{Page, Server};
use crate::outcome::Outcome;

/// Both servers.
pub(crate) struct Remote {
    http: Server,
    /// Runs as long as this.
    _git: GitServer,
    /// The words that cases write, and what stands for them.
    words: Vec<(&'static str, String)>,
}

impl Remote {
    pub(crate) fn start() -> Remote {
        let http = Server::start();
        let page = |body: &[u8]| Page {
            body: body.to_vec(),
            modified: Some("Fri, 02 Jan 2026 03:04:05 GMT"),
            etag: Some("\"1\""),
            ..Page::default()
        };
        http.put("/files/a.txt", page(b"a\n"));
        http.put("/files/a%20b.txt", page(b"ab\n"));
        http.put("/files/query?name=q.txt", page(b"q\n"));
        http.put("/files/", page(b"index\n"));
        http.put_text("/files/undated", "undated\n");
        http.put(
            "/moved",
            Page {
                location: Some(http.url("/files/a.txt")),
                ..Page::default()
            },
        );
        let archive = archive();
        http.put("/files/archive.tar.gz", page(&archive));
        http.put("/context.tar.gz", page(&archive));
        http.put(
            "/only.Dockerfile",
            page(b"FROM scratch\nCOPY <<EOF /from-url\nyes\nEOF\n"),
        );
        let git = GitServer::start();
        let first = fill(&git);
        let words = vec![
            ("{http}", http.url("")),
            ("{git}", git.url("").trim_end_matches('/').to_owned()),
            ("{commit}", first),
        ];
        Remote {
            http,
            _git: git,
            words,
        }
    }

    /// The case with addresses in place of words.
    pub(crate) fn fill(&self, case: &Case) -> Case {
        let fill = |text: &String| {
            let words = self.words.iter();
            words.fold(text.clone(), |text, (word, value)| {
                text.replace(word, value)
            })
        };
        let mut case = case.clone();
        case.dockerfile = fill(&case.dockerfile);
        case.at = case.at.as_ref().map(fill);
        if let Some(path) = case.file.strip_prefix("{http}") {
            self.http.put_text(path, &case.dockerfile);
        }
        case.file = fill(&case.file);
        case.build_contexts
            .values_mut()
            .for_each(|place| *place = fill(place));
        case
    }

    /// The outcome with words in place of addresses, which differ from run to run.
    pub(crate) fn mask(&self, mut outcome: Outcome) -> Outcome {
        let mask = |text: &mut String| {
            for (word, value) in &self.words {
                *text = text.replace(value, word);
            }
        };
        outcome.failure.iter_mut().for_each(mask);
        let lines = [&mut outcome.tree, &mut outcome.config, &mut outcome.history];
        lines.into_iter().flatten().for_each(mask);
        outcome
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Remote")
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

/// The repository `app`, with the branches `main` and `next` and the tags `v1` and `light`; gives the id of the commit that has
/// both tags.
fn fill(git: &GitServer) -> String {
    let app = git.repository("app");
    let dockerfile = "FROM scratch\nCOPY . /all/\n";
    let files = [
        ("a.txt", "1\n"),
        ("sub/b.txt", "sub 1\n"),
        ("Dockerfile", dockerfile),
        ("sub/Dockerfile", dockerfile),
        (".dockerignore", "a.txt\n"),
    ];
    let first = app.commit(&files);
    app.git(&["tag", "--annotate", "--message=x", "v1"]);
    app.git(&["tag", "light"]);
    app.commit(&[("a.txt", "2\n"), ("run.sh", "#!/bin/sh\n")]);
    app.git(&["checkout", "--quiet", "-b", "next"]);
    app.commit(&[("a.txt", "next\n")]);
    app.git(&["checkout", "--quiet", "main"]);
    first
}

/// `d/in.txt` and a Dockerfile.
fn archive() -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    let files = [
        ("d/in.txt", "in\n"),
        ("Dockerfile", "FROM scratch\nCOPY d /copied/\n"),
        ("other.Dockerfile", "FROM scratch\nCOPY d/in.txt /other\n"),
    ];
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_700_000_000);
        header.set_size(text.len() as u64);
        archive
            .append_data(&mut header, path, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
