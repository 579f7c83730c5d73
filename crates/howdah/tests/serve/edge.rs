//! What PHP is told of TLS, and of a disk that is full; and a server that may open few files.

use std::io::Write as _;
use std::process::Command;

use super::http;
use super::server::Server;

#[test]
fn php_is_told_of_tls() {
    let server = Server::start("worker", &["--workers", "1", "--listen-tls", "0"]);
    let address = server.tls_address();
    let ask = |flags: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--insecure", "--max-time", "60"])
            .args(flags)
            .arg(format!("https://{address}/tls"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(ask(&[]).starts_with("on TLSv1.3 TLS_"), "{}", ask(&[]));
    let older = ask(&["--tls-max", "1.2"]);
    assert!(older.starts_with("on TLSv1.2 TLS_ECDHE_"), "{older}");
    assert_eq!(server.get("/tls").body, b"  ");
    server.stop();
}

/// The script is told (`UPLOAD_ERR_CANT_WRITE`), and nothing is left on the disk.
#[test]
fn an_upload_that_fills_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    fs_err::create_dir(&disk).unwrap();
    let mut program = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=256k tmpfs \"$0\" && exec \"$@\"";
    program.args(["--mount", "sh", "-c", mount]).arg(&disk);
    program.arg(env!("CARGO_BIN_EXE_howdah"));
    let setting = format!("--php-setting=upload_tmp_dir={}", disk.display());
    let server = Server::start_by(program, "worker", &["--workers", "2", &setting], |_| {});
    let upload = |size: usize| {
        let file = directory.path().join("file");
        fs_err::write(&file, vec![b'x'; size]).unwrap();
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "60", "--form"])
            .arg(format!("file=@{}", file.display()))
            .arg(format!("http://{}/upload", server.address()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for _ in 0..4 {
        assert_eq!(upload(1 << 20), "[7]");
        assert_eq!(upload(200 << 10), "[0]");
    }
    server.stop();
}

/// Clients beyond what it has room for wait; those it serves have their files and their PHP, also when that must be started.
#[test]
fn few_descriptors_are_enough() {
    let mut program = Command::new("sh");
    program.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]);
    program.arg(env!("CARGO_BIN_EXE_howdah"));
    let server = Server::start_by(program, "classic", &["--workers", "2"], |directory| {
        fs_err::write(directory.join("public/large.bin"), vec![b'x'; 8 << 20]).unwrap();
    });
    server.log_line("fewer connections at a time than usual: the limit of open files is low");
    let mut first = server.connect();
    let waiting: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let mut ask = |path: &str, length: usize| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        first.write_all(request.as_bytes()).unwrap();
        let response = http::read(&mut first, false);
        assert_eq!(
            (response.status, response.body.len() >= length),
            (200, true),
            "{path}"
        );
    };
    for _ in 0..3 {
        ask("/large.bin", 8 << 20);
        ask("/die-once", 1);
        server.remove("died");
    }
    drop(waiting);
    assert_eq!(server.get("/next").status, 200);
    server.stop();
}
