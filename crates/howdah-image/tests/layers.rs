//! Layers both ways on real filesystems: what is packed and unpacked looks to overlayfs like what was there.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod common;

use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use common::{TestStore, describe, make_opaque, set_mode, whiteout, write};
use howdah_image::layer::{Limits, PackOptions, pack, unpack};
use howdah_image::{Digest, Layer, SnapshotId};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

fn packed(test: &TestStore, snapshots: &[SnapshotId], options: &PackOptions) -> Vec<u8> {
    packed_over(test, &[], snapshots, options)
}

fn packed_over(
    test: &TestStore,
    base: &[SnapshotId],
    snapshots: &[SnapshotId],
    options: &PackOptions,
) -> Vec<u8> {
    let mut stack: Vec<Layer> = base
        .iter()
        .map(|id| Layer {
            snapshots: vec![id.clone()],
        })
        .collect();
    stack.push(Layer {
        snapshots: snapshots.to_vec(),
    });
    let mut tar = Vec::new();
    pack(&test.store, &stack, &mut tar, options).unwrap();
    tar
}

fn paths_in(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(Cursor::new(tar));
    archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

/// An overlay of read-only lowers, lowest first, unmounted on drop.
struct Overlay {
    target: tempfile::TempDir,
}

impl Overlay {
    fn mount(lowers: &[PathBuf]) -> Self {
        let target = tempfile::tempdir().unwrap();
        let highest_first: Vec<String> = lowers
            .iter()
            .rev()
            .map(|path| path.display().to_string())
            .collect();
        let options = format!("lowerdir={}", highest_first.join(":"));
        let status = std::process::Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(target.path())
            .status();
        assert!(status.unwrap().success());
        Self { target }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        rustix::mount::unmount(self.target.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

/// Everything a layer can hold.
fn fill_with_everything(root: &Path) {
    let program = write(root, "usr/bin/program", "ELF");
    rustix::fs::chownat(
        CWD,
        &program,
        Some(rustix::fs::Uid::from_raw(1000)),
        None,
        AtFlags::empty(),
    )
    .unwrap();
    set_mode(&program, 0o6755);
    let ping = write(root, "usr/bin/ping", "ping");
    // VFS_CAP_REVISION_2 with cap_net_raw (capabilities(7)).
    xattr::set(
        &ping,
        "security.capability",
        &[
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    )
    .unwrap();
    fs_err::hard_link(root.join("usr/bin/ping"), root.join("usr/bin/ping6")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../outside", root.join("usr/relative")).unwrap();
    write(
        root,
        &format!("long/{}/{}", "d".repeat(180), "f".repeat(200)),
        "x",
    );
    write(root, "name with spaces and ümlaut", "x");
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(CWD, root.join(name), kind, rustix::fs::Mode::RUSR, device).unwrap();
    };
    node("fifo", rustix::fs::FileType::Fifo, 0);
    node(
        "null",
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    node(
        "loop",
        rustix::fs::FileType::BlockDevice,
        rustix::fs::makedev(7, 1),
    );
    fs_err::create_dir(root.join("closed")).unwrap();
    set_mode(&root.join("closed"), 0o1700);
    let time = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, root.join("closed"), &times, AtFlags::empty()).unwrap();
}

#[test]
fn everything_a_layer_can_hold_survives() {
    let test = TestStore::new();
    let snapshot = test.snapshot(fill_with_everything);
    let tar = packed(
        &test,
        std::slice::from_ref(&snapshot),
        &PackOptions::default(),
    );
    for archive in [tar.clone(), zstd::encode_all(tar.as_slice(), 1).unwrap()] {
        let copy = tempfile::tempdir().unwrap();
        let diff_id = unpack(archive.as_slice(), copy.path(), &Limits::default()).unwrap();
        assert_eq!(diff_id, Digest::of(&tar));
        assert_eq!(
            describe(copy.path()),
            describe(&test.store.snapshot_path(&snapshot))
        );
    }
}

#[test]
fn of_the_attributes_only_capabilities_leave() {
    let test = TestStore::new();
    let snapshot = test.snapshot(|root| {
        fill_with_everything(root);
        xattr::set(root.join("usr/bin/ping"), "user.note", b"mine").unwrap();
        xattr::set(root.join("closed"), "user.note", b"mine").unwrap();
    });
    let plain = test.snapshot(fill_with_everything);
    let options = PackOptions::default();
    assert_eq!(
        packed(&test, &[snapshot], &options),
        packed(&test, &[plain], &options)
    );
}

#[test]
fn gnu_tar_reads_what_is_packed() {
    let test = TestStore::new();
    let snapshot = test.snapshot(fill_with_everything);
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("layer.tar");
    fs_err::write(
        &archive,
        packed(
            &test,
            std::slice::from_ref(&snapshot),
            &PackOptions::default(),
        ),
    )
    .unwrap();
    let copy = directory.path().join("copy");
    fs_err::create_dir(&copy).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(&archive)
        .arg("-C")
        .arg(&copy);
    assert!(tar.status().unwrap().success());
    assert_eq!(
        describe(&copy),
        describe(&test.store.snapshot_path(&snapshot))
    );
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_times_are_clamped() {
    let test = TestStore::new();
    let fill = |root: &Path| {
        for name in ["b", "a/z", "a/b", "c"] {
            let path = write(root, name, name);
            let time = Timespec {
                tv_sec: 2_000_000_000,
                tv_nsec: 123,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
        }
    };
    let (first, second) = (test.snapshot(fill), test.snapshot(fill));
    let options = PackOptions {
        epoch: Some(1_500_000_000),
    };
    let tar = packed(&test, &[first], &options);
    assert_eq!(tar, packed(&test, &[second], &options));
    assert_eq!(paths_in(&tar), ["a/", "a/b", "a/z", "b", "c"]);
    let mut archive = tar::Archive::new(tar.as_slice());
    assert!(
        archive
            .entries()
            .unwrap()
            .all(|entry| entry.unwrap().header().mtime().unwrap() == 1_500_000_000)
    );
}

#[test]
fn times_that_a_running_machine_gave_become_the_epoch() {
    let test = TestStore::new();
    let snapshot = test.snapshot(|root| {
        for (name, seconds, nanoseconds) in [
            ("unpacked", 900, 0),
            ("checked-out", 900, 1),
            ("epoch", 1000, 0),
            ("younger", 1001, 0),
        ] {
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            let path = write(root, name, "x");
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
        }
    });
    let times = |epoch| {
        let tar = packed(
            &test,
            std::slice::from_ref(&snapshot),
            &PackOptions { epoch },
        );
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| entry.unwrap().header().mtime().unwrap())
            .collect::<Vec<_>>()
    };
    // In the order of names: checked-out, epoch, unpacked, younger.
    assert_eq!(times(Some(1000)), [1000, 1000, 900, 1000]);
    assert_eq!(times(None), [900, 1000, 900, 1001]);
}

/// The base layer, and three snapshots that are together one layer over it.
fn delta_chain(test: &TestStore) -> (SnapshotId, [SnapshotId; 3]) {
    let base = test.snapshot(|root| {
        for name in [
            "kept",
            "gone",
            "replaced",
            "d/below",
            "o/below",
            "w/below",
            "f",
            "g/deep/below",
            "h/below",
        ] {
            write(root, name, "base");
        }
    });
    let first = test.snapshot(|root| {
        for name in [
            "gone",
            "d/first",
            "o/first",
            "only-first",
            "x/a",
            "g/deep/first",
            "was-directory/x",
        ] {
            write(root, name, "first");
        }
        whiteout(root, "w");
        for name in ["linked", "linked-too"] {
            fs_err::hard_link(root.join("only-first"), root.join(name)).unwrap();
        }
        write(root, "h", "a file over a directory of the base");
    });
    let second = test.snapshot(|root| {
        whiteout(root, "gone");
        whiteout(root, "only-first");
        whiteout(root, "d/below");
        make_opaque(root, "o");
        write(root, "o/second", "second");
        write(root, "replaced", "second");
        // Without an opaque mark: the whiteout of the first delta hides the base's directory.
        write(root, "w/second", "second");
        whiteout(root, "x");
        write(root, "was-directory", "now a file");
        fs_err::create_dir(root.join("h")).unwrap();
    });
    let third = test.snapshot(|root| {
        write(root, "gone", "third");
        write(root, "x/b", "third");
        write(root, "h/third", "third");
        whiteout(root, "g/deep");
    });
    (base, [first, second, third])
}

#[test]
fn merged_deltas_look_to_overlayfs_like_the_deltas() {
    let test = TestStore::new();
    let (base, deltas) = delta_chain(&test);
    let path = |id: &SnapshotId| test.store.snapshot_path(id);
    let merged = tempfile::tempdir().unwrap();
    let tar = packed_over(
        &test,
        std::slice::from_ref(&base),
        &deltas,
        &PackOptions::default(),
    );
    unpack(tar.as_slice(), merged.path(), &Limits::default()).unwrap();
    let with_deltas = Overlay::mount(&[
        path(&base),
        path(&deltas[0]),
        path(&deltas[1]),
        path(&deltas[2]),
    ]);
    let with_merged = Overlay::mount(&[path(&base), merged.path().to_owned()]);
    let expected = describe(with_deltas.target.path());
    assert_eq!(describe(with_merged.target.path()), expected);
    assert!(
        expected.contains_key("w/second")
            && !expected.contains_key("w/below")
            && !expected.contains_key("g/deep")
    );
}

#[test]
fn whiteouts_stay_where_they_hide_something() {
    let test = TestStore::new();
    let (base, deltas) = delta_chain(&test);
    let has = |below: &[SnapshotId], name: &str| {
        let paths = paths_in(&packed_over(&test, below, &deltas, &PackOptions::default()));
        paths.iter().any(|path| path == name)
    };
    let over_base = |name: &str| has(std::slice::from_ref(&base), name);
    assert!(over_base("d/.wh.below") && over_base("g/.wh.deep"));
    // It hid a file of the first delta; overlayfs would show it as a broken file in a directory of its own.
    assert!(!over_base(".wh.only-first"));
    assert!(!has(&[], "d/.wh.below") && !has(&[], "g/.wh.deep"));
    assert!(over_base("o/.wh..wh..opq") && !over_base("o/first"));
    assert!(over_base("w/.wh..wh..opq") && over_base("h/.wh..wh..opq"));
    // The base has no such directory: the tar of a build that never had the earlier deltas says nothing of it.
    assert!(over_base("x/b") && !over_base("x/.wh..wh..opq") && !over_base("x/a"));
    assert!(over_base("gone") && !over_base(".wh.gone"));
    // Hidden by a middle layer: there is nothing left to hide.
    let hiding = test.snapshot(|root| {
        make_opaque(root, "d");
        whiteout(root, "g");
    });
    assert!(
        !has(&[base.clone(), hiding.clone()], "d/.wh.below")
            && !has(&[base.clone(), hiding], "g/.wh.deep")
    );
}

#[test]
fn a_whiteout_in_an_opaque_directory_goes() {
    let test = TestStore::new();
    let base = test.snapshot(|root| drop(write(root, "o/inner/below", "x")));
    let snapshot = test.snapshot(|root| {
        make_opaque(root, "o");
        whiteout(root, "o/nothing");
        make_opaque(root, "o/inner");
    });
    let paths = |base: &[SnapshotId]| {
        paths_in(&packed_over(
            &test,
            base,
            std::slice::from_ref(&snapshot),
            &PackOptions::default(),
        ))
    };
    assert_eq!(paths(&[base]), ["o/", "o/.wh..wh..opq", "o/inner/"]);
    // Overlayfs marks new directories so; over nothing they say nothing.
    assert_eq!(paths(&[]), ["o/", "o/inner/"]);
}

#[test]
fn whiteouts_that_share_an_inode_are_no_hard_links() {
    let test = TestStore::new();
    let base = test.snapshot(|root| {
        for name in ["a", "b"] {
            write(root, name, "base");
        }
    });
    let snapshot = test.snapshot(|root| {
        whiteout(root, "a");
        fs_err::hard_link(root.join("a"), root.join("b")).unwrap();
        assert_eq!(root.join("b").symlink_metadata().unwrap().nlink(), 2);
    });
    assert_eq!(
        paths_in(&packed_over(
            &test,
            &[base],
            &[snapshot],
            &PackOptions::default()
        )),
        [".wh.a", ".wh.b"]
    );
}

#[test]
fn a_name_that_would_read_as_a_whiteout_is_left_out() {
    let test = TestStore::new();
    let snapshot = test.snapshot(|root| {
        write(root, ".wh.evil", "x");
        write(root, "kept", "y");
    });
    assert_eq!(
        paths_in(&packed(&test, &[snapshot], &PackOptions::default())),
        ["kept"]
    );
}
