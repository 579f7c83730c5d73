//! Node packages: `node_modules/.package-lock.json` (docs.npmjs.com, "package-lock.json", hidden lockfiles).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::packages::{Distribution, Package, escape};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    /// Only where it differs from the directory.
    name: Option<String>,
    version: Option<String>,
    license: Option<serde_json::Value>,
}

pub(super) fn read(text: &str, _: &Distribution) -> Vec<Package> {
    let lock: Lock = serde_json::from_str(text).unwrap_or(Lock {
        packages: BTreeMap::new(),
    });
    let packages = lock.packages.into_iter();
    packages
        .filter_map(|(path, entry)| package(&path, entry))
        .collect()
}

fn package(path: &str, entry: Entry) -> Option<Package> {
    let (_, directory) = path.rsplit_once("node_modules/")?;
    let name = entry.name.unwrap_or_else(|| directory.to_owned());
    let version = entry.version?;
    let parts: Vec<String> = name.split('/').map(escape).collect();
    Some(Package {
        url: format!("pkg:npm/{}@{}", parts.join("/"), escape(&version)),
        license: entry
            .license
            .and_then(|license| license.as_str().map(str::to_owned)),
        name,
        version,
        ..Package::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scoped_and_nested_packages_are_found() {
        let text = r#"{"lockfileVersion":3,"packages":{
            "node_modules/@vue/shared":{"version":"3.4.1","license":"MIT"},
            "node_modules/a/node_modules/b":{"version":"1.0.0"},
            "node_modules/link":{"link":true}}}"#;
        let urls: Vec<String> = read(text, &Distribution::default())
            .into_iter()
            .map(|package| package.url)
            .collect();
        assert_eq!(urls, ["pkg:npm/%40vue/shared@3.4.1", "pkg:npm/b@1.0.0"]);
    }
}
