//! Which images an archive or a layout has, for which platforms, and under which names.

use std::collections::BTreeSet;

use super::ArchiveError;
use super::docker::ManifestEntry;
use super::source::Source;
use crate::manifest::{CONTAINERD_NAME, Descriptor, Index, Manifest, REF_NAME, is_index};
use crate::{Digest, Platform, Reference};

/// Indexes may name indexes; nobody nests them deeper.
const DEEPEST_INDEX: usize = 4;
/// Nobody's image is for more platforms, and nobody's archive has more images.
const MOST_IMAGES: usize = 10_000;
/// What BuildKit says that an attestation runs on (its `docs/attestations/attestation-storage.md`).
const UNKNOWN: &str = "unknown";

/// One image's files.
pub(super) struct Listed {
    pub(super) config: String,
    pub(super) layers: Vec<String>,
}

/// The images of one entry, one for each platform, and its names.
type Entry = (Vec<Listed>, Vec<Reference>);

/// Every image, with each platform's of those that have several.
pub(super) fn all(source: &Source) -> Result<Vec<Entry>, ArchiveError> {
    if !source.has("index.json") {
        return if source.has("manifest.json") {
            listed_by_docker(source)
        } else {
            Err(ArchiveError::NotAnArchive)
        };
    }
    let index = top(source)?;
    let mut manifest_types = index
        .manifests
        .iter()
        .map(|entry| entry.media_type.as_str());
    // Docker's own list has one platform of an image.
    if source.has("manifest.json") && !manifest_types.any(is_index) {
        return listed_by_docker(source);
    }
    let mut all: Vec<Entry> = Vec::new();
    for descriptor in &index.manifests {
        let manifests = manifests(source, descriptor)?;
        let images = manifests.iter().map(|manifest| image(source, manifest));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        let references: Vec<Reference> = name_of(descriptor).into_iter().collect();
        // One image for several platforms may have no index of its own.
        let is_same = |(_, known): &&mut Entry| !references.is_empty() && *known == references;
        match all.iter_mut().find(is_same) {
            Some((known, _)) => known.extend(images),
            None => all.push((images, references)),
        }
    }
    Ok(all)
}

/// The image with this tag, whole name or digest, or the only one.
pub(super) fn one(
    source: &Source,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Listed, ArchiveError> {
    let index = top(source)?;
    let is_named = |descriptor: &&Descriptor| match name {
        None => !is_attestation(descriptor),
        Some(name) => {
            descriptor.digest.to_string() == name
                || descriptor.annotation(REF_NAME) == Some(name)
                || descriptor.annotation(CONTAINERD_NAME) == Some(name)
        }
    };
    let named: Vec<Descriptor> = index.manifests.iter().filter(is_named).cloned().collect();
    let manifest = match named.as_slice() {
        [] => return Err(ArchiveError::NoImage(name.unwrap_or_default().to_owned())),
        [descriptor] => select(&manifests(source, descriptor)?, platform)?,
        // One image for several platforms may have no index of its own.
        several if several.iter().all(|entry| entry.platform.is_some()) => {
            select(several, platform)?
        }
        _ => return Err(ArchiveError::SeveralImages),
    };
    image(source, &manifest)
}

/// The manifest for a platform. A single one is taken whatever it says; who takes it must look.
fn select(manifests: &[Descriptor], platform: &Platform) -> Result<Descriptor, ArchiveError> {
    if let [only] = manifests {
        return Ok(only.clone());
    }
    let index = Index {
        manifests: manifests.to_vec(),
        ..Index::default()
    };
    let selected = index.select(platform).cloned();
    selected.ok_or_else(|| ArchiveError::NoPlatform(platform.to_string()))
}

fn listed_by_docker(source: &Source) -> Result<Vec<Entry>, ArchiveError> {
    let name = "manifest.json";
    let entries: Vec<ManifestEntry> = parse(name, &source.document(name)?)?;
    let listed = entries.into_iter().map(|entry| {
        // Names that are none are left out: the image itself is sound and is told by its id.
        let tags = entry.repo_tags.unwrap_or_default();
        let references = tags.iter().filter_map(|tag| tag.parse().ok()).collect();
        let image = Listed {
            config: entry.config,
            layers: entry.layers.unwrap_or_default(),
        };
        (vec![image], references)
    });
    Ok(listed.collect())
}

fn top(source: &Source) -> Result<Index, ArchiveError> {
    let name = "index.json";
    parse(name, &source.document(name)?)
}

/// The manifests of images to which a descriptor leads. Of an index that names more than the archive holds, as Docker writes it
/// for the platforms that it does not have, those that are there.
fn manifests(source: &Source, descriptor: &Descriptor) -> Result<Vec<Descriptor>, ArchiveError> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    let mut level = vec![descriptor.clone()];
    for _ in 0..DEEPEST_INDEX {
        let mut below = Vec::new();
        for descriptor in level {
            if !is_index(&descriptor.media_type) {
                found.push(descriptor);
                continue;
            }
            let index: Index = parse(
                &blob_name(&descriptor.digest),
                &document(source, &descriptor)?,
            )?;
            let images = index
                .manifests
                .iter()
                .filter(|entry| !is_attestation(entry) && source.has(&blob_name(&entry.digest)));
            below.extend(images.filter(|entry| known.insert(entry.digest)).cloned());
            if below.len() + found.len() > MOST_IMAGES {
                return Err(invalid(&descriptor.digest, "names too many images"));
            }
        }
        level = below;
    }
    match (level.is_empty(), found.is_empty()) {
        (false, _) => Err(invalid(
            &descriptor.digest,
            "is an index of indexes of indexes",
        )),
        (true, true) => Err(invalid(
            &descriptor.digest,
            "is an index of images that are not there",
        )),
        (true, false) => Ok(found),
    }
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    let platform = descriptor.platform.as_ref();
    platform.is_some_and(|platform| platform.os == UNKNOWN)
}

fn image(source: &Source, descriptor: &Descriptor) -> Result<Listed, ArchiveError> {
    let manifest: Manifest = parse(
        &blob_name(&descriptor.digest),
        &document(source, descriptor)?,
    )?;
    let layers = manifest.layers.iter();
    Ok(Listed {
        config: blob_name(&manifest.config.digest),
        layers: layers.map(|layer| blob_name(&layer.digest)).collect(),
    })
}

/// A manifest or an index, checked.
fn document(source: &Source, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
    let bytes = source.document(&blob_name(&descriptor.digest))?;
    if Digest::of(&bytes) == descriptor.digest {
        Ok(bytes)
    } else {
        let what = "does not have the digest that its name says";
        Err(invalid(&descriptor.digest, what))
    }
}

/// containerd's annotation has the whole name. The specification's own may be a tag alone, which names nothing.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let whole = descriptor.annotation(CONTAINERD_NAME);
    let name = whole.or_else(|| {
        descriptor
            .annotation(REF_NAME)
            .filter(|name| name.contains(['/', ':']))
    });
    name.and_then(|name| name.parse().ok())
}

fn invalid(digest: &Digest, what: &'static str) -> ArchiveError {
    ArchiveError::Invalid {
        name: blob_name(digest),
        what,
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(
    name: &str,
    bytes: &[u8],
) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|source| ArchiveError::Document {
        name: name.to_owned(),
        source,
    })
}
