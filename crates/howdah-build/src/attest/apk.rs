//! Alpine's packages: `/lib/apk/db/installed` (apk-package(5)).

use super::packages::{Distribution, Package, escape};

pub(super) fn read(text: &str, distribution: &Distribution) -> Vec<Package> {
    text.split("\n\n")
        .filter_map(|stanza| package(stanza, distribution))
        .collect()
}

fn package(stanza: &str, distribution: &Distribution) -> Option<Package> {
    let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
    let (name, version) = (field("P:")?, field("V:")?);
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        url: format!(
            "pkg:apk/alpine/{}@{}?arch={}{}",
            escape(name),
            escape(version),
            field("A:").unwrap_or("noarch"),
            distribution.qualifier()
        ),
        license: field("L:").map(str::to_owned),
        supplier: field("m:").map(str::to_owned),
        ..Package::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_found() {
        let text = "C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:lib\n\n";
        let found = read(text, &Distribution::default());
        assert_eq!(found[0].url, "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64");
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
    }
}
