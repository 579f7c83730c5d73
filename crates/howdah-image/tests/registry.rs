//! Pull and push against Debian's `docker-registry` on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod common;

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use common::{TestStore, describe, write};
use howdah_image::{
    Digest, Image, Notice, Reference, Registry, RegistryError, RegistryOptions, TransferState,
};

/// A registry of its own; killed with the test.
struct Server {
    child: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts one, with a login if `user` names one as a line of htpasswd(1).
    fn start(user: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = directory.path().join("storage");
        let auth = user.map_or_else(String::new, |line| {
            let file = write(directory.path(), "htpasswd", line);
            format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                file.display()
            )
        });
        let storage = storage.display();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{auth}"
        );
        let file = write(directory.path(), "config.yml", &config);
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
        // Keeps the pipe from filling up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            child,
            address,
            directory,
        }
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    /// Where the registry keeps a blob.
    fn blob(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        self.directory.path().join(format!(
            "storage/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn client() -> Registry {
    Registry::new(RegistryOptions::default()).unwrap()
}

fn image(test: &TestStore) -> Image {
    let base = test.snapshot(|root| drop(write(root, "base", &"base".repeat(500_000))));
    let top = test.snapshot(|root| drop(write(root, "top", "top")));
    test.image(vec![vec![base], vec![top]])
}

#[test]
fn what_is_pushed_is_pulled_and_nothing_moves_twice() {
    let server = Server::start(None);
    let test = TestStore::new();
    let image = image(&test);
    let reference = server.reference("acme/web:v1");
    let registry = client();
    let states = RefCell::new(Vec::new());
    let note = |notice: Notice| {
        if let Notice::Blob(transfer) = notice {
            states.borrow_mut().push(transfer.state);
        }
    };
    let digest = registry
        .push(&test.store, &image, &reference, &note)
        .unwrap();
    assert_eq!(
        states
            .borrow()
            .iter()
            .filter(|state| **state == TransferState::Done)
            .count(),
        2
    );
    states.borrow_mut().clear();
    assert_eq!(
        registry
            .push(&test.store, &image, &reference, &note)
            .unwrap(),
        digest
    );
    assert_eq!(*states.borrow(), [TransferState::Present; 2]);

    let other = TestStore::new();
    states.borrow_mut().clear();
    let pulled = registry.pull(&other.store, &reference, &note).unwrap();
    let trees = |test: &TestStore, image: &Image| -> Vec<_> {
        image
            .lowers(&test.store)
            .iter()
            .map(|path| describe(path))
            .collect()
    };
    assert_eq!(trees(&other, &pulled), trees(&test, &image));
    assert_eq!(
        other
            .store
            .find_image(&reference.familiar())
            .unwrap()
            .unwrap()
            .id,
        pulled.id
    );
    let pinned = reference.with_digest(digest);
    assert_eq!(
        other
            .store
            .find_image(&pinned.familiar())
            .unwrap()
            .unwrap()
            .id,
        pulled.id
    );
    states.borrow_mut().clear();
    registry.pull(&other.store, &pinned, &note).unwrap();
    assert_eq!(*states.borrow(), [TransferState::Present; 2]);
    // A pulled image leaves as it came.
    assert_eq!(
        registry
            .push(
                &other.store,
                &pulled,
                &server.reference("acme/again:v1"),
                &note
            )
            .unwrap(),
        digest
    );
}

#[test]
fn a_layer_that_lost_its_blob_is_packed_again() {
    let server = Server::start(None);
    let test = TestStore::new();
    let image = image(&test);
    let registry = client();
    let digest = registry
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    for blob in fs_err::read_dir(test.store.root().join("blobs/sha256")).unwrap() {
        fs_err::remove_file(blob.unwrap().path()).unwrap();
    }
    assert_eq!(
        registry
            .push(&test.store, &image, &server.reference("b:1"), &|_| ())
            .unwrap(),
        digest
    );
}

#[test]
fn skopeo_and_docker_schema_2_agree() {
    let server = Server::start(None);
    let test = TestStore::new();
    let reference = server.reference("acme/web:v1");
    client()
        .push(&test.store, &image(&test), &reference, &|_| ())
        .unwrap();
    let copy = server.reference("acme/schema2:v1");
    let status = Command::new("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            "--format=v2s2",
        ])
        .args([format!("docker://{reference}"), format!("docker://{copy}")])
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    let other = TestStore::new();
    let pulled = client().pull(&other.store, &copy, &|_| ()).unwrap();
    assert_eq!(pulled.layers.len(), 2);
}

#[test]
fn a_forged_blob_is_refused() {
    let server = Server::start(None);
    let test = TestStore::new();
    let reference = server.reference("acme/web:v1");
    let moved = RefCell::new(Vec::new());
    client()
        .push(&test.store, &image(&test), &reference, &|notice| {
            if let Notice::Blob(transfer) = notice {
                moved.borrow_mut().push(transfer);
            }
        })
        .unwrap();
    let victim = moved.borrow()[0].digest;
    let blob = server.blob(&victim);
    let mut bytes = fs_err::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs_err::write(&blob, bytes).unwrap();
    let other = TestStore::new();
    let error = client()
        .pull(&other.store, &reference, &|_| ())
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Blob { .. } | RegistryError::Store { .. }
        ),
        "{error:?}"
    );
    assert!(other.store.images().unwrap().is_empty());
}

#[test]
fn failures_are_told_apart() {
    let server = Server::start(None);
    let test = TestStore::new();
    let pull = |reference: &Reference| client().pull(&test.store, reference, &|_| ()).unwrap_err();
    assert!(matches!(
        pull(&server.reference("acme/none:v1")),
        RegistryError::NotFound(_)
    ));
    // A port that was free a moment ago refuses.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = pull(&format!("127.0.0.1:{port}/a:b").parse().unwrap());
    assert!(
        matches!(refused, RegistryError::Unreachable { .. }),
        "{refused:?}"
    );
    let pinned = server.reference("a").with_digest(Digest::of("x"));
    let error = client()
        .push(&test.store, &image(&test), &pinned, &|_| ())
        .unwrap_err();
    assert!(matches!(error, RegistryError::PushToDigest(_)));
}

#[test]
fn logins_of_docker_are_used() {
    // htpasswd -nbB user secret
    let server = Server::start(Some(
        "user:$2b$05$jxCxM7A298GFOcFgEakH9uiRND9QcZ/pO0POQq3mfYFNoC7/UV1LS\n",
    ));
    let test = TestStore::new();
    let image = image(&test);
    let reference = server.reference("acme/web:v1");
    let denied = client()
        .push(&test.store, &image, &reference, &|_| ())
        .unwrap_err();
    assert!(matches!(denied, RegistryError::Denied { .. }), "{denied:?}");
    let config = format!(
        r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#,
        server.address
    );
    let path = write(test.directory.path(), "config.json", &config);
    let options = RegistryOptions {
        docker_config: Some(path),
        ..RegistryOptions::default()
    };
    let registry = Registry::new(options).unwrap();
    registry
        .push(&test.store, &image, &reference, &|_| ())
        .unwrap();
    registry
        .pull(&TestStore::new().store, &reference, &|_| ())
        .unwrap();
}
