//! Debian's packages: `/var/lib/dpkg/status` (deb-control(5), dpkg(1)).

use super::packages::{Distribution, Package, escape};

pub(super) fn read(text: &str, distribution: &Distribution) -> Vec<Package> {
    text.split("\n\n")
        .filter_map(|stanza| package(stanza, distribution))
        .collect()
}

fn package(stanza: &str, distribution: &Distribution) -> Option<Package> {
    let field = |name: &str| {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(':')).map(str::trim)
    };
    // Removed packages whose configuration is left are listed too; records of images without dpkg have no status.
    if field("Status").is_some_and(|status| !status.ends_with(" installed")) {
        return None;
    }
    let (name, version) = (field("Package")?, field("Version")?);
    let architecture = field("Architecture").unwrap_or("all");
    let namespace = if distribution.id.is_empty() {
        "debian"
    } else {
        &distribution.id
    };
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        url: format!(
            "pkg:deb/{namespace}/{}@{}?arch={architecture}{}",
            escape(name),
            escape(version),
            distribution.qualifier()
        ),
        supplier: field("Maintainer").map(str::to_owned),
        ..Package::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_found() {
        let text = "Package: libc6\nStatus: install ok installed\nMaintainer: GNU Libc <x@example>\n\
                    Architecture: amd64\nVersion: 2.36-9+deb12u1\nDescription: x\n Version: no\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nnonsense\n";
        let distribution = Distribution {
            id: "debian".to_owned(),
            version: "12".to_owned(),
        };
        let found = read(text, &distribution);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].url,
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
        assert_eq!(found[0].supplier.as_deref(), Some("GNU Libc <x@example>"));
    }
}
