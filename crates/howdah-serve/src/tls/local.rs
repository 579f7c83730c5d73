//! An authority of one's own for development: made once, kept in a directory, and trusted by whoever imports its certificate.
//! The server's own certificate is made anew at each start.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::keep::keep;

/// The authority's certificate.
const ROOT: &str = "root.crt";
/// Its private key. It is written last: an authority with a key is whole.
const ROOT_KEY: &str = "root.key";
const NAME: &str = "Howdah development authority";

/// Why there is no certificate for development.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The authority cannot be kept or read.
    #[error("cannot keep the authority in `{}`", directory.display())]
    Keep {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Keys or certificates cannot be made, or `root.key` is none.
    #[error("cannot use the authority in `{}`", directory.display())]
    Certificate {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
}

/// A certificate and its key.
pub(super) struct Issued {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// A certificate for these names and addresses by the authority in `directory`, which is made if it is not there.
pub(super) fn issue(directory: &Path, names: &[String]) -> Result<Issued, LocalError> {
    let key = authority(directory)?;
    sign(&key, names).map_err(|source| LocalError::Certificate {
        directory: directory.to_owned(),
        source,
    })
}

fn sign(authority: &KeyPair, names: &[String]) -> Result<Issued, rcgen::Error> {
    let root = root();
    let issuer = Issuer::from_params(&root, authority);
    let key = KeyPair::generate()?;
    let mut certificate = CertificateParams::new(names)?;
    certificate.distinguished_name =
        distinguished(names.first().map_or("localhost", String::as_str));
    certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    certificate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    certificate.use_authority_key_identifier_extension = true;
    // Browsers refuse what is valid for longer than 398 days.
    set_validity(&mut certificate, 1);
    let signed = certificate.signed_by(&key, &issuer)?;
    Ok(Issued {
        chain: vec![signed.der().clone()],
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    })
}

/// The authority's key, which is made with its certificate if it is not there.
fn authority(directory: &Path) -> Result<KeyPair, LocalError> {
    let kept = |source| LocalError::Keep {
        directory: directory.to_owned(),
        source,
    };
    let made = |source| LocalError::Certificate {
        directory: directory.to_owned(),
        source,
    };
    match fs_err::read_to_string(directory.join(ROOT_KEY)) {
        Ok(key) => return KeyPair::from_pem(&key).map_err(made),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(kept(error)),
    }
    let key = KeyPair::generate().map_err(made)?;
    let certificate = root().self_signed(&key).map_err(made)?;
    fs_err::create_dir_all(directory).map_err(kept)?;
    keep(directory, ROOT, &certificate.pem()).map_err(kept)?;
    keep(directory, ROOT_KEY, &key.serialize_pem()).map_err(kept)?;
    Ok(key)
}

/// Everything of the authority's certificate but its key, which is enough to sign in its name.
fn root() -> CertificateParams {
    let mut root = CertificateParams::default();
    root.distinguished_name = distinguished(NAME);
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut root, 10);
    root
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Valid from the first day of this month, for so many years; the first day exists in every month.
fn set_validity(certificate: &mut CertificateParams, years: i32) {
    let today = jiff::Zoned::now().date();
    let month = u8::try_from(today.month()).unwrap_or(1);
    let year = i32::from(today.year());
    certificate.not_before = rcgen::date_time_ymd(year, month, 1);
    certificate.not_after = rcgen::date_time_ymd(year + years, month, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = issue(directory.path(), &names).unwrap();
        let root = fs_err::read(directory.path().join(ROOT)).unwrap();
        let second = issue(directory.path(), &names).unwrap();
        assert_ne!(first.chain, second.chain);
        assert_eq!(fs_err::read(directory.path().join(ROOT)).unwrap(), root);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 2);
    }
}
