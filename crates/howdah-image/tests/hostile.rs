//! Archives made to harm: none touches anything outside of its directory, and each is refused with words.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "this whole program is a test"
)]

mod common;

use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use common::describe;
use howdah_image::layer::{LayerError, Limits, unpack};
use tar::{EntryType, Header};

/// A tar whose names and links are written as they are, without the `tar` crate's checks.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn add(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(data.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str) -> Self {
        self.add(EntryType::Regular, name, "", b"evil")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, name, target, b"")
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Unpacks into `<temp>/inside`, and checks that nothing beside it changed.
fn unpack_checked(archive: &[u8], check: impl FnOnce(&Path, Result<(), LayerError>)) {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("inside");
    fs_err::create_dir(&inside).unwrap();
    common::write(directory.path(), "outside/victim", "untouched");
    let before = describe(&directory.path().join("outside"));
    check(
        &inside,
        unpack(
            archive,
            &inside,
            &Limits {
                bytes: 10 << 20,
                entries: 1000,
            },
        )
        .map(drop),
    );
    assert_eq!(describe(&directory.path().join("outside")), before);
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn parent_components_are_refused() {
    for name in [
        "../outside/victim",
        "a/../../outside/victim",
        "..",
        "/../../x",
        "./..",
    ] {
        unpack_checked(&Archive::default().file(name).end(), |_, result| {
            assert!(matches!(result, Err(LayerError::Escape(_))), "{name}");
        });
    }
}

#[test]
fn absolute_paths_are_taken_relative_to_the_layer() {
    unpack_checked(
        &Archive::default().file("/etc/howdah-test").end(),
        |inside, result| {
            result.unwrap();
            assert!(
                inside.join("etc/howdah-test").is_file() && !Path::new("/etc/howdah-test").exists()
            );
        },
    );
}

#[test]
fn links_in_parents_lead_to_places_inside() {
    for target in [
        "../outside",
        "/../outside",
        "../../../../../../../../tmp",
        "/tmp",
    ] {
        let archive = Archive::default()
            .symlink("link", target)
            .file("link/howdah-evil")
            .end();
        unpack_checked(&archive, |inside, _| {
            assert!(!Path::new("/tmp/howdah-evil").exists());
            assert!(inside.join("link").is_symlink());
        });
    }
    // Contained, it works as in a container.
    let archive = Archive::default()
        .add(EntryType::Directory, "usr/lib", "", b"")
        .symlink("lib", "/usr/lib")
        .file("lib/file")
        .end();
    unpack_checked(&archive, |inside, result| {
        result.unwrap();
        assert!(inside.join("usr/lib/file").is_file());
    });
}

#[test]
fn links_of_proc_are_not_followed() {
    let archive = Archive::default()
        .symlink("link", "/proc/self/root/tmp")
        .file("link/howdah-evil")
        .end();
    unpack_checked(&archive, |_, _| {
        assert!(!Path::new("/tmp/howdah-evil").exists());
    });
}

#[test]
fn a_file_replaces_a_link_instead_of_writing_through_it() {
    let archive = Archive::default()
        .symlink("victim", "../outside/victim")
        .file("victim")
        .end();
    unpack_checked(&archive, |inside, result| {
        result.unwrap();
        assert_eq!(
            fs_err::read_to_string(inside.join("victim")).unwrap(),
            "evil"
        );
    });
}

#[test]
fn a_link_that_replaces_an_entered_directory_is_not_entered_by_its_old_descriptor() {
    let archive = Archive::default()
        .file("d/a")
        .symlink("d", "e")
        .file("d/b")
        .end();
    unpack_checked(&archive, |inside, result| {
        // `e` does not exist, so there is nothing behind the link.
        assert!(result.is_err());
        assert!(!inside.join("d/b").exists());
    });
}

#[test]
fn hard_links_reach_only_files_of_the_layer() {
    for target in ["../outside/victim", "/etc/passwd", "missing"] {
        let archive = Archive::default()
            .add(EntryType::Link, "hard", target, b"")
            .end();
        unpack_checked(&archive, |inside, result| {
            assert!(result.is_err(), "{target}");
            assert!(!inside.join("hard").exists());
        });
    }
    // Through a symbolic link of the archive: the parent is contained, the link itself is not followed.
    let archive = Archive::default()
        .symlink("out", "../outside")
        .add(EntryType::Link, "hard", "out/victim", b"")
        .end();
    unpack_checked(&archive, |_, result| assert!(result.is_err()));
    let archive = Archive::default()
        .symlink("to", "/etc/passwd")
        .add(EntryType::Link, "hard", "to", b"")
        .end();
    unpack_checked(&archive, |inside, result| {
        result.unwrap();
        assert!(inside.join("hard").is_symlink());
    });
}

#[test]
fn whiteouts_hide_only_beside_themselves() {
    for name in [".wh...", ".wh..", ".wh."] {
        let archive = Archive::default().file(&format!("d/{name}")).end();
        unpack_checked(&archive, |_, result| assert!(result.is_err(), "{name}"));
    }
    let archive = Archive::default()
        .file("a")
        .file(".wh.a")
        .file(".wh.b")
        .file("d/x")
        .file(".wh.d")
        .end();
    unpack_checked(&archive, |inside, result| {
        result.unwrap();
        assert!(inside.join("a").is_file());
        let hidden = inside.join("b").symlink_metadata().unwrap();
        assert!(hidden.file_type().is_char_device() && hidden.rdev() == 0);
        assert_eq!(
            xattr::get(inside.join("d"), "trusted.overlay.opaque")
                .unwrap()
                .unwrap(),
            b"y"
        );
    });
}

#[test]
fn overlay_attributes_of_the_archive_are_left_out() {
    let mut builder = tar::Builder::new(Vec::new());
    let records = [
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc".as_slice()),
        ("SCHILY.xattr.user.fine", b"1"),
    ];
    builder.append_pax_extensions(records).unwrap();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    builder
        .append_data(&mut header, "d", std::io::empty())
        .unwrap();
    let archive = builder.into_inner().unwrap();
    unpack_checked(&archive, |inside, result| {
        result.unwrap();
        assert_eq!(
            xattr::get(inside.join("d"), "trusted.overlay.redirect").unwrap(),
            None
        );
        assert_eq!(
            xattr::get(inside.join("d"), "user.fine").unwrap().unwrap(),
            b"1"
        );
    });
}

#[test]
fn bombs_meet_limits() {
    let mut many = Archive::default();
    for number in 0..1001 {
        many = many.add(EntryType::Char, &format!("device{number}"), "", b"");
    }
    unpack_checked(&many.end(), |_, result| {
        assert!(matches!(
            result,
            Err(LayerError::TooLarge {
                what: "entries",
                limit: 1000
            })
        ));
    });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 11 << 20];
    encoder
        .write_all(
            &Archive::default()
                .add(EntryType::Regular, "zeros", "", &zeros)
                .end(),
        )
        .unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    unpack_checked(&bomb, |_, result| {
        assert!(matches!(
            result,
            Err(LayerError::TooLarge { what: "bytes", .. })
        ));
    });
}

#[test]
fn damage_is_told() {
    let good = Archive::default().file("a").end();
    for (bytes, word) in [
        (
            b"this is no tar archive, but it is longer than one block".repeat(20),
            "not a valid tar",
        ),
        (good[..600].to_vec(), "not a valid tar"),
        (b"\xfd7zXZ\0 and so on".to_vec(), "xz"),
    ] {
        unpack_checked(&bytes, |_, result| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        });
    }
    // Cut short inside the gzip stream.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&good).unwrap();
    let compressed = encoder.finish().unwrap();
    unpack_checked(&compressed[..compressed.len() - 9], |_, result| {
        assert!(result.is_err());
    });
}
