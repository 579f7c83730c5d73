//! What curl sees of HTTP/2, and what must be equal in every version of HTTP.

use std::process::Command;

use super::server::Server;

/// What comes back, heads included; curl must be content with it.
fn curl(arguments: &[&str], url: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--insecure"])
        .args(["--max-time", "60"])
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} {url}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn head_has_the_fields_of_get_and_no_content() {
    let server = Server::start_with(
        "classic",
        &["--workers", "1", "--listen-tls", "0"],
        |directory| {
            fs_err::write(directory.join("public/ten.txt"), "0123456789").unwrap();
        },
    );
    let plain = format!("http://{}", server.address());
    let encrypted = format!("https://{}", server.tls_address());
    for (flags, base) in [
        (&["--http1.1"][..], &plain),
        (&["--http2-prior-knowledge"], &plain),
        (&["--http2"], &encrypted),
    ] {
        let head = |path: &str| curl(&[flags, &["--head"]].concat(), &format!("{base}{path}"));
        let file = head("/ten.txt");
        assert!(file.contains("content-length: 10\r\n"), "{file}");
        assert!(file.contains("\r\ndate: "), "{file}");
        // Refusals, and what a script answers.
        assert!(head("/.env").contains(" 404"), "{flags:?}");
        assert!(head("/next").contains(" 200"), "{flags:?}");
    }
    server.stop();
}

#[test]
fn hints_come_before_the_response() {
    let server = Server::start("worker", &["--workers", "1", "--listen-tls", "0"]);
    let plain = format!("http://{}/hints", server.address());
    let encrypted = format!("https://{}/hints", server.tls_address());
    for (flag, url) in [("--http2-prior-knowledge", plain), ("--http2", encrypted)] {
        let answer = curl(&[flag], &url);
        let statuses: Vec<&str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("HTTP/2 "))
            .map(str::trim)
            .collect();
        assert_eq!(statuses, ["103", "200"], "{answer}");
        let (hint, rest) = answer.split_once("\r\n\r\n").unwrap();
        assert!(hint.contains("link: </a.css>; rel=preload"), "{answer}");
        assert!(rest.contains("</b.css>"), "{answer}");
    }
    server.stop();
}

/// A client that asks is told to send; one that is refused need not.
#[test]
fn bodies_both_ways() {
    let server = Server::start("classic", &["--workers", "2", "--max-body", "9000000"]);
    let base = format!("http://{}", server.address());
    let file = server.path("body");
    let upload = format!("@{}", file.display());
    for (size, flags, expected) in [
        (
            8 << 20,
            &[
                "--header",
                "Expect: 100-continue",
                "--expect100-timeout",
                "50",
            ][..],
            "\"length\":8388608",
        ),
        (8 << 20, &["--header", "Expect:"], "\"length\":8388608"),
        (0, &[], "\"length\":0"),
        (10 << 20, &["--header", "Expect:"], " 413"),
    ] {
        fs_err::write(&file, vec![b'x'; size]).unwrap();
        let flags = [
            &["--http2-prior-knowledge", "--data-binary", &upload],
            flags,
        ]
        .concat();
        let answer = curl(&flags, &format!("{base}/length"));
        assert!(answer.contains(expected), "{answer}");
    }
    let long = curl(&["--http2-prior-knowledge"], &format!("{base}/long"));
    assert!(long.len() > 4 << 20);
    server.stop();
}
