//! Certificates and mirrors.

use std::cell::RefCell;
use std::path::PathBuf;

use howdah_image::registry::{ConfigFiles, TransportError};
use howdah_image::{Notice, Registry, RegistryError, RegistryOptions};

use crate::common::{TestStore, write};
use crate::images::{client, image};
use crate::proxy::{Proxy, Rule};
use crate::server::Server;
use crate::tokens::openssl;

fn with_files(config_files: ConfigFiles) -> Registry {
    Registry::new(RegistryOptions {
        config_files,
        ..RegistryOptions::default()
    })
    .unwrap()
}

/// An authority, and certificates of it for 127.0.0.1 and for a client.
fn authority() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &str| openssl(directory.path(), arguments);
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 2");
    write(
        directory.path(),
        "extensions",
        "subjectAltName=IP:127.0.0.1\n",
    );
    for name in ["server", "client"] {
        run(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        run(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 -extfile extensions"
        ));
    }
    directory
}

fn tls(directory: &std::path::Path, more: &str) -> Server {
    let file = |name: &str| directory.join(name).display().to_string();
    Server::start(&format!(
        "http: {{addr: \"127.0.0.1:0\", tls: {{certificate: {}, key: {}{more}}}}}",
        file("server.crt"),
        file("server.key")
    ))
}

/// A directory like certs.d with these files for the server.
fn certificates(test: &TestStore, server: &Server, files: &[(&str, PathBuf)]) -> ConfigFiles {
    let directory = test.directory.path().join("certs.d");
    let host = directory.join(&server.address);
    fs_err::create_dir_all(&host).unwrap();
    for (name, source) in files {
        fs_err::copy(source, host.join(name)).unwrap();
    }
    ConfigFiles {
        certificates: vec![directory],
        ..ConfigFiles::default()
    }
}

#[test]
fn an_own_authority_is_trusted_and_no_other() {
    let directory = authority();
    let server = tls(directory.path(), "");
    let test = TestStore::new();
    let image = image(&test);
    let name = server.reference("a:1");
    let ca = directory.path().join("ca.crt");
    let registry = with_files(certificates(&test, &server, &[("ca.crt", ca)]));
    registry.push(&test.store, &image, &name, &|_| ()).unwrap();
    let other = TestStore::new();
    registry.pull(&other.store, &name, &|_| ()).unwrap();
    // On the loopback interface nothing need be configured, as with Docker.
    client()
        .pull(&TestStore::new().store, &name, &|_| ())
        .unwrap();
    let stranger = authority();
    let files = [("ca.crt", stranger.path().join("ca.crt"))];
    let error = with_files(certificates(&other, &server, &files))
        .pull(&TestStore::new().store, &name, &|_| ())
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Unreachable {
                source: TransportError::Certificate(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn plain_http_is_not_spoken_where_an_authority_is_named() {
    let directory = authority();
    let server = Server::start("");
    let test = TestStore::new();
    let files = [("ca.crt", directory.path().join("ca.crt"))];
    let error = with_files(certificates(&test, &server, &files))
        .pull(&test.store, &server.reference("a:1"), &|_| ())
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Unreachable {
                source: TransportError::NoTls,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_client_certificate_is_shown() {
    let directory = authority();
    let clients = format!(
        ", clientcas: [{}]",
        directory.path().join("ca.crt").display()
    );
    let server = tls(directory.path(), &clients);
    let test = TestStore::new();
    let image = image(&test);
    let name = server.reference("a:1");
    let file = |name: &str| directory.path().join(name);
    let ca = ("ca.crt", file("ca.crt"));
    let without = with_files(certificates(&test, &server, std::slice::from_ref(&ca)));
    assert!(without.push(&test.store, &image, &name, &|_| ()).is_err());
    let files = [
        ca,
        ("client.cert", file("client.crt")),
        ("client.key", file("client.key")),
    ];
    let with = with_files(certificates(&test, &server, &files));
    with.push(&test.store, &image, &name, &|_| ()).unwrap();
}

#[test]
fn a_mirror_is_asked_first_and_its_failure_does_no_harm() {
    let server = Server::start("");
    let test = TestStore::new();
    client()
        .push(
            &test.store,
            &image(&test),
            &server.reference("a:1"),
            &|_| (),
        )
        .unwrap();
    // A pull-through cache, and before it one that nobody answers for.
    let mirror = Server::start(&format!(
        "proxy: {{remoteurl: \"http://{}\"}}",
        server.address
    ));
    let proxy = Proxy::start(&mirror.address, |_| Rule::Forward);
    let config = format!(
        "[registry.'{}']\nmirrors = ['127.0.0.1:1', 'http://{}']\n",
        server.address, proxy.address
    );
    let registry = with_files(ConfigFiles {
        registries: vec![write(test.directory.path(), "registries.toml", &config)],
        ..ConfigFiles::default()
    });
    let notices = RefCell::new(Vec::new());
    let other = TestStore::new();
    registry
        .pull(&other.store, &server.reference("a:1"), &|notice| {
            notices.borrow_mut().push(notice);
        })
        .unwrap();
    let failed: Vec<Notice> = notices
        .into_inner()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::MirrorFailed { .. }))
        .collect();
    assert!(
        matches!(failed.as_slice(), [Notice::MirrorFailed { mirror, .. }] if mirror == "127.0.0.1:1"),
        "{failed:?}"
    );
    assert!(!proxy.seen("GET /v2/a/blobs/").is_empty());
    let error = registry.pull(&other.store, &server.reference("none:1"), &|_| ());
    assert!(matches!(error, Err(RegistryError::NotFound(_))));
}

#[test]
fn dockers_mirrors_are_those_of_docker_hub() {
    let mirror = Server::start("");
    let test = TestStore::new();
    let name = mirror.reference("library/only-here:1");
    client()
        .push(&test.store, &image(&test), &name, &|_| ())
        .unwrap();
    let config = format!(r#"{{"registry-mirrors":["http://{}"]}}"#, mirror.address);
    let registry = with_files(ConfigFiles {
        docker_daemon: vec![write(test.directory.path(), "daemon.json", &config)],
        ..ConfigFiles::default()
    });
    let other = TestStore::new();
    registry
        .pull(&other.store, &"only-here:1".parse().unwrap(), &|_| ())
        .unwrap();
    assert!(other.store.find_image("only-here:1").unwrap().is_some());
}
