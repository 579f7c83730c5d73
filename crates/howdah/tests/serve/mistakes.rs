//! Mistakes in what `howdah serve` is told: it does not start, and says what is wrong, of what, and what to do.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::server::howdah_php;

/// What it says, without its log.
fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .args(["serve", "--listen", "127.0.0.1:0", "--php"])
        .arg(howdah_php())
        .args(arguments)
        .current_dir(directory)
        .env("HOWDAH_ROOT", directory.join("root"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said.lines().filter(|line| !line.starts_with('{'));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_wrong_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let directory = fs_err::canonicalize(directory.path()).unwrap();
    let place = directory.to_str().unwrap();
    fs_err::create_dir(directory.join("public")).unwrap();
    fs_err::write(directory.join("junk.pem"), "junk").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = |arguments: &[&str]| {
        let said = refusal(&directory, arguments);
        said.replace(place, "DIRECTORY")
            .replace(&address, "ADDRESS")
    };
    insta::assert_snapshot!(refused(&["--listen", &address]), @"
    error: cannot listen at `ADDRESS`
      caused by: Address already in use (os error 98)
    hint: another program listens there, which `ss -ltnp` names: stop it, or choose another address
    ");
    insta::assert_snapshot!(refused(&["--document-root", "junk.pem"]), @"
    error: the document root `DIRECTORY/junk.pem` is no directory
    hint: name a directory with --document-root DIR
    ");
    insta::assert_snapshot!(refused(&["--document-root", "nowhere"]), @"
    error: failed to canonicalize path `nowhere`: No such file or directory (os error 2)
    hint: name the document root with --document-root DIR
    ");
    insta::assert_snapshot!(refused(&["--php-ini", "nowhere.ini"]), @"
    error: failed to canonicalize path `nowhere.ini`: No such file or directory (os error 2)
    hint: --php-ini names the file
    ");
    insta::assert_snapshot!(refused(&["--worker", "nowhere.php"]), @"
    error: failed to canonicalize path `nowhere.php`: No such file or directory (os error 2)
    hint: --worker names the file
    ");
    insta::assert_snapshot!(refused(&["--http3"]), @"
    error: --http3 is for HTTPS, which is served nowhere
    hint: say where with --listen-tls ADDRESS
    ");
    insta::assert_snapshot!(refused(&["--trusted-proxy", "10.0.0.0/33"]), @"
    error: invalid value '10.0.0.0/33' for '--trusted-proxy <NETWORK>': `10.0.0.0/33` is no network, as 10.0.0.0/8, and no address

    For more information, try '--help'.
    ");
    let files = ["--tls-certificate", "junk.pem", "--tls-key", "junk.pem"];
    insta::assert_snapshot!(refused(&[&files[..], &["--listen-tls", "0"]].concat()), @"
    error: cannot serve https
      caused by: cannot read the private key in `junk.pem`
      caused by: no items found
    hint: --tls-certificate names a PEM file with the certificate and its chain, --tls-key one with its private key
    ");
}
