//! docs/checks.md lists every rule as the program words it.
#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

use std::fmt::Write as _;
use std::path::Path;

use howdah_lint::{Origin, PROJECT_RULES, RULES, Rule};

const BEGIN: &str = "<!-- rules: begin -->\n";
const END: &str = "<!-- rules: end -->\n";

fn table(title: &str, rules: &[&Rule]) -> String {
    let mut text =
        format!("\n## {title}\n\n| rule | why it matters | what to do |\n|---|---|---|\n");
    for rule in rules {
        let name = match rule.url() {
            Some(url) => format!("[{}]({url})", rule.name),
            None => rule.name.to_owned(),
        };
        let experimental = if rule.experimental {
            " (experimental)"
        } else {
            ""
        };
        writeln!(
            text,
            "| {name}{experimental} | {} | {} |",
            rule.reason, rule.fix
        )
        .unwrap();
    }
    text
}

#[test]
fn the_tables_are_those_of_the_program() {
    let of = |origin: Origin| {
        let rules = RULES
            .iter()
            .copied()
            .filter(move |rule| rule.origin == origin);
        rules.collect::<Vec<_>>()
    };
    let tables = [
        table("BuildKit's build checks", &of(Origin::BuildKit)),
        table("Howdah's rules for Dockerfiles", &of(Origin::Howdah)),
        table("Howdah's rules for the project around them", PROJECT_RULES),
    ];
    let expected = format!("{BEGIN}{}\n{END}", tables.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let text = fs_err::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    if std::env::var_os("HOWDAH_WRITE_DOCS").is_some() {
        fs_err::write(&path, format!("{before}{expected}{after}")).unwrap();
        return;
    }
    assert!(
        text == format!("{before}{expected}{after}"),
        "docs/checks.md is old; HOWDAH_WRITE_DOCS=1 cargo test -p howdah-lint --test docs writes it"
    );
}
