//! Transfers that are disturbed.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use howdah_image::export::{Export, ExportOptions};
use howdah_image::registry::Blob;
use howdah_image::{Digest, Notice, RegistryError, Store, TransferState};

use crate::common::TestStore;
use crate::images::{client, image, large_image};
use crate::proxy::{Proxy, Rule, answer, header};
use crate::server::{Server, reference};

/// The only blob of more than a megabyte.
fn large_blob(store: &Store) -> Blob {
    let blobs = fs_err::read_dir(store.root().join("blobs/sha256")).unwrap();
    blobs
        .map(|entry| entry.unwrap())
        .map(|entry| Blob {
            digest: Digest::from_hex(entry.file_name().to_str().unwrap()).unwrap(),
            size: entry.metadata().unwrap().len(),
        })
        .find(|blob| blob.size > 1 << 20)
        .unwrap()
}

fn blob_path(store: &Store, blob: &Blob) -> std::path::PathBuf {
    store.root().join("blobs/sha256").join(blob.digest.hex())
}

#[test]
fn a_cut_pull_goes_on_where_it_stopped() {
    const CUT: u64 = 1_000_000;
    let server = Server::start("");
    let test = TestStore::new();
    let image = large_image(&test);
    client()
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    let blob = large_blob(&test.store);
    let target = format!("GET /v2/a/blobs/{}", blob.digest);
    let (first, cuts) = (target.clone(), AtomicU32::new(0));
    let proxy = Proxy::start(&server.address, move |head| {
        if head.starts_with(&first) && cuts.fetch_add(1, Ordering::Relaxed) < 2 {
            Rule::CutAnswer(CUT)
        } else {
            Rule::Forward
        }
    });
    let other = TestStore::new();
    let waits = RefCell::new(0);
    client()
        .pull(&other.store, &reference(&proxy.address, "a:1"), &|notice| {
            *waits.borrow_mut() += u32::from(matches!(notice, Notice::Waiting { .. }));
        })
        .unwrap();
    assert_eq!(*waits.borrow(), 2);
    let seen = proxy.seen(&target);
    assert_eq!(seen.len(), 3);
    assert_eq!(header(&seen[0].head, "range"), None);
    // Each byte came once; a thousand for each answer's headers.
    let moved: u64 = seen.iter().map(|seen| seen.answered).sum();
    assert!(moved < blob.size + 3 * 1000, "{moved} for {}", blob.size);
}

#[test]
fn a_pull_goes_on_where_another_process_died() {
    let server = Server::start("");
    let test = TestStore::new();
    let image = large_image(&test);
    let name = server.reference("a:1");
    client().push(&test.store, &image, &name, &|_| ()).unwrap();
    let blob = large_blob(&test.store);
    let bytes = fs_err::read(blob_path(&test.store, &blob)).unwrap();
    let proxy = Proxy::start(&server.address, |_| Rule::Forward);
    let through = reference(&proxy.address, "a:1");
    let pull_after = |left: &[u8]| {
        let other = TestStore::new();
        let part = other.store.root().join("partial").join(blob.digest.hex());
        fs_err::write(part, left).unwrap();
        client().pull(&other.store, &through, &|_| ()).unwrap();
    };
    pull_after(&bytes[..2_000_000]);
    let target = format!("GET /v2/a/blobs/{}", blob.digest);
    let seen = proxy.seen(&target);
    assert_eq!(seen.len(), 1);
    assert_eq!(header(&seen[0].head, "range"), Some("bytes=2000000-"));
    // What was left is damaged, which is known only when all is there.
    let mut damaged = bytes[..2_000_000].to_vec();
    damaged[1_000_000] ^= 1;
    pull_after(&damaged);
    let seen = proxy.seen(&target);
    assert_eq!(seen.len(), 3);
    assert_eq!(header(&seen[2].head, "range"), None);
    // All of it, and more than it.
    pull_after(&bytes);
    assert_eq!(proxy.seen(&target).len(), 3);
    pull_after(&[&bytes[..], b"more"].concat());
}

/// Of the only blob of more than a megabyte.
fn is_large_put(head: &str) -> bool {
    let length = header(head, "content-length").and_then(|text| text.parse::<u64>().ok());
    head.starts_with("PUT") && length.is_some_and(|length| length > 1 << 20)
}

#[test]
fn a_cut_push_goes_on_where_the_registry_says() {
    const ARRIVED: u64 = 900_000;
    let server = Server::start("");
    let cuts = AtomicU32::new(0);
    // Debian's registry forgets an upload that was cut, so the proxy answers for one that does not.
    let proxy = Proxy::start(&server.address, move |head| {
        if is_large_put(head) && cuts.fetch_add(1, Ordering::Relaxed) == 0 {
            Rule::CutBody(1_000_000)
        } else if head.starts_with("GET /v2/a/blobs/uploads/") {
            let headers = format!(
                "Location: /v2/a/blobs/uploads/more\r\nRange: 0-{}\r\n",
                ARRIVED - 1
            );
            Rule::Answer(answer("204 No Content", &headers, ""))
        } else if head.starts_with("PUT /v2/a/blobs/uploads/more") {
            Rule::Answer(answer("201 Created", "", ""))
        } else {
            Rule::Forward
        }
    });
    let test = TestStore::new();
    let name = server.reference("b:1");
    client()
        .push(&test.store, &large_image(&test), &name, &|_| ())
        .unwrap();
    let blob = large_blob(&test.store);
    let name = reference(&proxy.address, "a:1");
    client()
        .send_blob(&test.store, &name, &blob, &|_| ())
        .unwrap();
    let rest = &proxy.seen("PUT /v2/a/blobs/uploads/more?digest=")[0].head;
    let range = format!("{ARRIVED}-{}", blob.size - 1);
    assert_eq!(header(rest, "content-range"), Some(range.as_str()));
    let length = (blob.size - ARRIVED).to_string();
    assert_eq!(header(rest, "content-length"), Some(length.as_str()));
}

#[test]
fn a_cut_push_ends_well() {
    let server = Server::start("");
    let cuts = AtomicU32::new(0);
    let proxy = Proxy::start(&server.address, move |head| {
        if is_large_put(head) && cuts.fetch_add(1, Ordering::Relaxed) == 0 {
            Rule::CutBody(1_000_000)
        } else {
            Rule::Forward
        }
    });
    let test = TestStore::new();
    let image = large_image(&test);
    client()
        .push(
            &test.store,
            &image,
            &reference(&proxy.address, "a:1"),
            &|_| (),
        )
        .unwrap();
    assert!(server.blob(&large_blob(&test.store).digest).is_file());
}

#[test]
fn rate_limits_are_waited_out_and_told() {
    let server = Server::start("");
    let test = TestStore::new();
    let image = image(&test);
    client()
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    let refusals = AtomicU32::new(0);
    let busy = |retry_after: &str| {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        let headers = format!("Retry-After: {retry_after}\r\n");
        Rule::Answer(answer("429 Too Many Requests", &headers, body))
    };
    let proxy = Proxy::start(&server.address, move |head| {
        match head.contains("/manifests/") {
            true if head.contains("/never/") => busy("3600"),
            true if refusals.fetch_add(1, Ordering::Relaxed) < 2 => busy("0"),
            _ => Rule::Forward,
        }
    });
    let notices = RefCell::new(Vec::new());
    let note = |notice| notices.borrow_mut().push(notice);
    let other = TestStore::new();
    client()
        .pull(&other.store, &reference(&proxy.address, "a:1"), &note)
        .unwrap();
    let waits = |notice: &&Notice| matches!(notice, Notice::Waiting { reason, .. } if reason.contains("429"));
    assert_eq!(notices.borrow().iter().filter(waits).count(), 2);
    let error = client()
        .pull(&other.store, &reference(&proxy.address, "never/a:1"), &note)
        .unwrap_err();
    assert!(
        matches!(&error, RegistryError::RateLimited { said, .. } if said == "slow down"),
        "{error:?}"
    );
}

#[test]
fn a_server_error_passes_and_a_lasting_one_is_told() {
    let server = Server::start("");
    let test = TestStore::new();
    let image = image(&test);
    let failures = AtomicU32::new(0);
    let proxy = Proxy::start(&server.address, move |head| {
        if head.starts_with("POST") && failures.fetch_add(1, Ordering::Relaxed) == 0 {
            Rule::Answer(answer("503 Service Unavailable", "", ""))
        } else {
            Rule::Forward
        }
    });
    client()
        .push(
            &test.store,
            &image,
            &reference(&proxy.address, "a:1"),
            &|_| (),
        )
        .unwrap();
    assert!(proxy.seen("POST").len() > 2);
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let server = Server::start("");
    let proxy = Proxy::start(&server.address, |_| Rule::Forward);
    let test = TestStore::new();
    let image = large_image(&test);
    let registry = client();
    let push = |name: &str| {
        let states = RefCell::new(Vec::new());
        registry
            .push(
                &test.store,
                &image,
                &reference(&proxy.address, name),
                &|notice| {
                    if let Notice::Blob(transfer) = notice {
                        states.borrow_mut().push(transfer.state);
                    }
                },
            )
            .unwrap();
        states.into_inner()
    };
    assert_eq!(push("one:1").last(), Some(&TransferState::Done));
    assert_eq!(push("two:1"), [TransferState::Mounted]);
    assert_eq!(proxy.seen("POST /v2/two/blobs/uploads/?mount=").len(), 1);
    // It is remembered across processes, and a repository that is gone does no harm.
    fs_err::remove_dir_all(server.repository("one")).unwrap();
    fs_err::remove_dir_all(server.repository("two")).unwrap();
    assert_eq!(push("three:1").last(), Some(&TransferState::Done));
}

#[test]
fn names_come_when_everything_is_there() {
    let server = Server::start("");
    let proxy = Proxy::start(&server.address, |_| Rule::Forward);
    let test = TestStore::new();
    let image = image(&test);
    let names = ["a:1", "b:1", "a:2"].map(|name| reference(&proxy.address, name));
    let export = Export {
        variants: &[(&image).into()],
        names: &names,
        options: &ExportOptions::default(),
    };
    let digest = client().push_export(&test.store, &export, &|_| ()).unwrap();
    let seen: Vec<String> = proxy.seen("").into_iter().map(|seen| seen.head).collect();
    let puts_manifest = |head: &String| head.starts_with("PUT") && head.contains("/manifests/");
    let first = seen.iter().position(puts_manifest).unwrap();
    assert_eq!(
        seen[first..]
            .iter()
            .filter(|head| puts_manifest(head))
            .count(),
        3
    );
    assert_eq!(seen.len(), first + 3);
    // Two layers and a configuration, for each of the two repositories.
    assert_eq!(proxy.seen("HEAD").len(), 6);
    for name in &names {
        assert_eq!(client().fetch_manifest(name).unwrap().digest(), digest);
    }
}

#[test]
fn a_layer_that_occurs_twice_is_fetched_once() {
    let server = Server::start("");
    let proxy = Proxy::start(&server.address, |_| Rule::Forward);
    let test = TestStore::new();
    let layer = large_image(&test).layers[0].snapshots.clone();
    let image = test.image(vec![layer.clone(), layer.clone(), layer]);
    client()
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    let blob = large_blob(&test.store);
    let name = reference(&proxy.address, "a:1");
    let pulled = client()
        .pull(&TestStore::new().store, &name, &|_| ())
        .unwrap();
    assert_eq!(pulled.layers.len(), 3);
    assert_eq!(
        proxy
            .seen(&format!("GET /v2/a/blobs/{}", blob.digest))
            .len(),
        1
    );
}

#[test]
fn a_damaged_blob_of_the_store_is_replaced() {
    let server = Server::start("");
    let test = TestStore::new();
    let image = large_image(&test);
    let registry = client();
    registry
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    let blob = large_blob(&test.store);
    let path = blob_path(&test.store, &blob);
    let good = fs_err::read(&path).unwrap();
    let mut bad = good.clone();
    bad[1_500_000] ^= 1;
    // A push finds it when the registry refuses it, and packs the layer again; also one that was cut short.
    for (damaged, name) in [(&bad[..], "b:1"), (&good[..1000], "c:1")] {
        fs_err::write(&path, damaged).unwrap();
        let fresh = Server::start("");
        registry
            .push(&test.store, &image, &fresh.reference(name), &|_| ())
            .unwrap();
        assert!(fs_err::read(&path).unwrap() == good);
    }
    // A pull finds it when it unpacks, and fetches it anew.
    let other = TestStore::new();
    fs_err::write(blob_path(&other.store, &blob), &bad).unwrap();
    registry
        .pull(&other.store, &server.reference("a:1"), &|_| ())
        .unwrap();
    assert!(fs_err::read(blob_path(&other.store, &blob)).unwrap() == good);
}

#[test]
fn hostile_answers_are_refused() {
    let server = Server::start("");
    let test = TestStore::new();
    let image = image(&test);
    client()
        .push(&test.store, &image, &server.reference("a:1"), &|_| ())
        .unwrap();
    let proxy = Proxy::start(&server.address, |head| {
        let line = head.lines().next().unwrap();
        let manifest = |headers: &str, body: &str| Rule::Answer(answer("200 OK", headers, body));
        match line {
            line if line.contains("/manifests/huge") => manifest("", &" ".repeat(5 << 20)),
            line if line.contains("/manifests/loop") => Rule::Answer(answer(
                "307 Temporary Redirect",
                "Location: /v2/a/manifests/loop\r\n",
                "",
            )),
            line if line.contains("/manifests/lie") => manifest(
                "Docker-Content-Digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n",
                "{}",
            ),
            line if line.contains("/manifests/sha256:") => manifest("", "{}"),
            line if line.contains("/manifests/nonsense") => manifest("", "[]"),
            _ => Rule::Forward,
        }
    });
    let other = TestStore::new();
    let pull = |tag: &str| {
        let name = reference(&proxy.address, tag);
        client().pull(&other.store, &name, &|_| ()).unwrap_err()
    };
    let pinned = format!("a@{}", Digest::of("x"));
    for tag in ["a:huge", "a:lie", &pinned] {
        let error = pull(tag);
        assert!(
            matches!(error, RegistryError::Invalid { .. }),
            "{tag}: {error:?}"
        );
    }
    assert!(matches!(pull("a:nonsense"), RegistryError::Document { .. }));
    assert!(matches!(pull("a:loop"), RegistryError::Unreachable { .. }));
    assert!(other.store.images().unwrap().is_empty());
}
