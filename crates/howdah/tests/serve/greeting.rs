//! A `howdah-php` of another build than `howdah`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use howdah_wire::control::WIRE_VERSION;

/// Written by another process: what this one has open for writing, its other threads' children hold for a moment, too, and what
/// is open for writing cannot be run (execve(2), `ETXTBSY`).
fn install(script: &str, program: &Path) {
    let mut command = Command::new("install");
    command.args(["-m", "755", "/dev/stdin"]).arg(program);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// What the server says when `howdah-php` begins with this message.
fn told_after(message: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("howdah-php");
    let script = format!("#!/bin/sh\nprintf %s '{message}' >&3\nexec cat <&3\n");
    install(&script, &program);
    let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
    command
        .current_dir(directory.path())
        .args(["serve", "--mode", "classic", "--listen", "127.0.0.1:0"])
        .arg("--document-root")
        .arg(directory.path())
        .arg("--php")
        .arg(&program);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    // The log comes before, as JSON.
    let lines = told.lines().filter(|line| !line.starts_with('{'));
    let directory = directory.path().display().to_string();
    let lines: Vec<_> = lines.map(|line| line.replace(&directory, "DIR")).collect();
    lines
        .join("\n")
        .replace(&format!("not {WIRE_VERSION}"), "not OURS")
}

#[test]
fn an_older_one_is_named() {
    let message = r#"{"event":"booted","php_version":"8.2.0","milliseconds":1}"#;
    insta::assert_snapshot!(told_after(message), @"
    error: `DIR/howdah-php` is older than this howdah: it speaks version 0 of the protocol between the two, not OURS
    hint: install both of one build: `make php install`
    ");
}

#[test]
fn a_newer_one_is_named() {
    let message = r#"{"event":"hello","wire":4000000000}"#;
    insta::assert_snapshot!(told_after(message), @"
    error: `DIR/howdah-php` is newer than this howdah: it speaks version 4000000000 of the protocol between the two, not OURS
    hint: install both of one build: `make php install`
    ");
}
