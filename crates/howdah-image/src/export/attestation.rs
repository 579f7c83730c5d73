//! Attestations as BuildKit attaches them to images: in-toto statements in a manifest of their own, which stands in the
//! index beside the image's (`docs/attestations/attestation-storage.md` of BuildKit).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::document::{ConfigDescriptor, ManifestDocument};
use super::{Document, ExportError};
use crate::manifest::{Descriptor, OCI_MANIFEST};
use crate::{Platform, Reference};

const IN_TOTO: &str = "application/vnd.in-toto+json";
const ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";

/// Something said of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// What kind of statement it is: `https://slsa.dev/provenance/v1`, `https://spdx.dev/Document`.
    pub predicate_type: String,
    /// What it says.
    pub predicate: Value,
}

/// An in-toto statement, version 0.1 (<https://github.com/in-toto/attestation/blob/main/spec/v0.1.0/statement.md>).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    predicate_type: &'a str,
    subject: Vec<Subject>,
    predicate: &'a Value,
}

#[derive(Serialize)]
struct Subject {
    name: String,
    digest: BTreeMap<&'static str, String>,
}

/// The manifest of an image's attestations.
pub(super) struct Made {
    pub(super) blobs: Vec<Document>,
    pub(super) manifest: Document,
    /// In the index.
    pub(super) entry: Descriptor,
}

/// Makes the manifest of what is said of the image `subject`.
pub(super) fn manifest(
    attestations: &[Attestation],
    subject: &Descriptor,
    names: &[Reference],
) -> Result<Made, ExportError> {
    let (config, empty) = ConfigDescriptor::empty();
    let mut blobs = vec![empty];
    let mut layers = Vec::new();
    for attestation in attestations {
        let bytes = statement(attestation, subject, names)?;
        let mut statement = Document::new(IN_TOTO, bytes);
        statement.descriptor.annotations = Some(BTreeMap::from([(
            "in-toto.io/predicate-type".to_owned(),
            attestation.predicate_type.clone(),
        )]));
        layers.push(statement.descriptor.clone());
        blobs.push(statement);
    }
    let document = ManifestDocument {
        artifact_type: Some(ARTIFACT_TYPE),
        subject: Some(Descriptor::new(
            &subject.media_type,
            subject.digest,
            subject.size,
        )),
        ..ManifestDocument::new(OCI_MANIFEST, config, layers)
    };
    let manifest = document.write()?;
    let mut entry = manifest.descriptor.clone();
    entry.platform = Some(Platform {
        os: "unknown".to_owned(),
        architecture: "unknown".to_owned(),
        variant: None,
    });
    entry.annotations = Some(BTreeMap::from([
        (
            "vnd.docker.reference.digest".to_owned(),
            subject.digest.to_string(),
        ),
        (
            "vnd.docker.reference.type".to_owned(),
            "attestation-manifest".to_owned(),
        ),
    ]));
    Ok(Made {
        blobs,
        manifest,
        entry,
    })
}

fn statement(
    attestation: &Attestation,
    subject: &Descriptor,
    names: &[Reference],
) -> Result<Vec<u8>, ExportError> {
    let digest = BTreeMap::from([("sha256", subject.digest.hex())]);
    let of = |name: String| Subject {
        name,
        digest: digest.clone(),
    };
    let mut subjects: Vec<Subject> = names
        .iter()
        .map(|name| of(package_url(name, subject.platform.as_ref())))
        .collect();
    if subjects.is_empty() {
        // BuildKit's word for an image without a name.
        subjects.push(of("_".to_owned()));
    }
    let statement = Statement {
        kind: "https://in-toto.io/Statement/v0.1",
        predicate_type: &attestation.predicate_type,
        subject: subjects,
        predicate: &attestation.predicate,
    };
    serde_json::to_vec(&statement).map_err(|source| ExportError::Document {
        document: "attestation",
        source,
    })
}

/// `pkg:docker/acme/web@v1?platform=linux%2Famd64` (<https://github.com/package-url/purl-spec>).
pub fn package_url(name: &Reference, platform: Option<&Platform>) -> String {
    let tag = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
    let digest = name.digest().map(|digest| format!("digest={digest}"));
    let platform = platform.map(|platform| format!("platform={platform}"));
    let qualifiers: Vec<String> = [digest, platform].into_iter().flatten().collect();
    let question = if qualifiers.is_empty() { "" } else { "?" };
    let escape = |text: &str| text.replace(':', "%3A");
    format!(
        "pkg:docker/{}{tag}{question}{}",
        escape(&name.familiar_name()),
        escape(&qualifiers.join("&")).replace('/', "%2F")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_buildkits() {
        let url =
            |name: &str| package_url(&name.parse().unwrap(), "linux/amd64".parse().ok().as_ref());
        assert_eq!(
            url("debian:bookworm"),
            "pkg:docker/debian@bookworm?platform=linux%2Famd64"
        );
        assert_eq!(
            url("localhost:5000/acme/web:v1"),
            "pkg:docker/localhost%3A5000/acme/web@v1?platform=linux%2Famd64"
        );
    }
}
