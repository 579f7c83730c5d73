//! A kernel of Symfony 6.4 in worker mode, by a Caddyfile as the templates for Symfony have it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::frankenphp::FrankenPhp;

const FILES: [(&str, &str); 8] = [
    ("Caddyfile", include_str!("symfony/Caddyfile")),
    ("public/index.php", include_str!("symfony/public/index.php")),
    ("public/app.css", "body {}"),
    ("src/Kernel.php", include_str!("symfony/src/Kernel.php")),
    (
        "vendor/autoload.php",
        include_str!("symfony/vendor/autoload.php"),
    ),
    (
        "vendor/autoload_runtime.php",
        include_str!("symfony/vendor/autoload_runtime.php"),
    ),
    (
        "vendor/InstalledVersions.php",
        include_str!("symfony/vendor/InstalledVersions.php"),
    ),
    (
        "vendor/Runtime.php",
        include_str!("symfony/vendor/Runtime.php"),
    ),
];

/// Where `make test` unpacks Debian's packages.
fn packages() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("target/php/symfony/root/usr/share/php")
}

fn start() -> FrankenPhp {
    let packages = packages();
    FrankenPhp::start(
        &FILES,
        &["run"],
        &[
            ("SYMFONY", packages.to_str().unwrap()),
            ("APP_ENV", "prod"),
            ("APP_DEBUG", "0"),
            ("APP_RUNTIME", "Howdah\\Runtime"),
            ("FRANKENPHP_LOOP_MAX", "100"),
            ("SERVER_NAME", "http://:0"),
            (
                "FRANKENPHP_CONFIG",
                "worker {\n\tfile ./public/index.php\n\tnum 1\n}",
            ),
        ],
    )
}

#[test]
fn a_kernel_of_symfony_stays_booted() {
    let server = start();
    let hello = |path: &str| -> Value { serde_json::from_slice(&server.get(path).body).unwrap() };
    let first = hello("/hello/bob?a=1");
    assert_eq!(
        (&first["name"], &first["query"]["a"]),
        (&"bob".into(), &"1".into())
    );
    assert!(
        first["version"].as_str().unwrap().starts_with("6.4."),
        "{first}"
    );
    let second = hello("/hello/eve");
    // The same kernel, which remembers nothing of the first request but its own count.
    assert_eq!(
        (&second["pid"], &second["answered"]),
        (&first["pid"], &2.into())
    );
    assert!(second["query"].as_array().unwrap().is_empty());
    let posted = server.request(
        "POST",
        "/hello/post",
        "localhost",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        b"x=y",
    );
    let posted: Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(posted["post"]["x"], "y");
    assert_eq!(server.get("/stream").body, b"abc");
    assert_eq!(server.get("/fail").status, 500);
    assert_eq!(server.get("/none").status, 404);
    let file = server.get("/app.css");
    assert_eq!((file.status, &file.body[..]), (200, &b"body {}"[..]));
    assert!(file.head.contains("permissions-policy: browsing-topics=()"));
    assert_eq!(hello("/hello/last")["pid"], first["pid"]);
    server.terminate();
}

/// Two users take turns with one worker.
#[test]
fn sessions_of_symfony_stay_apart() {
    let server = start();
    let visit = |cookie: &str| {
        let field = format!("Cookie: {cookie}\r\n");
        let answer = server.request("GET", "/visits", "localhost", &field, b"");
        let count: u32 = String::from_utf8(answer.body).unwrap().parse().unwrap();
        let cookie = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        // The head was folded; only the name of the session has capitals.
        let cookie = cookie.map(|cookie| cookie.replace("phpsessid", "PHPSESSID"));
        (count, cookie)
    };
    let (one, two) = (visit("a=b"), visit("a=b"));
    assert_eq!((one.0, two.0), (1, 1));
    let (one, two) = (one.1.unwrap(), two.1.unwrap());
    for count in 2..6 {
        assert_eq!((visit(&one).0, visit(&two).0), (count, count));
    }
    server.terminate();
}
