//! A token server (distribution's `spec/auth/token.md` and `oauth.md`) that signs with a key made by openssl(1).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::proxy::{answer, header};

/// `Basic` of `user:secret`.
const LOGIN: &str = "Basic dXNlcjpzZWNyZXQ=";
/// Buys tokens without the password.
pub(crate) const IDENTITY: &str = "renew-me";

/// A token server with one user, who may do anything; everybody else may do nothing. Its thread ends with the test program.
pub(crate) struct TokenServer {
    directory: tempfile::TempDir,
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// `stale` tokens come first, which the registry finds expired although they say they are fresh.
    pub(crate) fn start(stale: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        openssl(
            directory.path(),
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=tokens -days 2",
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, path) = (Arc::clone(&seen), directory.path().to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                let length =
                    header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
                let mut body = String::new();
                reader.take(length).read_to_string(&mut body).unwrap();
                let request = format!("{head}{body}");
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len()
                };
                let reply = respond(&path, &request, number <= stale);
                client.write_all(reply.as_bytes()).unwrap();
            }
        });
        Self {
            directory,
            address,
            seen,
        }
    }

    /// Its address.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// What makes a registry trust this server.
    pub(crate) fn config(&self) -> String {
        format!(
            "auth: {{token: {{realm: \"{}\", service: test, issuer: tokens, rootcertbundle: {}}}}}",
            self.realm(),
            self.directory.path().join("cert.pem").display()
        )
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn respond(directory: &Path, request: &str, stale: bool) -> String {
    let line = request.lines().next().unwrap();
    let (query, known) = if line.starts_with("POST") {
        let form = request.split("\r\n\r\n").nth(1).unwrap();
        (form, form.contains(&format!("refresh_token={IDENTITY}")))
    } else {
        let query = line.split(['?', ' ']).nth(2).unwrap_or_default();
        match header(request, "authorization") {
            Some(LOGIN) => (query, true),
            Some(_) => {
                let body = r#"{"details":"incorrect username or password"}"#;
                return answer("401 Unauthorized", "", body);
            }
            None => (query, false),
        }
    };
    let pairs: Vec<(String, String)> = reqwest::Url::parse(&format!("http://x/?{query}"))
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let scopes = pairs.iter().filter(|(name, _)| name == "scope");
    let access: Vec<Value> = scopes
        .flat_map(|(_, scope)| scope.split(' '))
        .filter(|scope| known && !scope.is_empty())
        .map(|scope| {
            let parts: Vec<&str> = scope.split(':').collect();
            let actions: Vec<&str> = parts[2].split(',').collect();
            json!({"type": parts[0], "name": parts[1], "actions": actions})
        })
        .collect();
    let mut body = json!({"token": sign(directory, &access, stale), "expires_in": 300});
    if query.contains("offline_token=true") {
        body["refresh_token"] = json!(IDENTITY);
    }
    answer("200 OK", "", &body.to_string())
}

fn sign(directory: &Path, access: &[Value], stale: bool) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    // The registry forgives a minute.
    let end = if stale { now - 120 } else { now + 300 };
    let pem = fs_err::read_to_string(directory.join("cert.pem")).unwrap();
    let der: String = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    assert!(STANDARD.decode(&der).is_ok());
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({"typ": "JWT", "alg": "RS256", "x5c": [der]}));
    let claims = encode(json!({
        "iss": "tokens", "sub": "user", "aud": "test", "exp": end, "nbf": now - 600, "iat": now - 600,
        "jti": "1", "access": access,
    }));
    let text = format!("{head}.{claims}");
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", "key.pem"])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let signature = child.wait_with_output().unwrap().stdout;
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Runs `openssl` in a directory.
pub(crate) fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
