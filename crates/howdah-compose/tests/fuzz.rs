//! Mutated Compose files: none may panic or hang, and every project that loads can be written out.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use howdah_compose::{LoadError, LoadOptions, load_with_document};
use howdah_fuzz::{Campaign, run};

#[test]
fn compose_files() {
    let words = [
        "services:",
        "  ",
        "\n",
        ": ",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "${",
        "${A:-",
        "}",
        "$$",
        "[",
        "]",
        "{",
        "}",
        "|\n",
        ">-\n",
        "!reset ",
        "!override ",
        "---\n",
        "'",
        "\"",
        "build: ",
        "ports: ",
        "volumes: ",
        "networks: ",
        "null",
        "true",
        "1e3",
        "0o7",
        "5m30s",
        "1gb",
        "8000-9000:80",
        "depends_on: ",
        "extends: ",
        "include: ",
        "\u{feff}",
        "é",
        "#",
    ];
    let directory = tempfile::tempdir().unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let campaign = Campaign {
        corpus: &corpus,
        words: &words,
    };
    run(&campaign, |input| {
        let options = LoadOptions {
            files: vec!["-".into()],
            stdin: Some(String::from_utf8_lossy(input).into_owned()),
            working_directory: directory.path().to_owned(),
            environment: BTreeMap::from([("B".to_owned(), "b".to_owned())]),
            ..LoadOptions::default()
        };
        match load_with_document(&options) {
            Ok(loaded) => {
                assert!(!loaded.document.to_yaml(true).is_empty());
                assert!(loaded.document.to_json().is_object());
            }
            Err(LoadError::Invalid { faults, .. }) => {
                assert!(!faults.is_empty());
                assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}
