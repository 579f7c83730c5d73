//! Raw requests over a real socket: what comes back, and whether the connection goes on. The cases are data, see
//! `cases/README.md`.

#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod case;
mod client;
mod leave;
mod php;

use std::path::{Path, PathBuf};
use std::time::Duration;

use howdah_serve::log::Log;
use howdah_serve::{Backend, Order, ServeConfig, Server};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use case::Case;

/// The directory that is served.
fn site(root: &Path) {
    for (name, content) in [
        ("index.html", "<p>Jumbo</p>\n"),
        ("ten.txt", "0123456789"),
        ("empty.txt", ""),
        ("a b.txt", "blank\n"),
        ("page.css", "a{}\n"),
        ("app.js", "plain"),
        ("app.js.br", "brotli"),
        ("app.js.gz", "gzip"),
        ("code.phtml", "<?php secret"),
        ("index.php.bak", "<?php secret"),
        ("picture.php.jpg", "jpeg"),
        ("directory/index.html", "inside\n"),
        ("bare/file", "no type"),
        (".env", "SECRET=1"),
        (".git/config", "secret"),
        (".well-known/security.txt", "Contact: us\n"),
        ("../outside.txt", "outside"),
    ] {
        let file = root.join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content).unwrap();
    }
    fs_err::os::unix::fs::symlink("ten.txt", root.join("link.txt")).unwrap();
    fs_err::os::unix::fs::symlink("nowhere", root.join("broken.txt")).unwrap();
    fs_err::os::unix::fs::symlink("loop.txt", root.join("loop.txt")).unwrap();
}

/// A directory with a document root `public`.
fn directory(fill: impl FnOnce(&Path)) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("public");
    fs_err::create_dir(&root).unwrap();
    fill(&root);
    let root = fs_err::canonicalize(root).unwrap();
    (directory, root)
}

/// Runs all cases of a file and tells every one that came out otherwise.
async fn run(text: &str, config: ServeConfig, backend: Option<Backend>) {
    let text = text.replace("ROOT", config.site.root.to_str().unwrap());
    let server = Server::bind(config, backend, Log::new(drop)).unwrap();
    let address = server.addresses()[0];
    let (orders, receiver) = mpsc::channel(1);
    let running = tokio::spawn(server.run(receiver));
    // At once, because some of them wait for the server to lose its patience.
    let mut cases = JoinSet::new();
    for case in Case::all(&text) {
        cases.spawn(async move {
            let outcome = tokio::time::timeout(Duration::from_mins(1), client::run(address, &case));
            let outcome = outcome.await.unwrap_or_else(|_| Err("no answer".into()));
            outcome.err().map(|fault| format!("{}: {fault}", case.name))
        });
    }
    let faults: Vec<String> = cases.join_all().await.into_iter().flatten().collect();
    orders.send(Order::Drain).await.unwrap();
    assert_eq!(running.await.unwrap().lost(), 0);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

macro_rules! files {
    ($($name:ident => $change:expr),* $(,)?) => {
        mod files {
            use super::*;

            $(#[tokio::test]
            async fn $name() {
                let (_directory, root) = directory(site);
                let mut config = ServeConfig::new(root);
                config.limits.body_bytes = 1000;
                let change: fn(&mut ServeConfig) = $change;
                change(&mut config);
                run(include_str!(concat!("cases/", stringify!($name), ".txt")), config, None).await;
            })*
        }

        #[test]
        fn there_are_at_least_a_hundred_cases() {
            let texts = [$(include_str!(concat!("cases/", stringify!($name), ".txt"))),*];
            let count: usize = texts.iter().map(|text| Case::all(text).len()).sum();
            assert!(count >= 100, "{count}");
        }
    };
}

files! {
    syntax => |_| {},
    targets => |_| {},
    fields => |_| {},
    bodies => |_| {},
    connections => |_| {},
    files => |_| {},
    limits => |config| config.limits.head_bytes = 8 << 10,
    slowness => |config| {
        config.timeouts.head = Duration::from_secs(2);
        config.timeouts.body = Duration::from_secs(2);
    },
    proxies => |config| config.listeners[0].proxy_protocol = true,
}

#[tokio::test]
async fn scripts() {
    let (_directory, root) = directory(php::site);
    let backend = php::backend(&root).await;
    let mut config = ServeConfig::new(root);
    config.limits.body_bytes = 1000;
    config.timeouts.body = Duration::from_secs(2);
    run(include_str!("cases/php.txt"), config, Some(backend)).await;
}
