//! Images with all that goes with them, read by others.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{TestStore, write};
use howdah_image::archive::{load_directory, save_directory};
use howdah_image::export::{Attestation, Export, ExportError, ExportOptions, Variant};
use howdah_image::layer::CompressionOptions;
use howdah_image::{Compression, Image, Reference};
use serde_json::{Value, json};

fn image(test: &TestStore) -> Image {
    let base = test.snapshot(|root| drop(write(root, "etc/base", &"base".repeat(1000))));
    let top = test.snapshot(|root| drop(write(root, "etc/top", "top")));
    test.image(vec![vec![base], vec![top]])
}

fn names() -> [Reference; 1] {
    ["acme/web:v1".parse().unwrap()]
}

fn attestation() -> Attestation {
    Attestation {
        predicate_type: "https://spdx.dev/Document".to_owned(),
        predicate: json!({ "packages": [] }),
    }
}

fn read(directory: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&fs_err::read(directory.join("blobs/sha256").join(hex)).unwrap())
        .unwrap()
}

/// How the layers leave: the ends of their media types.
fn media_types(test: &TestStore, image: &Image, compression: CompressionOptions) -> Vec<String> {
    let options = ExportOptions {
        compression,
        ..ExportOptions::default()
    };
    let export = Export {
        variants: &[image.into()],
        names: &[],
        options: &options,
    };
    let bundle = export.bundle(&test.store).unwrap();
    let layers = bundle.images()[0].layers.iter();
    let end = |layer: &howdah_image::Descriptor| {
        let end = layer.media_type.rsplit(['+', '.']).next();
        end.unwrap().to_owned()
    };
    layers.map(end).collect()
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {told}");
}

#[test]
fn attestations_stand_beside_the_image_as_buildkit_has_them() {
    let test = TestStore::new();
    let image = image(&test);
    let attestations = [attestation()];
    let mut options = ExportOptions::default();
    for text in [
        "index:org.example.index=1",
        "org.example.manifest=2",
        "manifest-descriptor:org.example.entry=3",
    ] {
        options.annotations.add_option(text).unwrap();
    }
    let export = Export {
        variants: &[Variant {
            image: &image,
            attestations: &attestations,
        }],
        names: &names(),
        options: &options,
    };
    let bundle = export.bundle(&test.store).unwrap();
    let directory = test.directory.path().join("layout");
    save_directory(&test.store, &bundle, &names(), &directory).unwrap();

    let layout: Value =
        serde_json::from_slice(&fs_err::read(directory.join("index.json")).unwrap()).unwrap();
    let index = read(&directory, &layout["manifests"][0]["digest"]);
    assert_eq!(index["annotations"]["org.example.index"], "1");
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["annotations"]["org.example.entry"], "3");
    assert_eq!(
        read(&directory, &entries[0]["digest"])["annotations"]["org.example.manifest"],
        "2"
    );
    let entry = &entries[1];
    assert_eq!(
        (&entry["platform"]["os"], &entry["platform"]["architecture"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(
        entry["annotations"]["vnd.docker.reference.type"],
        "attestation-manifest"
    );
    assert_eq!(
        entry["annotations"]["vnd.docker.reference.digest"],
        entries[0]["digest"]
    );
    let manifest = read(&directory, &entry["digest"]);
    assert_eq!(manifest["subject"]["digest"], entries[0]["digest"]);
    let statement = read(&directory, &manifest["layers"][0]["digest"]);
    assert_eq!(statement["predicateType"], "https://spdx.dev/Document");
    let subject = &statement["subject"][0];
    assert!(
        subject["name"]
            .as_str()
            .unwrap()
            .starts_with("pkg:docker/acme/web@v1?platform=linux%2F")
    );

    // The image is still an image, for others and for us.
    let source = format!("oci:{}:v1", directory.display());
    let copy = format!("dir:{}", test.directory.path().join("copy").display());
    skopeo(&["copy", "--insecure-policy", &source, &copy]);
    let other = TestStore::new();
    load_directory(&other.store, &directory).unwrap();
    let found = other.store.find_image("acme/web:v1").unwrap().unwrap();
    assert_eq!(found.layers.len(), 2);
}

#[test]
fn compressions_are_of_layers_made_here_unless_forced() {
    let test = TestStore::new();
    let first = image(&test);
    let zstd = CompressionOptions {
        kind: Some(Compression::Zstd),
        ..CompressionOptions::default()
    };
    assert_eq!(media_types(&test, &first, zstd), ["zstd", "zstd"]);
    let plain = CompressionOptions {
        kind: Some(Compression::None),
        ..CompressionOptions::default()
    };
    assert_eq!(media_types(&test, &first, plain), ["tar", "tar"]);

    // The same image from elsewhere keeps what it came with.
    let mut archive = Vec::new();
    let named = howdah_image::archive::NamedImage {
        images: vec![first],
        references: names().to_vec(),
    };
    howdah_image::archive::save(
        &test.store,
        &[named],
        &mut archive,
        &ExportOptions::default(),
    )
    .unwrap();
    let other = TestStore::new();
    howdah_image::archive::load(&other.store, archive.as_slice()).unwrap();
    let received = other.store.find_image("acme/web:v1").unwrap().unwrap();
    assert_eq!(media_types(&other, &received, zstd), ["gzip", "gzip"]);
    let forced = CompressionOptions {
        force: true,
        ..zstd
    };
    assert_eq!(media_types(&other, &received, forced), ["zstd", "zstd"]);
}

#[test]
fn what_docker_types_cannot_say_is_refused() {
    let test = TestStore::new();
    let image = image(&test);
    let attestations = [attestation()];
    let bundle = |options: &ExportOptions, attestations: &[Attestation]| {
        let export = Export {
            variants: &[Variant {
                image: &image,
                attestations,
            }],
            names: &[],
            options,
        };
        export.bundle(&test.store)
    };
    let docker = ExportOptions {
        docker_types: true,
        ..ExportOptions::default()
    };
    let made = bundle(&docker, &[]).unwrap();
    assert_eq!(
        made.root().media_type,
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert!(matches!(
        bundle(&docker, &attestations),
        Err(ExportError::DockerTypes(_))
    ));
    let mut annotated = ExportOptions::default();
    annotated.annotations.add_option("index:a=1").unwrap();
    assert!(matches!(
        bundle(&annotated, &[]),
        Err(ExportError::NoIndex(_))
    ));
    assert!(bundle(&annotated, &attestations).is_ok());
}
