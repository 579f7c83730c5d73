//! Pull and push against Debian's `docker-registry` on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod auth;
#[path = "../common/mod.rs"]
mod common;
mod hosts;
mod images;
mod proxy;
#[allow(dead_code, reason = "the tests of other crates use more of it")]
mod server;
mod tokens;
mod transfers;

use std::cell::RefCell;
use std::process::Command;

use common::{TestStore, describe};
use howdah_image::{Digest, Image, Notice, Reference, RegistryError, TransferState};
use images::{client, image};
use server::Server;

#[test]
fn what_is_pushed_is_pulled_and_nothing_moves_twice() {
    let server = Server::start("");
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
fn a_tag_beside_a_digest_says_nothing() {
    let server = Server::start("");
    let test = TestStore::new();
    let name = server.reference("acme/web:1");
    let digest = client()
        .push(&test.store, &image(&test), &name, &|_| ())
        .unwrap();
    let gone = server.reference("acme/web:gone");
    let both: Reference = format!("{gone}@{digest}").parse().unwrap();
    let other = TestStore::new();
    let pulled = client().pull(&other.store, &both, &|_| ()).unwrap();
    let found = other.store.find_image(&both.familiar()).unwrap().unwrap();
    assert_eq!(found.id, pulled.id);
}

#[test]
fn a_layer_that_lost_its_blob_is_packed_again() {
    let server = Server::start("");
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
    let server = Server::start("");
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
    let server = Server::start("");
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
    let server = Server::start("");
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
