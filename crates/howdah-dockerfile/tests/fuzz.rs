//! Mutated Dockerfiles and ignore files: none may panic or hang, and every fault must render.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use howdah_dockerfile::ignore::Ignore;
use howdah_dockerfile::lint::{BaseImage, Images, Settings, Subject, check};
use howdah_dockerfile::parse;
use howdah_fuzz::{Campaign, run};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name)
}

#[derive(Debug)]
struct NoImages;

impl Images for NoImages {
    fn is_reference(&self, name: &str) -> bool {
        !name.is_empty()
    }

    fn configuration(&self, _name: &str) -> Option<BaseImage> {
        None
    }
}

#[test]
fn dockerfiles() {
    let words = [
        "FROM ",
        "AS ",
        "COPY ",
        "ADD ",
        "RUN ",
        "--mount=",
        "--from=",
        "type=cache,",
        "target=",
        "<<EOF",
        "<<-",
        "EOF\n",
        "ARG ",
        "ENV ",
        "${",
        "${a:-",
        "${a//",
        "${a%%",
        "}",
        "$",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "[\"",
        "\"]",
        "\\\n",
        "`\n",
        "\r\n",
        "# escape=`\n",
        "# check=",
        "skip=",
        "\u{feff}",
        "ü",
        "EXPOSE ",
        "65535-1",
        "--platform=",
        "*",
        "[^",
    ];
    let corpus = corpus("dockerfile");
    let campaign = Campaign {
        corpus: &corpus,
        words: &words,
    };
    run(&campaign, |input| {
        let text = String::from_utf8_lossy(input);
        let file = match parse(&text) {
            Ok(file) => file,
            Err(faults) => {
                for fault in faults {
                    assert!(!fault.render("Dockerfile", &text).is_empty());
                }
                return;
            }
        };
        let arguments = BTreeMap::from([("BASE".to_owned(), "scratch".to_owned())]);
        let settings = Settings::of(&file, &arguments).unwrap_or_default();
        let ignore = Ignore::parse("*.md\na/**").unwrap();
        let checked = check(&Subject {
            text: &text,
            file: &file,
            settings: &settings,
            target: None,
            build_args: &arguments,
            ignore: Some(&ignore),
            platform: "linux/amd64",
            images: &NoImages,
        });
        let last = text.split_inclusive('\n').count();
        for finding in checked.findings {
            assert!((1..=last).contains(&finding.lines.first), "{finding:?}");
        }
    });
}

#[test]
fn ignore_files() {
    let words = [
        "**", "*", "!", "/", "..", "[a-", "[^", "]", "\\", "?", "**/", "/**", "\n", "# ",
    ];
    let corpus = corpus("dockerignore");
    let campaign = Campaign {
        corpus: &corpus,
        words: &words,
    };
    run(&campaign, |input| {
        let text = String::from_utf8_lossy(input);
        let Ok(ignore) = Ignore::parse(&text) else {
            return;
        };
        for path in [
            "a",
            "a/b/c.md",
            "rooted/x",
            "é/ü",
            "a/b/b/b/b/b/b/b/b/b/b/b/b/b/b/b",
        ] {
            let ignored = ignore.is_ignored(path);
            let verdict = ignore.directory(path, &ignore.root());
            // What is pruned must be ignored.
            assert!(!verdict.prune || verdict.ignored, "{path} {ignored}");
        }
    });
}
