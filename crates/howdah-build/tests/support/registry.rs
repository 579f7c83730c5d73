//! Debian's `docker-registry` on loopback, with its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// A registry of its own; killed with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    log: Option<JoinHandle<Vec<String>>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        let directory = tempfile::tempdir().unwrap();
        let storage = directory.path().join("storage");
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n",
            storage.display()
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
                break rest.split(['"', ' ', '\n']).next().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || log.lines().map_while(Result::ok).collect());
        Server {
            child,
            address,
            log: Some(log),
            _directory: directory,
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
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}
