//! The store among processes that come, write at the same time and are killed.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    clippy::print_stdout,
    reason = "this whole program is a test"
)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{TestStore, whiteout, write};
use howdah_image::layer::{Limits, PackOptions, pack, unpack};
use howdah_image::{ImageConfig, Layer, SnapshotId, Store, StoreError};

/// Tells [`writer_process`] which store to write to.
const STORE: &str = "HOWDAH_IMAGE_TEST_STORE";

/// Not a test of its own: the body of the processes that the others start (and kill), which are this same program.
#[test]
fn writer_process() {
    let Some(root) = std::env::var_os(STORE) else {
        return;
    };
    for round in 0.. {
        let store = Store::open(Path::new(&root)).unwrap();
        let staging = store.stage().unwrap();
        for number in 0..20 {
            write(
                staging.upper(),
                &format!("d{number}/file"),
                &"x".repeat(number * 100),
            );
        }
        let id = SnapshotId::random();
        staging.seal(&id).unwrap();
        let config = ImageConfig {
            author: Some(format!("{}-{round}", std::process::id())),
            ..ImageConfig::default()
        };
        let image = store
            .save_image(
                config,
                vec![Layer {
                    snapshots: vec![id],
                }],
            )
            .unwrap();
        store
            .tag(&image.id, &"shared:tag".parse().unwrap())
            .unwrap();
        println!("round");
    }
}

fn start_writer(root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(STORE, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the writer has gone through some rounds. Keeps the pipe open, so that only the kill ends the writer.
fn wait_for_rounds(child: &mut Child, rounds: usize) {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let seen = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("round"));
    assert_eq!(seen.take(rounds).count(), rounds);
}

fn entries(path: &Path) -> Vec<String> {
    let names = fs_err::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".gate").collect()
}

#[test]
fn killed_processes_leave_a_whole_store() {
    let test = TestStore::new();
    let root = test.store.root().to_owned();
    for rounds in [1, 2, 3, 5, 8] {
        let mut writers = [
            start_writer(&root),
            start_writer(&root),
            start_writer(&root),
        ];
        for writer in &mut writers {
            wait_for_rounds(writer, rounds);
        }
        // kill -9, wherever each of them is.
        for writer in &mut writers {
            writer.kill().unwrap();
        }
        for writer in &mut writers {
            assert!(!writer.wait().unwrap().success());
        }
    }
    let store = Store::open(&root).unwrap();
    assert!(entries(&root.join("tmp")).is_empty());
    let images = store.images().unwrap();
    assert!(images.len() >= 3 * (1 + 2 + 3 + 5 + 8), "{}", images.len());
    for summary in &images {
        let image = store.find_image(&summary.id.to_string()).unwrap().unwrap();
        for lower in image.lowers(&store) {
            assert_eq!(entries(&lower).len(), 20);
        }
    }
    let check: String = store
        .database()
        .with(|c| c.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn staging_of_the_living_is_left_alone() {
    let test = TestStore::new();
    let staging = test.store.stage().unwrap();
    drop(Store::open(test.store.root()).unwrap());
    assert!(staging.upper().is_dir() && staging.work().is_dir());
    drop(staging);
    assert!(entries(&test.store.root().join("tmp")).is_empty());
}

#[test]
fn the_first_seal_wins_and_a_missing_snapshot_is_told() {
    let test = TestStore::new();
    let id = test.snapshot(|root| drop(write(root, "first", "1")));
    let second = test.store.stage().unwrap();
    write(second.upper(), "second", "2");
    second.seal(&id).unwrap();
    assert_eq!(entries(&test.store.snapshot_path(&id)), ["first"]);
    let missing = vec![Layer {
        snapshots: vec![SnapshotId::random()],
    }];
    assert!(matches!(
        test.store.save_image(ImageConfig::default(), missing),
        Err(StoreError::NoSnapshot(_))
    ));
}

#[test]
fn an_image_that_lost_a_snapshot_is_listed_and_removed() {
    let test = TestStore::new();
    let snapshot = test.snapshot(|root| drop(write(root, "a", "1")));
    let image = test.image(vec![vec![snapshot.clone()]]);
    fs_err::remove_dir_all(test.store.snapshot_path(&snapshot)).unwrap();
    assert_eq!(test.store.images().unwrap()[0].size, 0);
    test.store.remove_image(&image.id).unwrap();
    assert!(test.store.images().unwrap().is_empty());
}

#[test]
fn images_are_found_by_name_id_and_prefix() {
    let test = TestStore::new();
    let snapshot = test.snapshot(|root| whiteout(root, "gone"));
    let image = test.image(vec![vec![snapshot]]);
    let store = &test.store;
    store
        .tag(&image.id, &"acme/web:v1".parse().unwrap())
        .unwrap();
    let hex = image.id.hex();
    for name in [
        "acme/web:v1",
        "docker.io/acme/web:v1",
        &image.id.to_string(),
        &hex,
        &hex[..12],
    ] {
        assert_eq!(
            store.find_image(name).unwrap().as_ref(),
            Some(&image),
            "{name}"
        );
    }
    for name in ["acme/web", "", "Not a name", &"0".repeat(64)] {
        assert_eq!(store.find_image(name).unwrap(), None, "{name}");
    }
    // Many images, so that some share a first digit.
    for number in 0..40 {
        let config = ImageConfig {
            author: Some(number.to_string()),
            ..ImageConfig::default()
        };
        store.save_image(config, Vec::new()).unwrap();
    }
    let ambiguous = (0..256)
        .map(|byte| format!("{byte:02x}"))
        .filter(|prefix| matches!(store.find_image(prefix), Err(StoreError::AmbiguousId(_))))
        .count();
    assert!(ambiguous > 0);
    assert!(store.untag(&"acme/web:v1".parse().unwrap()).unwrap());
    assert!(!store.untag(&"acme/web:v1".parse().unwrap()).unwrap());
    store.remove_image(&image.id).unwrap();
    assert_eq!(store.find_image(&hex).unwrap(), None);
}

/// A filesystem of a few megabytes, unmounted on drop.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(status.unwrap().success());
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_done() {
    let source = TestStore::new();
    let snapshot = source.snapshot(|root| drop(write(root, "large", &"x".repeat(8 << 20))));
    let mut tar = Vec::new();
    pack(
        &source.store,
        &[Layer {
            snapshots: vec![snapshot],
        }],
        &mut tar,
        &PackOptions::default(),
    )
    .unwrap();
    let disk = SmallDisk::mount();
    let store = Store::open(disk.0.path()).unwrap();
    let staging = store.stage().unwrap();
    let error = unpack(tar.as_slice(), staging.upper(), &Limits::default()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("No space left on device"),
        "{error}: {cause}"
    );
    drop(staging);
    assert!(entries(&store.root().join("tmp")).is_empty());
    // With the space back, the store works. It is back a moment later when another test forks meanwhile: its child holds
    // the removed file open until it executes its program.
    let staging = store.stage().unwrap();
    let small = staging.upper().join("small");
    let (_silent, moment) = std::sync::mpsc::channel::<()>();
    let written = (0..100).any(|_| {
        let written = fs_err::write(&small, "x").is_ok();
        written || moment.recv_timeout(Duration::from_millis(50)).is_ok()
    });
    assert!(written, "the space does not come back");
    staging.seal(&SnapshotId::random()).unwrap();
}
