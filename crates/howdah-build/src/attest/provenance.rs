//! SLSA provenance, version 1 (<https://slsa.dev/spec/v1.0/provenance>), with the fields that BuildKit gives it
//! (`solver/llbsolver/provenance/types`).
//!
//! Two builds of the same inputs say the same: times and identities of a build are optional in SLSA, and left out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use howdah_image::export::{Attestation, package_url};
use howdah_image::{Image, Platform, Store, StoreError};
use serde_json::{Value, json};

use crate::request::{Options, Target};

const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing that may be confidential: no build arguments, no sources.
    #[default]
    Min,
    /// Everything.
    Max,
}

/// How provenance is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvenanceOptions {
    /// How much is said.
    pub detail: Detail,
    /// Who builds, as an address; Howdah itself if absent.
    pub builder_id: Option<String>,
}

/// Says what `target` was built from. `bases` are the images that the build used, by the names it used.
pub fn provenance(
    store: &Store,
    target: &Target,
    bases: &[(String, Image)],
    build: &Options,
    options: &ProvenanceOptions,
) -> Result<Attestation, StoreError> {
    let dependencies: Vec<Value> = bases
        .iter()
        .map(|(name, image)| dependency(store, name, image))
        .collect::<Result<_, _>>()?;
    let platform = Platform::default().to_string();
    let builder = options
        .builder_id
        .as_deref()
        .unwrap_or(env!("CARGO_PKG_REPOSITORY"));
    let mut metadata = json!({
        // The context is a directory, whose content no digest here names.
        "buildkit_completeness": { "request": options.detail == Detail::Max, "resolvedDependencies": false },
        "buildkit_reproducible": true,
    });
    if options.detail == Detail::Max {
        let text = &target.dockerfile;
        metadata["buildkit_metadata"] = json!({ "source": { "infos": [{
            "filename": text.name,
            "language": "Dockerfile",
            "data": BASE64.encode(&text.text),
        }] } });
    }
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": { "path": target.dockerfile.name },
                "request": request(target, build, options.detail),
            },
            "internalParameters": { "builderPlatform": platform },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": { "id": builder, "version": { "howdah": env!("CARGO_PKG_VERSION") } },
            "metadata": metadata,
        },
    });
    Ok(Attestation {
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate,
    })
}

fn request(target: &Target, build: &Options, detail: Detail) -> Value {
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    if let Some(stage) = &target.stage {
        arguments.insert("target".to_owned(), stage.clone());
    }
    if detail == Detail::Max {
        let given = |kind: &str, pairs: &BTreeMap<String, String>| -> Vec<(String, String)> {
            let named =
                |(name, value): (&String, &String)| (format!("{kind}:{name}"), value.clone());
            pairs.iter().map(named).collect()
        };
        arguments.extend(given("build-arg", &target.build_args));
        arguments.extend(given("label", &target.labels));
    }
    let secrets: Vec<Value> = build
        .secrets
        .keys()
        .map(|id| json!({ "id": id, "optional": true }))
        .collect();
    json!({
        "frontend": "dockerfile.v0",
        "args": arguments,
        "secrets": secrets,
        "locals": [{ "name": "context" }, { "name": "dockerfile" }],
    })
}

/// A base image: its name, and the digest under which its registry has it. One that was made here has none.
fn dependency(store: &Store, name: &str, image: &Image) -> Result<Value, StoreError> {
    let Ok(reference) = name.parse::<howdah_image::Reference>() else {
        return Ok(json!({ "uri": name }));
    };
    let (_, pinned) = store.names(&image.id)?;
    let known = pinned
        .iter()
        .find(|pinned| pinned.familiar_name() == reference.familiar_name());
    let digest = reference.digest().or_else(|| known?.digest());
    let platform = Platform {
        os: image.config.os.clone(),
        architecture: image.config.architecture.clone(),
        variant: image.config.variant.clone(),
    };
    let mut dependency = json!({ "uri": package_url(&reference, Some(&platform)) });
    if let Some(digest) = digest {
        dependency["digest"] = json!({ "sha256": digest.hex() });
    }
    Ok(dependency)
}
