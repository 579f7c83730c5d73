//! Accounts and certificates on disk: a directory for each authority, with `account.json` and a PEM file for each set of names.
//! Key and certificate are one file, so that they always fit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::AccountCredentials;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{AcmeConfig, AcmeError};
use crate::tls::keep::keep;

const ACCOUNT: &str = "account.json";

/// What was issued before.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) certificate: Arc<CertifiedKey>,
    begin: SystemTime,
    end: SystemTime,
}

impl Stored {
    /// When it is time for another one.
    pub(super) fn renewal(&self) -> SystemTime {
        let life = self.end.duration_since(self.begin).unwrap_or_default();
        self.begin + life * 2 / 3
    }
}

/// The certificate that is kept for exactly these names, if there is one.
pub(crate) fn stored(config: &AcmeConfig) -> Result<Option<Stored>, AcmeError> {
    let path = directory(config).join(certificate_name(&config.names));
    let pem = match fs_err::read(&path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AcmeError::Keep { path, source }),
    };
    match parse(&pem) {
        // Another set of names may have the same file name.
        Some((stored, names)) => Ok(config
            .names
            .iter()
            .all(|name| names.contains(name))
            .then_some(stored)),
        None => Err(AcmeError::Damaged(path)),
    }
}

fn parse(pem: &[u8]) -> Option<(Stored, Vec<String>)> {
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let time = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    };
    let validity = leaf.validity();
    let (begin, end) = (time(validity.not_before), time(validity.not_after));
    let names = leaf.subject_alternative_name().ok()??;
    let names = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    let names = names.collect();
    let certificate = CertifiedKey::from_der(chain, key, &ring::default_provider()).ok()?;
    let stored = Stored {
        certificate: Arc::new(certificate),
        begin,
        end,
    };
    Some((stored, names))
}

/// `pem`: the private key and the chain.
pub(super) fn keep_certificate(config: &AcmeConfig, pem: &str) -> Result<(), AcmeError> {
    keep_file(config, &certificate_name(&config.names), pem)
}

/// The account at the authority, if there is one.
pub(super) fn account(config: &AcmeConfig) -> Result<Option<AccountCredentials>, AcmeError> {
    let path = directory(config).join(ACCOUNT);
    match fs_err::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|_| AcmeError::Damaged(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AcmeError::Keep { path, source }),
    }
}

pub(super) fn keep_account(
    config: &AcmeConfig,
    account: &AccountCredentials,
) -> Result<(), AcmeError> {
    let json = serde_json::to_string(account).map_err(|source| AcmeError::Keep {
        path: directory(config),
        source: source.into(),
    })?;
    keep_file(config, ACCOUNT, &json)
}

/// The authority does not know the account any more.
pub(super) fn forget_account(config: &AcmeConfig) -> Result<(), AcmeError> {
    let path = directory(config).join(ACCOUNT);
    fs_err::remove_file(&path).map_err(|source| AcmeError::Keep { path, source })
}

fn keep_file(config: &AcmeConfig, name: &str, content: &str) -> Result<(), AcmeError> {
    let path = directory(config);
    let kept = fs_err::create_dir_all(&path).and_then(|()| keep(&path, name, content));
    kept.map_err(|source| AcmeError::Keep { path, source })
}

/// `https://ca.example:14000/dir` is kept in `ca.example_14000_dir`.
fn directory(config: &AcmeConfig) -> PathBuf {
    let url = config.directory.split("://").last().unwrap_or_default();
    config.store.join(plain(url))
}

/// The first name, and the number of those besides it.
fn certificate_name(names: &[String]) -> String {
    let first = names.first().map_or("none", String::as_str);
    format!("{}+{}.pem", plain(first), names.len().saturating_sub(1))
}

/// No part of a path but one name.
fn plain(text: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => letter,
        _ => '_',
    };
    text.trim_matches('/').chars().map(letter).collect()
}
