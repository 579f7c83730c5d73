//! The packages in an image, from the records that package managers leave.

use std::io;

use howdah_image::export::Attestation;
use howdah_image::{Image, Store};

use super::{apk, dpkg, npm, php, spdx};
use crate::copy::CopyError;
use crate::tree::{self, Kind, Tree};
use crate::view::View;

/// Larger records are nobody's.
const RECORD_LIMIT: u64 = 64 << 20;

/// One package.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Its package URL (<https://github.com/package-url/purl-spec>), which names it among all packages there are.
    pub(super) url: String,
    /// As an SPDX expression, when its record has one.
    pub(super) license: Option<String>,
    pub(super) supplier: Option<String>,
    /// The record it was found in.
    pub(super) found_in: String,
}

/// Says which packages are in the image's root filesystem. `name` is what the document calls it.
pub fn sbom(store: &Store, image: &Image, name: &str) -> Result<Attestation, CopyError> {
    let view = View::new(image.lowers(store));
    let packages = find(&view).map_err(CopyError::io("read the image's packages"))?;
    Ok(spdx::document(image, name, &packages))
}

fn find(view: &View) -> io::Result<Vec<Package>> {
    let distribution = distribution(view)?;
    let mut packages = Vec::new();
    for entry in view.below(b"")? {
        let path = tree::display(&entry.path);
        let Some(read) = reader(&path).filter(|_| entry.kind == Kind::File) else {
            continue;
        };
        let Some(record) = view.read(&entry.path, RECORD_LIMIT)? else {
            continue;
        };
        let found = read(&String::from_utf8_lossy(&record), &distribution);
        packages.extend(found.into_iter().map(|package| Package {
            found_in: path.clone(),
            ..package
        }));
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// Reads a record. One that is damaged has no packages: the image may be what its user wants all the same.
type Reader = fn(&str, &Distribution) -> Vec<Package>;

fn reader(path: &str) -> Option<Reader> {
    let path = path.trim_start_matches('/');
    match path {
        "var/lib/dpkg/status" => Some(dpkg::read),
        "lib/apk/db/installed" | "usr/lib/apk/db/installed" => Some(apk::read),
        // Images without dpkg keep a file for each package there.
        _ if path.starts_with("var/lib/dpkg/status.d/") && !path.ends_with(".md5sums") => {
            Some(dpkg::read)
        }
        _ if path.ends_with("vendor/composer/installed.json") => Some(php::read),
        // What npm has really installed, beside what a lock file may ask for.
        _ if path.ends_with("node_modules/.package-lock.json") => Some(npm::read),
        _ => None,
    }
}

/// What os-release(5) says.
#[derive(Debug, Default)]
pub(super) struct Distribution {
    pub(super) id: String,
    pub(super) version: String,
}

fn distribution(view: &View) -> io::Result<Distribution> {
    let Some(text) = view.read(b"etc/os-release", RECORD_LIMIT)? else {
        return Ok(Distribution::default());
    };
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value
            .unwrap_or_default()
            .trim_matches(['"', '\''])
            .to_owned()
    };
    Ok(Distribution {
        id: field("ID"),
        version: field("VERSION_ID"),
    })
}

impl Distribution {
    /// The qualifier `distro` of a package URL; empty if it is not known.
    pub(super) fn qualifier(&self) -> String {
        if self.id.is_empty() {
            String::new()
        } else {
            format!("&distro={}-{}", self.id, self.version)
        }
    }
}

/// What may not stand in a part of a package URL as it is.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push_str(&hex(byte));
        }
    }
    escaped
}

fn hex(byte: u8) -> String {
    format!("{byte:02X}")
}
