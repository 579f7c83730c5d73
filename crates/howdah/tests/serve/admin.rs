//! What the surroundings ask of a server, and may tell it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::http::Response;
use crate::server::Server;

fn text(response: Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    String::from_utf8(response.body).unwrap()
}

#[test]
fn what_workers_do_is_told() {
    let server = Server::start("worker", &["--workers", "2"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/wait?secret=1"));
        server.wait_until(|| server.exists("waiting"));
        let status = text(server.admin("GET", "/status", ""));
        assert!(!status.contains("secret"), "{status}");
        let status: Value = serde_json::from_str(&status).unwrap();
        let pool = &status["pools"][0];
        assert_eq!(
            (&pool["name"], &pool["mode"]),
            (&"php".into(), &"worker".into())
        );
        let workers = pool["workers"].as_array().unwrap();
        let busy = workers.iter().find(|worker| worker["state"] == "busy");
        let busy = busy.unwrap_or_else(|| panic!("{pool}"));
        assert_eq!(
            (&busy["method"], &busy["path"]),
            (&"GET".into(), &"/wait".into())
        );
        assert_eq!(workers.len(), 2);
        let top = top(&server, "--once");
        assert!(
            top.contains("1 of 2 workers busy") && top.contains("GET /wait"),
            "{top}"
        );
        server.create("go");
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    let told: Value = serde_json::from_str(&top(&server, "--json")).unwrap();
    assert_eq!(
        (&told["ready"], &told["pools"][0]["requests"]),
        (&true.into(), &1.into())
    );
    server.stop();
}

fn top(server: &Server, how: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .args(["top", how, "--admin"])
        .arg(server.admin_socket())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_happened_is_counted() {
    let server = Server::start("worker", &["--workers", "2", "--request-timeout", "2"]);
    for _ in 0..3 {
        assert_eq!(server.get("/next").status, 200);
    }
    assert_eq!(server.request("POST", "/die", b"").status, 502);
    assert_eq!(server.get("/loop").status, 504);
    assert_eq!(server.get("/.hidden").status, 404);
    assert_eq!(server.request("POST", "/reset", b"").status, 200);
    server.wait_until(|| server.metric(r#"howdah_pool_reloads_total{pool="php"}"#) == Some(1.0));
    let ended = |reason: &str| {
        let name = format!(r#"howdah_pool_worker_ends_total{{pool="php",reason="{reason}"}}"#);
        server.metric(&name).unwrap()
    };
    server.wait_until(|| ended("reload") >= 1.0 && ended("crash") + ended("timeout") >= 2.0);
    for (name, value) in [
        (
            r#"howdah_http_requests_total{handler="php",code="200"}"#,
            4.0,
        ),
        (
            r#"howdah_http_requests_total{handler="php",code="502"}"#,
            1.0,
        ),
        (
            r#"howdah_http_requests_total{handler="php",code="504"}"#,
            1.0,
        ),
        (
            r#"howdah_http_requests_total{handler="static",code="404"}"#,
            1.0,
        ),
        (
            r#"howdah_http_request_duration_seconds_count{handler="php"}"#,
            6.0,
        ),
        (
            r#"howdah_http_request_duration_seconds_bucket{handler="php",le="+Inf"}"#,
            6.0,
        ),
        (r#"howdah_pool_info{pool="php",mode="worker"}"#, 1.0),
        (r#"howdah_pool_request_timeouts_total{pool="php"}"#, 1.0),
        (
            r#"howdah_pool_worker_ends_total{pool="php",reason="timeout"}"#,
            1.0,
        ),
        (
            r#"howdah_pool_worker_ends_total{pool="php",reason="crash"}"#,
            1.0,
        ),
        (r#"frankenphp_worker_crashes{worker="php"}"#, 2.0),
        (r#"frankenphp_busy_workers{worker="php"}"#, 0.0),
        ("frankenphp_queue_depth", 0.0),
        ("howdah_ready", 1.0),
    ] {
        assert_eq!(server.metric(name), Some(value), "{name}");
    }
    // The clients' address knows nothing of this.
    for path in ["/metrics", "/status", "/reload", "/drain", "/readyz"] {
        assert_eq!(crate::json(&server.get(path))["uri"], path);
    }
    server.stop();
}

#[test]
fn reload_and_drain_are_ordered() {
    let server = Server::start("worker", &["--workers", "2"]);
    let socket = server.admin_socket();
    let mode = fs_err::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let generations = || {
        let pool = server.pool();
        let workers = pool["workers"].as_array().unwrap().iter();
        let alive = workers.filter(|worker| worker["state"] != "ending");
        let of = |worker: &Value| worker["generation"].as_u64().unwrap();
        alive.map(of).collect::<Vec<_>>()
    };
    assert_eq!(generations(), [1, 1]);
    assert_eq!(server.admin("GET", "/reload", "").status, 405);
    let foreign = server.admin("POST", "/drain", "Origin: http://localhost\r\n");
    assert_eq!(foreign.status, 403);
    assert_eq!(text(server.admin("POST", "/reload", "")), "reloaded\n");
    assert_eq!(generations(), [2, 2]);
    // Code that does not start: what runs goes on.
    server.create("broken");
    let failed = server.admin("POST", "/reload", "");
    assert_eq!(failed.status, 500);
    let reason = String::from_utf8(failed.body).unwrap();
    assert!(reason.contains("frankenphp_handle_request()"), "{reason}");
    assert_eq!(crate::json(&server.get("/next"))["uri"], "/next");
    assert_eq!(server.admin("POST", "/drain", "").status, 202);
    server.wait();
    assert!(!socket.exists());
}
