//! PHP packages: `vendor/composer/installed.json`, which Composer 1 writes as a list and Composer 2 as an object.

use serde::Deserialize;

use super::packages::{Distribution, Package, escape};

#[derive(Deserialize)]
#[serde(untagged)]
enum Installed {
    Two { packages: Vec<Entry> },
    One(Vec<Entry>),
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    #[serde(default)]
    license: Vec<String>,
}

pub(super) fn read(text: &str, _: &Distribution) -> Vec<Package> {
    let (Installed::Two { packages } | Installed::One(packages)) =
        serde_json::from_str(text).unwrap_or(Installed::One(Vec::new()));
    packages.into_iter().map(package).collect()
}

fn package(entry: Entry) -> Package {
    let path: Vec<String> = entry.name.split('/').map(escape).collect();
    Package {
        url: format!("pkg:composer/{}@{}", path.join("/"), escape(&entry.version)),
        name: entry.name,
        version: entry.version,
        // Several licences of a package are a choice (getcomposer.org, "The composer.json schema", license).
        license: (!entry.license.is_empty()).then(|| entry.license.join(" OR ")),
        ..Package::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let entry = r#"{"name":"laravel/framework","version":"v8.83.27","license":["MIT"]}"#;
        for text in [
            format!("[{entry}]"),
            format!(r#"{{"packages":[{entry}],"dev":false}}"#),
        ] {
            let found = read(&text, &Distribution::default());
            assert_eq!(
                found[0].url, "pkg:composer/laravel/framework@v8.83.27",
                "{text}"
            );
            assert_eq!(found[0].license.as_deref(), Some("MIT"));
        }
        assert!(read("{", &Distribution::default()).is_empty());
    }
}
