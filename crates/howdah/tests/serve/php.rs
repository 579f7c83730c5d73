//! `howdah php`: the PHP command line.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::server::howdah_php;

fn php(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .arg("php")
        .args(arguments)
        .env("HOWDAH_PHP", howdah_php())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It need not read it.
    process
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .ok();
    process.wait_with_output().unwrap()
}

#[test]
fn scripts_run_as_by_php() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script.php");
    let code = "<?php echo PHP_SAPI, ini_get('memory_limit'), json_encode(array_slice($argv, 1)), fgets(STDIN); exit(7);";
    fs_err::write(&script, code).unwrap();
    let script = script.to_str().unwrap();
    let output = php(
        &["-d", "memory_limit=77M", script, "--help", "-v", "a b"],
        "in",
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        r#"cli77M["--help","-v","a b"]in"#
    );
    assert_eq!(output.status.code(), Some(7));
    let output = php(&["-r", "echo 6 * 7;"], "");
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(0), &b"42"[..])
    );
    let version = php(&["--version"], "");
    assert!(version.stdout.starts_with(b"PHP 8."), "{version:?}");
}
