//! What `howdah serve` is told about certificates that it gets by itself.

use std::path::{Path, PathBuf};

use howdah_serve::tls::AcmeConfig;

/// Whose certificates are got, and from whom.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Automatic certificates")]
#[expect(
    clippy::struct_field_names,
    reason = "they are the names of flags, and of keys in howdah.toml"
)]
pub(crate) struct AcmeArgs {
    /// A name of this server, for which a certificate is got and renewed by ACME; may be repeated. You agree to the authority's
    /// terms by that. The ports 443 or 80 of the name must lead to --listen-tls or --listen.
    #[arg(long, value_name = "NAME", env = "HOWDAH_ACME_NAMES", value_delimiter = ',', value_parser = name, conflicts_with_all = ["tls_certificate", "tls_name"])]
    acme_name: Vec<String>,
    /// Where the authority writes to when something is wrong with the certificates.
    #[arg(long, value_name = "ADDRESS", env = "HOWDAH_ACME_EMAIL")]
    acme_email: Option<String>,
    /// The authority's directory.
    #[arg(
        long,
        value_name = "URL",
        env = "HOWDAH_ACME_DIRECTORY",
        default_value = "https://acme-v02.api.letsencrypt.org/directory"
    )]
    acme_directory: String,
    /// Authorities that the directory's own certificate may be from, PEM, besides the system's.
    #[arg(long, value_name = "FILE", env = "HOWDAH_ACME_CA")]
    acme_ca: Option<PathBuf>,
}

impl AcmeArgs {
    /// Are certificates to be got?
    pub(super) fn is_asked_for(&self) -> bool {
        !self.acme_name.is_empty()
    }

    /// Without a name none are got.
    pub(super) fn config(self, store: &Path) -> Option<AcmeConfig> {
        self.is_asked_for().then(|| AcmeConfig {
            directory: self.acme_directory,
            email: self.acme_email,
            names: self.acme_name,
            authority: self.acme_ca,
            store: store.to_owned(),
        })
    }
}

/// A name of DNS, in lower case. An authority issues nothing for others, and wants a record of DNS for a wildcard.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err(
            "a wildcard needs a challenge by DNS: get it elsewhere, and use --tls-certificate"
                .into(),
        );
    }
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() < 64 && label.bytes().all(is_letter)
    };
    let labels: Vec<&str> = name.split('.').collect();
    let is_address = labels
        .last()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if labels.len() < 2 || is_address || !labels.into_iter().all(is_label) {
        return Err(format!(
            "`{text}` is no name of DNS that an authority would issue a certificate for"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dns_only() {
        assert_eq!(name("Shop.Example.org."), Ok("shop.example.org".into()));
        for bad in [
            "localhost",
            "127.0.0.1",
            "*.example.org",
            "a..b",
            "a_b.org",
            "[::1]",
            "",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
