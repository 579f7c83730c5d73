//! Archives against the programs that must read and write them: skopeo, and the forms Docker has written over time.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod common;

use std::process::{Command, Output};

use common::{TestStore, describe, whiteout, write};
use howdah_image::archive::{ArchiveError, NamedImage, load, load_directory, save};
use howdah_image::export::ExportOptions;
use howdah_image::layer::PackOptions;
use howdah_image::{Image, Reference, Store};
use serde_json::Value;

fn skopeo(arguments: &[&str]) -> Output {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "skopeo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn inspect(source: &str) -> Value {
    serde_json::from_slice(&skopeo(&["inspect", source]).stdout).unwrap()
}

fn two_layers(test: &TestStore) -> Image {
    let base = test.snapshot(|root| {
        write(root, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
        write(root, "gone", "x");
    });
    let top = test.snapshot(|root| whiteout(root, "gone"));
    let delta = test.snapshot(|root| drop(write(root, "app/index.php", "<?php")));
    test.image(vec![vec![base], vec![top, delta]])
}

fn archive(store: &Store, image: &Image, names: &[&str]) -> Vec<u8> {
    let references: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
    let mut bytes = Vec::new();
    save(
        store,
        &[NamedImage {
            images: vec![image.clone()],
            references,
        }],
        &mut bytes,
        &ExportOptions::default(),
    )
    .unwrap();
    bytes
}

/// The image's files as a container would see them, layer by layer.
fn trees(store: &Store, image: &Image) -> Vec<std::collections::BTreeMap<String, String>> {
    image
        .lowers(store)
        .iter()
        .map(|lower| describe(lower))
        .collect()
}

#[test]
fn skopeo_reads_both_forms_of_one_file() {
    let test = TestStore::new();
    let image = two_layers(&test);
    let path = test.directory.path().join("image.tar");
    fs_err::write(&path, archive(&test.store, &image, &["acme/web:v1"])).unwrap();
    for form in ["oci-archive", "docker-archive"] {
        let seen = inspect(&format!("{form}:{}", path.display()));
        assert_eq!(
            (seen["Layers"].as_array().unwrap().len(), &seen["Env"][0]),
            (2, &Value::from("A=b")),
            "{form}"
        );
    }
    // Copying reads and checks every byte.
    let copy = format!("dir:{}", test.directory.path().join("copy").display());
    skopeo(&[
        "copy",
        "--insecure-policy",
        &format!("docker-archive:{}:acme/web:v1", path.display()),
        &copy,
    ]);
}

#[test]
fn saving_is_deterministic_and_loading_gives_the_same_trees() {
    let test = TestStore::new();
    let image = two_layers(&test);
    let bytes = archive(&test.store, &image, &["acme/web:v1", "acme/web:v2"]);
    assert_eq!(
        archive(&test.store, &image, &["acme/web:v1", "acme/web:v2"]),
        bytes
    );
    let other = TestStore::new();
    let loaded = load(&other.store, bytes.as_slice()).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].references.len(), 2);
    let found = other.store.find_image("acme/web:v2").unwrap().unwrap();
    assert_eq!(found.config.config, image.config.config);
    assert_eq!(found.layers.len(), 2);
    assert_eq!(
        trees(&other.store, &found)[0],
        trees(&test.store, &image)[0]
    );
    // What came in goes out with the same digests.
    let manifest = |bytes: &[u8]| {
        let mut archive = tar::Archive::new(bytes);
        let entry = archive
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .find(|entry| entry.path().unwrap().ends_with("manifest.json"));
        std::io::read_to_string(entry.unwrap()).unwrap()
    };
    let again = archive(&other.store, &found, &["acme/web:v1", "acme/web:v2"]);
    assert_eq!(manifest(&again), manifest(&bytes));
}

#[test]
fn loads_what_skopeo_writes() {
    let test = TestStore::new();
    let image = two_layers(&test);
    let path = test.directory.path().join("image.tar");
    fs_err::write(&path, archive(&test.store, &image, &["acme/web:v1"])).unwrap();
    let source = format!("oci-archive:{}", path.display());
    let target = |name: &str| test.directory.path().join(name).display().to_string();
    skopeo(&[
        "copy",
        "--insecure-policy",
        &source,
        &format!("oci:{}:latest", target("layout")),
    ]);
    skopeo(&[
        "copy",
        "--insecure-policy",
        &source,
        &format!("oci-archive:{}:example.com/a:b", target("oci.tar")),
    ]);
    skopeo(&[
        "copy",
        "--insecure-policy",
        &source,
        &format!("docker-archive:{}:acme/copy:v9", target("docker.tar")),
    ]);
    let expected = trees(&test.store, &image);
    for (name, reference) in [
        ("layout", None),
        ("oci.tar", Some("example.com/a:b")),
        ("docker.tar", Some("acme/copy:v9")),
    ] {
        let other = TestStore::new();
        let loaded = if name == "layout" {
            load_directory(&other.store, target(name).as_ref()).unwrap()
        } else {
            load(&other.store, fs_err::File::open(target(name)).unwrap()).unwrap()
        };
        assert_eq!(
            loaded[0].references,
            reference
                .map(|name| name.parse().unwrap())
                .into_iter()
                .collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(
            trees(&other.store, &loaded[0].images[0])[0],
            expected[0],
            "{name}"
        );
    }
}

/// The form of Docker before 25: a directory for each layer, links where a layer occurs twice.
fn old_docker_archive(layer: &[u8], config: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    };
    add("aa/VERSION", b"1.0");
    add("aa/json", b"{}");
    add("aa/layer.tar", layer);
    add("cc.json", config.as_bytes());
    add(
        "manifest.json",
        br#"[{"Config":"cc.json","RepoTags":["old:1"],"Layers":["aa/layer.tar","bb/layer.tar"]}]"#,
    );
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    builder
        .append_link(&mut link, "bb/layer.tar", "../aa/layer.tar")
        .unwrap();
    builder.into_inner().unwrap()
}

fn layer_tar(test: &TestStore) -> Vec<u8> {
    let snapshot = test.snapshot(|root| drop(write(root, "file", "content")));
    let mut tar = Vec::new();
    let layer = howdah_image::Layer {
        snapshots: vec![snapshot],
    };
    howdah_image::layer::pack(&test.store, &[layer], &mut tar, &PackOptions::default()).unwrap();
    tar
}

#[test]
fn loads_old_docker_archives_also_compressed() {
    let test = TestStore::new();
    let tar = layer_tar(&test);
    let diff_id = howdah_image::Digest::of(&tar);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","container":"kept","config":{{"Cmd":["a"]}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}","{diff_id}"]}}}}"#
    );
    let archive = zstd::encode_all(old_docker_archive(&tar, &config).as_slice(), 1).unwrap();
    let loaded = load(&test.store, archive.as_slice()).unwrap();
    let image = test.store.find_image("old:1").unwrap().unwrap();
    assert_eq!(
        (
            loaded.len(),
            image.layers.len(),
            image.lowers(&test.store).len()
        ),
        (1, 2, 1)
    );
    assert_eq!(image.config.extra["container"], "kept");
}

#[test]
fn lies_are_told_and_leave_nothing() {
    let test = TestStore::new();
    let tar = layer_tar(&test);
    let wrong = howdah_image::Digest::of("something else");
    let config = |ids: &str| {
        format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
        )
    };
    let lying = old_docker_archive(&tar, &config(&format!(r#""{wrong}","{wrong}""#)));
    assert!(matches!(
        load(&test.store, lying.as_slice()),
        Err(ArchiveError::Layer { .. })
    ));
    let short = old_docker_archive(&tar, &config(&format!(r#""{wrong}""#)));
    assert!(matches!(
        load(&test.store, short.as_slice()),
        Err(ArchiveError::Invalid { .. })
    ));
    let broken = old_docker_archive(&tar, "{");
    assert!(matches!(
        load(&test.store, broken.as_slice()),
        Err(ArchiveError::Document { .. })
    ));
    assert!(matches!(
        load(&test.store, tar.as_slice()),
        Err(ArchiveError::NotAnArchive)
    ));
    assert!(load(&test.store, b"no tar at all".repeat(100).as_slice()).is_err());
    assert!(test.store.images().unwrap().is_empty());
    // The next process finds nothing in the way.
    let root = test.store.root().to_owned();
    drop(test.store);
    let left: Vec<_> = fs_err::read_dir(root.join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".gate"]);
}
