//! Where the images of a build go besides the store: registries, archives, directories, and files that tell of them.

mod attest;
mod metadata;
mod spec;
mod write;

use std::path::PathBuf;

use howdah_build::{Built, Options, Target};
use howdah_image::export::{Annotations, Attestation, Export, ExportOptions, Variant};
use howdah_image::{Image, Reference, Store};

use super::inputs::are_one;
use crate::commands::CommandError;
use attest::AttestArgs;
use spec::Output;

/// Flags of what leaves.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Also write the result, as buildx does: type=image|registry|oci|docker|local|tar with dest=, name=, compression= and
    /// more, or a directory; may be given several times.
    #[arg(short, long = "output", value_name = "OUTPUT")]
    outputs: Vec<Output>,
    /// Send the images to the registries of their names.
    #[arg(long)]
    push: bool,
    /// Keep the images in the store, where they are in any case.
    #[arg(long)]
    load: bool,
    /// Annotate manifests and indexes of what leaves.
    #[arg(long = "annotation", value_name = "[LEVEL:]NAME=VALUE")]
    annotations: Vec<String>,
    /// Write the image's id to a file.
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write the digests of what leaves to a file, as JSON with buildx's names.
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    #[command(flatten)]
    attest: AttestArgs,
}

/// A target's image and what it takes to let it out.
struct Delivery<'a> {
    store: &'a Store,
    image: &'a Image,
    /// The same for other platforms.
    others: &'a [(&'a Image, Vec<Attestation>)],
    attestations: &'a [Attestation],
    /// Its names from `--tag` or the compose.yaml.
    tags: &'a [Reference],
    /// It leaves in the form of an image for several platforms, even if it is for one.
    is_multi_platform: bool,
    quiet: bool,
}

/// Asks for the form of several platforms for one, or forbids it (moby/buildkit `frontend/dockerui/config.go`).
const MULTI_PLATFORM: &str = "BUILDKIT_MULTI_PLATFORM";

/// Whether these targets, one for each platform, leave together in the form of several.
fn is_multi_platform(same: &[Target]) -> Result<bool, CommandError> {
    let given = same
        .iter()
        .find_map(|target| target.build_args.get(MULTI_PLATFORM));
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok(same.len() > 1);
    };
    let wanted =
        spec::boolean(MULTI_PLATFORM, text).map_err(|error| CommandError::new(error).code(2))?;
    if !wanted && same.len() > 1 {
        let message =
            format!("{MULTI_PLATFORM}={text} allows one platform, and the build is for several");
        return Err(CommandError::new(message).code(2));
    }
    Ok(wanted)
}

impl OutputArgs {
    /// Whether an output goes to the standard output, which then has room for nothing else.
    pub(super) fn takes_stdout(&self) -> bool {
        self.outputs.iter().any(Output::takes_stdout)
    }

    /// Finds what cannot be done before anything is built.
    pub(super) fn check(&self, targets: &[Target]) -> Result<(), CommandError> {
        self.attest.wanted()?;
        let outputs = self.outputs()?;
        let has_place = outputs.iter().any(|output| output.destination.is_some());
        if targets.chunk_by(are_one).count() > 1 && (has_place || self.iidfile.is_some()) {
            let message =
                "--output and --iidfile take one image, and the compose.yaml names several";
            return Err(CommandError::new(message).hint("name one with -f").code(2));
        }
        for same in targets.chunk_by(are_one) {
            is_multi_platform(same)?;
            let is_archive =
                |output: &Output| output.kind == spec::Kind::Docker && output.destination.is_some();
            if same.len() > 1 && outputs.iter().any(is_archive) {
                let error = CommandError::new("a Docker archive holds an image for one platform");
                return Err(error.hint("give one --platform, or type=oci").code(2));
            }
        }
        for target in targets {
            let unnamed =
                |output: &&Output| output.push && output.names.is_empty() && target.tags.is_empty();
            if outputs.iter().any(|output| unnamed(&output)) {
                let error = CommandError::new("an image without a name cannot be pushed");
                return Err(error.hint("name it with --tag").code(2));
            }
        }
        Ok(())
    }

    /// Lets the images of these targets out, in order, and tells of them.
    pub(super) fn deliver(
        &self,
        store: &Store,
        targets: &[Target],
        built: &Built,
        options: &Options,
        quiet: bool,
    ) -> Result<(), CommandError> {
        let outputs = self.outputs()?;
        let wanted = self.attest.wanted()?;
        let mut told = Vec::new();
        let is_image = outputs.iter().any(Output::is_image);
        let mut rest = built.images.as_slice();
        for same in targets.chunk_by(are_one) {
            let (these, others) = rest.split_at(same.len().min(rest.len()));
            rest = others;
            let made = same.iter().zip(these).map(|(target, image)| {
                let attestations = if is_image {
                    wanted.make(store, (target, image), built, options)?
                } else {
                    Vec::new()
                };
                Ok((image, attestations))
            });
            let made = made.collect::<Result<Vec<_>, CommandError>>()?;
            let ([target, ..], [(image, attestations), others @ ..]) = (same, made.as_slice())
            else {
                break;
            };
            let delivery = Delivery {
                store,
                image,
                others,
                attestations,
                tags: &target.tags,
                is_multi_platform: is_multi_platform(same)?,
                quiet,
            };
            for output in &outputs {
                delivery.write(output)?;
            }
            if self.metadata_file.is_some() {
                let leaving = outputs.iter().find(|output| output.is_image());
                told.push((target.name.as_str(), delivery.metadata(leaving)?));
            }
        }
        if let Some(path) = &self.metadata_file {
            metadata::write_file(path, told)?;
        }
        if let (Some(path), [image, ..]) = (&self.iidfile, built.images.as_slice()) {
            fs_err::write(path, image.id.to_string())?;
        }
        Ok(())
    }

    /// All outputs, with what holds for each.
    fn outputs(&self) -> Result<Vec<Output>, CommandError> {
        let mut outputs = self.outputs.clone();
        if self.push {
            match outputs
                .iter_mut()
                .find(|output| output.kind == spec::Kind::Image)
            {
                Some(image) => image.push = true,
                None => outputs.push(Output::registry()),
            }
        }
        let mut annotations = Annotations::default();
        for text in &self.annotations {
            annotations
                .add_option(text)
                .map_err(|error| CommandError::from(error).code(2))?;
        }
        for output in &mut outputs {
            output.export.annotations.extend(&annotations);
        }
        Ok(outputs)
    }
}

impl Delivery<'_> {
    /// Does `work` with the image on its way out, under these names.
    fn export<T>(
        &self,
        names: &[Reference],
        output: &Output,
        work: impl FnOnce(&Export<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        // A Docker archive has no index for them.
        let has_attestations = output.kind != spec::Kind::Docker;
        let others = self.others.iter().map(|(_, made)| made.as_slice());
        let attestations = std::iter::once(self.attestations).chain(others);
        let variants = self.images().zip(attestations);
        let variants = variants.map(|(image, attestations)| Variant {
            image,
            attestations: if has_attestations { attestations } else { &[] },
        });
        let variants: Vec<Variant<'_>> = variants.collect();
        work(&Export {
            variants: &variants,
            names,
            options: &ExportOptions {
                index: self.is_multi_platform && has_attestations,
                ..output.export.clone()
            },
        })
    }

    /// The image for each platform.
    fn images(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(self.image).chain(self.others.iter().map(|(image, _)| *image))
    }

    /// The names it has at an output.
    fn names(&self, output: &Output) -> Vec<Reference> {
        if output.names.is_empty() {
            self.tags.to_vec()
        } else {
            output.names.clone()
        }
    }
}
