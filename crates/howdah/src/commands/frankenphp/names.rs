//! Which site's certificate comes from where: Caddy's rules of automatic HTTPS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use howdah_caddyfile::{Address, Options, Site, Tls};
use howdah_serve::tls::{AcmeConfig, Certificates};

use super::super::CommandError;
use super::super::serve::name_of_dns;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Whose certificates.
#[derive(Default)]
pub(super) struct Names {
    /// Of our own authority; an empty one for whatever is asked for.
    local: BTreeSet<String>,
    /// Of a public one, and where it writes to.
    public: BTreeMap<String, Option<String>>,
    /// Of files.
    files: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Names {
    pub(super) fn add(
        &mut self,
        address: &Address,
        site: &Site,
        options: &Options,
    ) -> Result<(), CommandError> {
        let host = address.host.clone();
        let email = match &site.tls {
            Some(Tls::Files { chain, key }) => {
                let files = (chain.clone(), key.clone());
                self.files.entry(files).or_default().insert(host);
                return Ok(());
            }
            Some(Tls::Acme(email)) => Some(email.clone()),
            Some(Tls::Internal) | None => options.email.clone(),
        };
        let is_internal = matches!(site.tls, Some(Tls::Internal));
        if is_internal || options.local_certificates || is_local(&host) {
            self.local.insert(host);
            return Ok(());
        }
        let name = name_of_dns(&host).map_err(|reason| {
            CommandError::new(format!("{}: no certificate for `{host}`", site.place)).hint(format!(
                "{reason}: name one with `tls CERTIFICATE KEY`, or use `tls internal`"
            ))
        })?;
        self.public.insert(name, email);
        Ok(())
    }

    /// All of them; each name of a public authority has a certificate of its own, so that one that fails is only that one.
    pub(super) fn certificates(self, options: &Options, store: &Path) -> Option<Certificates> {
        let mut all = Vec::new();
        for ((chain, key), names) in self.files {
            let (chain, key) = (chain.into(), key.into());
            all.push((own(names), Certificates::Files { chain, key }));
        }
        for (name, email) in self.public {
            let directory = options.acme_directory.as_deref();
            let config = AcmeConfig {
                directory: directory.unwrap_or(LETS_ENCRYPT).to_owned(),
                email,
                names: vec![name.clone()],
                authority: options.acme_root.as_ref().map(Into::into),
                store: store.join("acme"),
            };
            all.push((vec![name], Certificates::Acme(config)));
        }
        if !self.local.is_empty() {
            let usual = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let names: BTreeSet<String> = self.local.iter().cloned().chain(usual).collect();
            let local = Certificates::Local {
                directory: store.join("authority"),
                names: names.into_iter().filter(|name| !name.is_empty()).collect(),
            };
            all.push((own(self.local), local));
        }
        (!all.is_empty()).then_some(Certificates::Several(all))
    }
}

/// None if whatever is asked for is among them.
fn own(names: BTreeSet<String>) -> Vec<String> {
    if names.contains("") {
        Vec::new()
    } else {
        names.into_iter().collect()
    }
}

/// No public authority issues a certificate for it.
fn is_local(host: &str) -> bool {
    const ENDS: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".test"];
    host.is_empty()
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || ENDS.iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use howdah_caddyfile::{File, Surroundings, parse};

    use super::super::listen;
    use super::*;

    struct Nothing;

    impl Surroundings for Nothing {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }

        fn import(&self, _: &str, _: &str) -> Result<Vec<File>, String> {
            Ok(Vec::new())
        }
    }

    fn certificates(text: &str) -> Result<Vec<String>, String> {
        let file = File {
            name: "Caddyfile".into(),
            text: text.into(),
        };
        let caddyfile = parse(&file, &Nothing).unwrap();
        let listening =
            listen::plan(&caddyfile, Path::new("/store")).map_err(|error| error.line())?;
        let Some(Certificates::Several(all)) = listening.certificates else {
            return Ok(Vec::new());
        };
        let told = all.into_iter().map(|(names, one)| match one {
            Certificates::Acme(config) => format!(
                "acme {names:?} {} {}",
                config.directory,
                config.email.unwrap_or_default()
            ),
            Certificates::Files { chain, .. } => format!("file {names:?} {}", chain.display()),
            Certificates::Local { names: all, .. } => format!("local {names:?} {all:?}"),
            Certificates::Several(_) => String::new(),
        });
        Ok(told.collect())
    }

    #[test]
    fn every_site_has_its_certificate() {
        let text = "{\nemail me@example.org\nacme_ca https://ca.test/dir\n}\nexample.org, www.example.org {\n}\n\
                    other.example {\ntls you@example.org\n}\nfiles.example {\ntls a.crt a.key\n}\nhttps:// {\ntls b.crt b.key\n}\n\
                    app.localhost, https://10.0.0.1 {\n}\n*.example.net {\ntls internal\n}\nhttp://plain.example {\n}";
        assert_eq!(
            certificates(text).unwrap(),
            [
                r#"file ["files.example"] a.crt"#,
                "file [] b.crt",
                r#"acme ["example.org"] https://ca.test/dir me@example.org"#,
                r#"acme ["other.example"] https://ca.test/dir you@example.org"#,
                r#"acme ["www.example.org"] https://ca.test/dir me@example.org"#,
                r#"local ["*.example.net", "10.0.0.1", "app.localhost"] ["*.example.net", "10.0.0.1", "127.0.0.1", "::1", "app.localhost", "localhost"]"#,
            ]
        );
        assert_eq!(certificates("http://a.example {\n}").unwrap(), [""; 0]);
        let wildcard = certificates("*.example.org {\n}").unwrap_err();
        assert!(
            wildcard.contains("Caddyfile:1: no certificate for `*.example.org`"),
            "{wildcard}"
        );
    }
}
