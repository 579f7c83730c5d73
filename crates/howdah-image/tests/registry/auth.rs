//! Logins and tokens.

use std::sync::atomic::{AtomicU32, Ordering};

use howdah_image::registry::Kept;
use howdah_image::{Reference, Registry, RegistryError};

use crate::common::TestStore;
use crate::images::{client, client_with, image, large_image};
use crate::proxy::{Proxy, Rule, answer, header};
use crate::server::{Server, reference};
use crate::tokens::{IDENTITY, TokenServer};

fn config(address: &str, entry: &str) -> String {
    format!(r#"{{"auths":{{"{address}":{entry}}}}}"#)
}

/// Of user and secret.
const LOGIN: &str = r#"{"auth":"dXNlcjpzZWNyZXQ="}"#;

fn push(registry: &Registry, test: &TestStore, name: &Reference) -> Result<(), RegistryError> {
    registry
        .push(&test.store, &image(test), name, &|_| ())
        .map(drop)
}

fn denied(result: Result<(), RegistryError>) -> bool {
    match result.unwrap_err() {
        RegistryError::Denied { logged_in, .. } => logged_in,
        error => panic!("{error:?}"),
    }
}

#[test]
fn logins_of_docker_are_used() {
    let server = Server::with_login();
    let test = TestStore::new();
    let name = server.reference("acme/web:v1");
    assert!(!denied(push(&client(), &test, &name)));
    let wrong = client_with(&test, &config(&server.address, r#"{"auth":"YTpi"}"#));
    assert!(denied(push(&wrong, &test, &name)));
    let registry = client_with(&test, &config(&server.address, LOGIN));
    push(&registry, &test, &name).unwrap();
    registry
        .pull(&TestStore::new().store, &name, &|_| ())
        .unwrap();
}

#[test]
fn a_login_is_checked_and_kept() {
    let server = Server::with_login();
    let test = TestStore::new();
    let registry = client_with(&test, "{}");
    let refused = registry.login(&server.address, "user", "wrong");
    assert!(matches!(refused, Err(RegistryError::Denied { .. })));
    let address = format!("http://{}/v2/", server.address);
    let kept = registry.login(&address, "user", "secret").unwrap();
    let path = test.directory.path().join("config.json");
    assert_eq!(kept, Kept::File(fs_err::canonicalize(&path).unwrap()));
    let again = client_with(&test, &fs_err::read_to_string(&path).unwrap());
    push(&again, &test, &server.reference("a:1")).unwrap();
    assert!(registry.logout(&server.address).unwrap());
    assert!(!registry.logout(&server.address).unwrap());
}

#[test]
fn tokens_are_fetched_once_for_each_scope() {
    let tokens = TokenServer::start(0);
    let server = Server::start(&tokens.config());
    let test = TestStore::new();
    let registry = client_with(&test, &config(&server.address, LOGIN));
    push(&registry, &test, &server.reference("a/b:1")).unwrap();
    assert_eq!(tokens.seen().len(), 1, "{:#?}", tokens.seen());
    assert!(tokens.seen()[0].contains("service=test&scope=repository%3Aa%2Fb%3Apull%2Cpush"));
    // The mount to another repository needs both.
    push(&registry, &test, &server.reference("c:1")).unwrap();
    let both = "scope=repository%3Ac%3Apull%2Cpush&scope=repository%3Aa%2Fb%3Apull";
    assert!(tokens.seen().iter().any(|request| request.contains(both)));
    assert!(!denied(push(
        &client(),
        &TestStore::new(),
        &server.reference("a/b:2")
    )));
    let wrong = client_with(&test, &config(&server.address, r#"{"auth":"YTpi"}"#));
    let error = wrong
        .pull(&test.store, &server.reference("a/b:1"), &|_| ())
        .unwrap_err();
    assert!(
        matches!(&error, RegistryError::Denied { said, .. } if said == "incorrect username or password"),
        "{error:?}"
    );
}

#[test]
fn an_expired_token_is_replaced() {
    let tokens = TokenServer::start(1);
    let server = Server::start(&tokens.config());
    let test = TestStore::new();
    let registry = client_with(&test, &config(&server.address, LOGIN));
    push(&registry, &test, &server.reference("a:1")).unwrap();
    assert_eq!(tokens.seen().len(), 2);
}

#[test]
fn an_identity_token_takes_the_passwords_place() {
    let tokens = TokenServer::start(0);
    let server = Server::start(&tokens.config());
    let test = TestStore::new();
    let registry = client_with(&test, "{}");
    registry.login(&server.address, "user", "secret").unwrap();
    let path = test.directory.path().join("config.json");
    let kept = fs_err::read_to_string(&path).unwrap();
    assert!(
        kept.contains(IDENTITY) && !kept.contains("dXNlcjpzZWNyZXQ"),
        "{kept}"
    );
    push(&client_with(&test, &kept), &test, &server.reference("a:1")).unwrap();
    let last = tokens.seen().pop().unwrap();
    assert!(
        last.starts_with("POST") && last.contains("grant_type=refresh_token"),
        "{last}"
    );
    let entry = r#"{"auth":"dXNlcjo=","identitytoken":"revoked"}"#;
    let revoked = client_with(&test, &config(&server.address, entry));
    assert!(denied(push(&revoked, &test, &server.reference("b:1"))));
}

#[test]
fn a_401_in_the_middle_of_an_upload_gets_a_new_token() {
    let tokens = TokenServer::start(0);
    let server = Server::start(&tokens.config());
    let refused = AtomicU32::new(0);
    let realm = tokens.realm();
    let proxy = Proxy::start(&server.address, move |head| {
        let count = || refused.fetch_add(1, Ordering::Relaxed);
        if (head.starts_with("PATCH") || head.starts_with("PUT")) && count() == 0 {
            let challenge =
                format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
            Rule::Answer(answer("401 Unauthorized", &challenge, ""))
        } else {
            Rule::Forward
        }
    });
    let test = TestStore::new();
    let registry = client_with(&test, &config(&proxy.address, LOGIN));
    let image = large_image(&test);
    registry
        .push(
            &test.store,
            &image,
            &reference(&proxy.address, "a:1"),
            &|_| (),
        )
        .unwrap();
    assert!(tokens.seen().len() > 1);
}

#[test]
fn no_credentials_go_to_another_host() {
    let server = Server::with_login();
    let test = TestStore::new();
    let name = server.reference("a:1");
    push(
        &client_with(&test, &config(&server.address, LOGIN)),
        &test,
        &name,
    )
    .unwrap();
    // The storage behind the registry asks for a login too, which it must not get.
    let challenge = "WWW-Authenticate: Basic realm=\"mine\"\r\n";
    let storage = Proxy::start(&server.address, move |_| {
        Rule::Answer(answer("401 Unauthorized", challenge, ""))
    });
    let target = format!("Location: http://{}/blob\r\n", storage.address);
    let proxy = Proxy::start(&server.address, move |head| {
        if head.starts_with("GET /v2/a/blobs/") {
            Rule::Answer(answer("307 Temporary Redirect", &target, ""))
        } else {
            Rule::Forward
        }
    });
    let registry = client_with(&test, &config(&proxy.address, LOGIN));
    let other = TestStore::new();
    let pulled = registry.pull(&other.store, &reference(&proxy.address, "a:1"), &|_| ());
    assert!(matches!(pulled, Err(RegistryError::Denied { .. })));
    assert_eq!(storage.seen("GET /blob").len(), 1);
    assert_eq!(
        header(&storage.seen("GET /blob")[0].head, "authorization"),
        None
    );
    assert!(header(&proxy.seen("GET /v2/a/blobs/")[0].head, "authorization").is_some());
}
