//! Mutated Caddyfiles: none may panic or hang.
#![expect(
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

use std::path::Path;

use howdah_caddyfile::{File, Surroundings, parse};
use howdah_fuzz::{Campaign, run};

/// Two variables, and files that import themselves and each other.
struct Fed<'a>(&'a str);

impl Surroundings for Fed<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        match name.len() % 3 {
            0 => None,
            1 => Some("{ $A } \"\n".to_owned()),
            _ => Some("localhost:8000".to_owned()),
        }
    }

    fn import(&self, name: &str, _from: &str) -> Result<Vec<File>, String> {
        if name.len().is_multiple_of(2) {
            return Err("no such file".to_owned());
        }
        let file = File {
            name: name.to_owned(),
            text: self.0.to_owned(),
        };
        Ok(vec![file.clone(), file])
    }
}

#[test]
fn caddyfiles() {
    let words = [
        "{\n",
        "}\n",
        "{$",
        "{$A:b}",
        "{env.",
        "{path}",
        "\"",
        "`",
        "<<X\n",
        "\nX ",
        "import a\n",
        "(a) {\n",
        "{args[0]}",
        "{args[:]}",
        "@a ",
        "not ",
        "handle ",
        "route ",
        "php_server ",
        "worker ",
        "file_server ",
        "header ",
        "respond ",
        "path_regexp ",
        "(a+)+$",
        "*",
        "\\\n",
        "#",
        ",",
        "10MB",
        "1h",
        "4xx",
        "\u{feff}",
        "é",
    ];
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let campaign = Campaign {
        corpus: &corpus,
        words: &words,
    };
    run(&campaign, |input| {
        let text = String::from_utf8_lossy(input);
        let file = File {
            name: "Caddyfile".to_owned(),
            text: text.clone().into_owned(),
        };
        match parse(&file, &Fed(&text)) {
            Ok(caddyfile) => assert!(
                caddyfile
                    .sites
                    .iter()
                    .all(|site| !site.addresses.is_empty())
            ),
            Err(faults) => assert!(!faults.is_empty()),
        }
    });
}
