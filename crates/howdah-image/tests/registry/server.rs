//! Debian's `docker-registry` on loopback, with its log. The tests of other crates start it with this file too.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use howdah_image::{Digest, Reference};

/// `htpasswd -nbB user secret`
const LOGIN: &str = "user:$2b$05$jxCxM7A298GFOcFgEakH9uiRND9QcZ/pO0POQq3mfYFNoC7/UV1LS\n";

/// A registry of its own; killed with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    directory: tempfile::TempDir,
    log: Option<JoinHandle<Vec<String>>>,
}

impl Server {
    /// Starts one; `config` are more lines of its YAML, one of which may be `http:` with TLS.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    /// One that wants the login `user`, `secret`.
    pub(crate) fn with_login() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("htpasswd");
        fs_err::write(&file, LOGIN).unwrap();
        let config = format!(
            "auth: {{htpasswd: {{realm: test, path: {}}}}}",
            file.display()
        );
        Self::start_in(directory, &config)
    }

    fn start_in(directory: tempfile::TempDir, config: &str) -> Self {
        let storage = directory.path().join("storage");
        let storage = storage.display();
        let http = if config.starts_with("http:") {
            ""
        } else {
            "http: {addr: \"127.0.0.1:0\"}\n"
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\n{http}{config}\n"
        );
        let file = directory.path().join("config.yml");
        fs_err::write(&file, config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It chooses a free port itself and says which: `msg="listening on 127.0.0.1:41234"`.
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "the registry did not start"
            );
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ' ', ',', '\n']).next().unwrap().to_owned();
            }
        };
        // Also keeps the pipe from filling up.
        let log = std::thread::spawn(move || log.lines().map_while(Result::ok).collect());
        Self {
            child,
            address,
            directory,
            log: Some(log),
        }
    }

    /// Stops it, and says how many blobs it gave, with how many bytes.
    pub(crate) fn given(mut self) -> (usize, u64) {
        self.child.kill().unwrap();
        let lines = self.log.take().unwrap().join().unwrap();
        let field = |line: &str, name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split([' ', '"']).next()?.parse().ok()
        };
        let written: Vec<u64> = lines
            .iter()
            .filter(|line| line.contains("response completed") && line.contains("/blobs/sha256:"))
            .filter(|line| line.contains("http.request.method=GET"))
            .filter_map(|line| field(line, "http.response.written="))
            .collect();
        (written.len(), written.iter().sum())
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        reference(&self.address, name)
    }

    /// Where the registry keeps what a repository has.
    pub(crate) fn repository(&self, name: &str) -> std::path::PathBuf {
        let root = self
            .directory
            .path()
            .join("storage/docker/registry/v2/repositories");
        root.join(name)
    }

    /// Where the registry keeps a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        self.directory.path().join(format!(
            "storage/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}

pub(crate) fn reference(address: &str, name: &str) -> Reference {
    format!("{address}/{name}").parse().unwrap()
}
