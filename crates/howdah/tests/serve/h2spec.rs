//! HTTP/2 as h2spec sees it (`make serve-tools` builds it): 145 cases of RFC 9113's predecessor and HPACK, each over h2c and TLS.

use std::path::PathBuf;
use std::process::Command;

use super::server::Server;

/// Where `make serve-tools` puts a program.
pub(crate) fn tool(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/serve-tools")
        .join(name)
}

#[test]
fn h2spec_is_content() {
    let server = Server::start("classic", &["--workers", "2", "--listen-tls", "0"]);
    let plain = server.address();
    let encrypted = server.tls_address();
    for (address, flags) in [(plain, &[][..]), (encrypted, &["-t", "-k"])] {
        let output = Command::new(tool("h2spec"))
            .args(["-h", "127.0.0.1", "-o", "30", "-p"])
            .arg(address.port().to_string())
            .args(flags)
            .output()
            .expect("`make serve-tools` builds h2spec");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && told.contains(" 0 skipped, 0 failed"),
            "{flags:?}: {told}"
        );
    }
    server.stop();
}
