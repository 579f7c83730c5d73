//! The format against itself and against GNU tar.

use std::io::Read;
use std::process::Command;

use super::{Entries, Kind, Metadata, TarError, Writer};

fn file(path: &str, size: u64) -> Metadata {
    Metadata {
        path: path.as_bytes().to_vec(),
        kind: Kind::File,
        link: Vec::new(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (1, 0),
        device: (0, 0),
        size,
        xattrs: Vec::new(),
    }
}

fn write(entries: &[(Metadata, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (metadata, data) in entries {
        writer.append(metadata, *data).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read() {
    let long = format!("{}/{}", "d".repeat(160), "n".repeat(120));
    let split = format!("{}/{}", "d".repeat(90), "n".repeat(90));
    let entries = [
        Metadata {
            xattrs: vec![(b"security.capability".to_vec(), b"\x01\n\0=\xff".to_vec())],
            ..file("cap", 2)
        },
        Metadata {
            uid: 3_000_000,
            gid: u64::from(u32::MAX) - 1,
            mtime: (-5, 0),
            mode: 0o6755,
            ..file(&long, 0)
        },
        file(&split, 0),
        Metadata {
            kind: Kind::Directory,
            ..file("dir", 0)
        },
        Metadata {
            kind: Kind::Symlink,
            link: vec![b'l'; 300],
            ..file("link", 0)
        },
        Metadata {
            kind: Kind::CharacterDevice,
            device: (5, 1),
            ..file("dev", 0)
        },
    ];
    let archive = write(&entries.clone().map(|metadata| (metadata, b"ab".as_slice())));
    let mut reader = Entries::new(archive.as_slice(), u64::MAX);
    for mut expected in entries {
        let found = reader.next().unwrap().unwrap().metadata;
        if expected.kind == Kind::Directory {
            expected.path.push(b'/');
        }
        assert_eq!(found, expected);
    }
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn damaged_archives_are_refused() {
    let archive = write(&[(file("a", 600), &[7; 600])]);
    let read_all = |bytes: &[u8], limit| -> Result<(), TarError> {
        let mut reader = Entries::new(bytes, limit);
        while reader.next()?.is_some() {}
        reader.drain()
    };
    assert!(read_all(&archive, u64::MAX).is_ok());
    assert!(matches!(
        read_all(&archive[..700], u64::MAX),
        Err(TarError::Truncated)
    ));
    assert!(matches!(
        read_all(&archive[..100], u64::MAX),
        Err(TarError::Truncated)
    ));
    assert!(matches!(
        read_all(&archive, 1000),
        Err(TarError::TooLarge(1000))
    ));
    let mut damaged = archive.clone();
    damaged[0] ^= 1;
    assert!(matches!(
        read_all(&damaged, u64::MAX),
        Err(TarError::Checksum(0))
    ));
}

#[test]
fn an_endless_name_is_refused_before_it_fills_memory() {
    let mut archive = write(&[(file("a", 64 << 20), &vec![b'n'; 64 << 20])]);
    archive[super::header::TYPE] = b'L';
    let mut header = super::header::Header(archive[..512].try_into().unwrap());
    header.seal();
    archive[..512].copy_from_slice(&header.0);
    let error = Entries::new(archive.as_slice(), u64::MAX)
        .next()
        .unwrap_err();
    assert!(matches!(error, TarError::Malformed { .. }), "{error}");
}

#[test]
fn reads_the_sparse_formats_of_gnu_tar() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holes");
    let holes = fs_err::File::create(&path).unwrap();
    for piece in 0_u64..30 {
        std::os::unix::fs::FileExt::write_all_at(holes.file(), b"data", piece * 1_000_000).unwrap();
    }
    holes.set_len(40_000_000).unwrap();
    let name = "n".repeat(200);
    fs_err::rename(&path, directory.path().join(&name)).unwrap();
    for format in [
        "--format=gnu",
        "--format=pax --sparse-version=0.0",
        "--format=pax --sparse-version=0.1",
        "--format=pax --sparse-version=1.0",
    ] {
        let output = Command::new("tar")
            .args(["-S", "-c"])
            .args(format.split(' '))
            .arg(&name)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(output.stdout.len() < 1_000_000, "{format} is not sparse");
        let mut reader = Entries::new(output.stdout.as_slice(), u64::MAX);
        let entry = reader.next().unwrap().unwrap();
        assert_eq!(
            (entry.metadata.path.as_slice(), entry.metadata.size),
            (name.as_bytes(), 40_000_000),
            "{format}"
        );
        let map = entry.sparse.unwrap();
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data).unwrap();
        let first = map.pieces.iter().rfind(|piece| piece.1 > 0).unwrap();
        assert_eq!(first.0, 29_000_000 / 4096 * 4096, "{format}");
        assert_eq!(
            data.windows(4).filter(|window| window == b"data").count(),
            30,
            "{format}"
        );
        assert!(reader.next().unwrap().is_none());
    }
}
