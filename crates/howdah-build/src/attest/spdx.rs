//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>).

use howdah_image::export::Attestation;
use howdah_image::{Digest, Image};
use serde_json::{Value, json};

use super::packages::Package;

const PREDICATE_TYPE: &str = "https://spdx.dev/Document";
const NOT_ASSERTED: &str = "NOASSERTION";

/// The document of an image with these packages. The same packages in the same image give the same document.
pub(super) fn document(image: &Image, name: &str, packages: &[Package]) -> Attestation {
    let entries: Vec<Value> = packages.iter().map(package).collect();
    let relationships: Vec<Value> = packages
        .iter()
        .map(|package| {
            json!({
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": identity(package),
            })
        })
        .collect();
    let created = image.config.created.as_deref();
    let content = Digest::of(json!([name, created, entries]).to_string());
    let predicate = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("{}/spdx/{}", env!("CARGO_PKG_REPOSITORY"), content.hex()),
        "creationInfo": {
            "created": created.unwrap_or("1970-01-01T00:00:00Z"),
            "creators": [concat!("Tool: howdah-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": entries,
        "relationships": relationships,
    });
    Attestation {
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate,
    }
}

fn package(package: &Package) -> Value {
    json!({
        "name": package.name,
        "SPDXID": identity(package),
        "versionInfo": package.version,
        "supplier": package.supplier.as_ref().map_or_else(|| NOT_ASSERTED.to_owned(), |supplier| format!("Organization: {supplier}")),
        "downloadLocation": NOT_ASSERTED,
        "filesAnalyzed": false,
        "sourceInfo": format!("acquired package info from: {}", package.found_in),
        "licenseConcluded": NOT_ASSERTED,
        "licenseDeclared": package.license.as_deref().unwrap_or(NOT_ASSERTED),
        "copyrightText": NOT_ASSERTED,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.url,
        }],
    })
}

/// Letters, digits, dots and hyphens only (section 3.2 of the specification).
fn identity(package: &Package) -> String {
    let digest = Digest::of(format!("{} {}", package.url, package.found_in)).hex();
    let name: String = package
        .name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    format!("SPDXRef-Package-{name}-{}", &digest[..16])
}
