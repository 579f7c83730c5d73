//! Certificates by ACME (RFC 8555): got when the server starts, and anew when a third of their life is left. What was issued is
//! kept, so that a restart asks for nothing, and is served until there is a new one.

mod error;
mod order;
mod store;
mod transport;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::Tls;
use crate::log::{Level, Log};
pub use error::AcmeError;
use order::Proof;
pub(super) use store::stored;

/// After the first failure; doubled with each further one. Let's Encrypt allows five failures of a name in an hour.
const FIRST_PAUSE: Duration = Duration::from_mins(2);
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// For an order from its beginning to the certificate.
const PATIENCE: Duration = Duration::from_mins(5);
/// The clock may be set, and a machine may sleep: the end of a certificate is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// An authority, and what it is asked for.
#[derive(Debug, Clone)]
pub struct AcmeConfig {
    /// The URL of its directory.
    pub directory: String,
    /// Where it writes to when something is wrong with the certificates.
    pub email: Option<String>,
    /// The names of the certificate, at least one, in lower case.
    pub names: Vec<String>,
    /// PEM of the authorities that the directory's own certificate may be from, besides the system's.
    pub authority: Option<PathBuf>,
    /// Where accounts and certificates are kept.
    pub store: PathBuf,
}

/// Keeps the certificate valid for as long as the future is polled. `has_plain`: is there a listener without TLS, by which a file
/// can prove whose the names are?
pub(crate) async fn run(tls: &Tls, config: &AcmeConfig, has_plain: bool, log: &Log) {
    let mut failures = 0;
    loop {
        // What cannot be read was told when the server started or reloaded; a new one replaces it.
        let due = stored(config).ok().flatten().map(|issued| issued.renewal());
        let left = due.and_then(|due| due.duration_since(SystemTime::now()).ok());
        let pause = match left {
            Some(left) if !left.is_zero() => left.min(LOOK_AGAIN),
            _ => match renew(tls, config, Proof::of_attempt(failures, has_plain)).await {
                Ok(()) => {
                    failures = 0;
                    let fields = json!({ "names": config.names });
                    log.line(Level::Info, "tls", "certificate issued", fields);
                    // An authority whose certificates are due at once must not be asked without end.
                    Duration::from_secs(1)
                }
                Err(error) => {
                    let pause = pause_after(failures);
                    failures += 1;
                    tell(log, config, &error, pause);
                    pause
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tls.wanted.notified() => {}
        }
    }
}

async fn renew(tls: &Tls, config: &AcmeConfig, proof: Proof) -> Result<(), AcmeError> {
    let _ordering = tls.ordering.lock().await;
    let challenges = tls.challenges();
    let issued = tokio::time::timeout(PATIENCE, order::order(config, proof, &challenges)).await;
    challenges.withdraw_all();
    let pem = issued.map_err(|_| AcmeError::TookTooLong(PATIENCE))??;
    store::keep_certificate(config, &pem)?;
    let loaded = super::load(&tls.certificates, &tls.challenges);
    tls.current
        .send_replace(loaded.map_err(|source| AcmeError::Unusable(source.into()))?);
    Ok(())
}

fn pause_after(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
    pause.min(LONGEST_PAUSE)
}

fn tell(log: &Log, config: &AcmeConfig, error: &AcmeError, pause: Duration) {
    let fields = json!({
        "names": config.names,
        "directory": config.directory,
        "error": crate::log::chain(error),
        "retry_after": pause.as_secs(),
    });
    let message = "no certificate issued, the one from before stays";
    log.line(Level::Error, "tls", message, fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_end() {
        let minutes = |failures| pause_after(failures).as_secs() / 60;
        assert_eq!([0, 1, 2, 7, 8, 1000].map(minutes), [2, 4, 8, 256, 360, 360]);
    }
}
