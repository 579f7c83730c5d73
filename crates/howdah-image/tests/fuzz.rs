//! Mutated layers, indexes, manifests and configurations: none may panic, hang or leave its place.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::path::{Path, PathBuf};

use howdah_fuzz::{Campaign, run};
use howdah_image::layer::{Limits, unpack};
use howdah_image::{Digest, ImageConfig, Index, Manifest, Store, archive};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name)
}

/// Makes the checksums of all headers right, so that more than the first header is read.
fn mend_checksums(tar: &mut [u8]) {
    for header in tar
        .chunks_exact_mut(512)
        .filter(|header| header[257..262] == *b"ustar")
    {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn layers() {
    let words = [
        "../",
        "/",
        "..",
        ".wh.",
        ".wh..wh..opq",
        "./",
        "ustar",
        "\0",
        "00000000000",
        "77777777777",
        "12 path=../x\n",
        "20 size=99999999999\n",
        "GNU.sparse.map",
        "SCHILY.xattr.security.capability=",
        "LIBARCHIVE.",
    ];
    let directory = tempfile::tempdir().unwrap();
    let corpus = corpus("tar");
    let campaign = Campaign {
        corpus: &corpus,
        words: &words,
    };
    let limits = Limits {
        bytes: 1 << 20,
        entries: 1000,
    };
    run(&campaign, |input| {
        let mut mended = input.to_vec();
        mend_checksums(&mut mended);
        let outside = directory.path().join("outside");
        let inside = outside.join("inside");
        fs_err::create_dir_all(&inside).unwrap();
        // Most are refused somewhere; nothing may be written elsewhere.
        unpack(mended.as_slice(), &inside, &limits).ok();
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 1);
        fs_err::remove_dir_all(&outside).unwrap();
    });
}

/// An OCI layout around one mutated document.
struct Layout {
    directory: tempfile::TempDir,
    store: Store,
}

impl Layout {
    fn new() -> Layout {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        fs_err::create_dir_all(directory.path().join("layout/blobs/sha256")).unwrap();
        let layout = Layout { directory, store };
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs_err::write(self.directory.path().join("layout").join(name), bytes).unwrap();
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.write(&format!("blobs/sha256/{}", digest.hex()), bytes);
        digest
    }

    /// An index whose only manifest is this one.
    fn index_of(&self, manifest: &[u8]) {
        let digest = self.blob(manifest);
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{}}}]}}"#,
            manifest.len()
        );
        self.write("index.json", text.as_bytes());
    }

    /// A manifest whose configuration is this one.
    fn manifest_of(&self, config: &[u8]) {
        let digest = self.blob(config);
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
            config.len()
        );
        self.index_of(text.as_bytes());
    }

    fn load(&self) {
        archive::load_directory(&self.store, &self.directory.path().join("layout")).ok();
        // Blobs of this input say nothing about the next.
        let blobs = self.directory.path().join("layout/blobs/sha256");
        fs_err::remove_dir_all(&blobs).unwrap();
        fs_err::create_dir(&blobs).unwrap();
    }
}

const JSON: [&str; 18] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-1",
    "1e400",
    "\\u0000",
    "\\ud800",
    "sha256:",
    "sha512:",
    "digest",
    "size",
    "mediaType",
];

#[test]
fn indexes() {
    let layout = Layout::new();
    let corpus = corpus("index");
    run(
        &Campaign {
            corpus: &corpus,
            words: &JSON,
        },
        |input| {
            drop(serde_json::from_slice::<Index>(input));
            layout.write("index.json", input);
            layout.load();
        },
    );
}

#[test]
fn manifests() {
    let layout = Layout::new();
    let corpus = corpus("manifest");
    run(
        &Campaign {
            corpus: &corpus,
            words: &JSON,
        },
        |input| {
            drop(serde_json::from_slice::<Manifest>(input));
            layout.index_of(input);
            layout.load();
        },
    );
}

#[test]
fn configurations() {
    let layout = Layout::new();
    let corpus = corpus("config");
    run(
        &Campaign {
            corpus: &corpus,
            words: &JSON,
        },
        |input| {
            if let Ok(config) = serde_json::from_slice::<ImageConfig>(input) {
                let written = serde_json::to_vec(&config).unwrap();
                let again: ImageConfig = serde_json::from_slice(&written).unwrap();
                assert_eq!(serde_json::to_vec(&again).unwrap(), written);
            }
            layout.manifest_of(input);
            layout.load();
        },
    );
}
