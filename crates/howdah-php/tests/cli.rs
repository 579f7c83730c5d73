//! `howdah-php cli` does what `php` does; what is expected was recorded from php8.2-cli.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "the whole program is a test"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit status and standard output of the program with `input`.
fn run(directory: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_howdah-php"))
        .arg("cli")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It may end without reading.
    let written = process.stdin.take().unwrap().write_all(input.as_bytes());
    drop(written);
    let output = process.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn code_on_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        (&["-r", "echo 1 + 1, PHP_SAPI;"][..], 0, "2cli"),
        (&["-r", "exit(5);"], 5, ""),
        (
            &[
                "-r",
                "register_shutdown_function(fn() => print 'sd'); exit(3);",
            ],
            3,
            "sd",
        ),
        (&["-r", "throw new Exception('x');", "-q"], 255, ""),
        (&["-d", "precision=3", "-r", "echo 1/3;"], 0, "0.333"),
        (
            &["-r", "echo $argc, json_encode($argv);", "x", "-y"],
            0,
            r#"3["Standard input code","x","-y"]"#,
        ),
        (
            &[
                "-r",
                "echo ini_get('max_execution_time'), ini_get('html_errors');",
            ],
            0,
            "00",
        ),
        (
            &["-r", "echo 'x'; fwrite(STDOUT, 'y'); echo 'z';"],
            0,
            "xyz",
        ),
        (&["-r", "echo stream_get_contents(STDIN);"], 0, "given"),
        (
            &["-n", "-r", "echo var_export(php_ini_loaded_file(), true);"],
            0,
            "false",
        ),
        (
            &["nowhere.php"],
            1,
            "Could not open input file: nowhere.php\n",
        ),
        (
            &["--rc", "nope"],
            1,
            "Exception: Class \"nope\" does not exist\n",
        ),
    ];
    for (arguments, status, output) in cases {
        let mut all = vec!["-d", "display_errors=0"];
        all.extend(arguments);
        let told = run(directory.path(), &all, "given");
        assert_eq!(told, (Some(status), output.to_owned()), "{arguments:?}");
    }
}

#[test]
fn scripts() {
    let directory = tempfile::tempdir().unwrap();
    let script = "#!/usr/bin/env php\n<?php echo json_encode($argv), basename(__FILE__), $_SERVER['SCRIPT_NAME']; exit(7);";
    fs_err::write(directory.path().join("s.php"), script).unwrap();
    fs_err::write(directory.path().join("bad.php"), "<?php foo(").unwrap();
    let told = |arguments: &[&str], input: &str| run(directory.path(), arguments, input);
    let said = |text: &str| (Some(7), text.to_owned());
    assert_eq!(
        told(&["s.php", "a", "-b"], ""),
        said(r#"["s.php","a","-b"]s.phps.php"#)
    );
    assert_eq!(
        told(&["-f", "s.php", "--", "-x"], ""),
        said(r#"["s.php","-x"]s.phps.php"#)
    );
    assert_eq!(
        told(&["-l", "s.php"], "").1,
        "No syntax errors detected in s.php\n"
    );
    assert_eq!(
        told(&["-d", "display_errors=0", "-l", "bad.php"], "").0,
        Some(255)
    );
    let input = "<?php echo json_encode($argv);";
    assert_eq!(
        told(&["--", "q"], input),
        (Some(0), r#"["Standard input code","q"]"#.to_owned())
    );
    assert!(told(&["-m"], "").1.contains("\nCore\n"));
    assert!(told(&["-v"], "").1.starts_with("PHP 8."));
}

#[test]
fn a_script_works_where_it_was_started() {
    let (directory, script) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = script.path().join("where.php");
    fs_err::write(&path, "<?php echo getcwd();").unwrap();
    let (status, output) = run(directory.path(), &[path.to_str().unwrap()], "");
    let expected = fs_err::canonicalize(directory.path()).unwrap();
    assert_eq!((status, Path::new(&output)), (Some(0), &*expected));
}
