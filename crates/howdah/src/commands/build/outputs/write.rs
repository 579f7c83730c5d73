//! Writing one output.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use howdah_build::{common_file, export_tree};
use howdah_image::archive::{save_bundle, save_directory};
use howdah_image::export::Bundle;
use howdah_image::layer::pack_merged;
use howdah_image::{Image, Platform, Reference, Registry};

use super::Delivery;
use super::spec::{Kind, Output};
use crate::commands::CommandError;
use crate::commands::transfer::{Progress, checked, registry_options, with_hint};

impl Delivery<'_> {
    /// Writes the image to where the output says.
    pub(super) fn write(&self, output: &Output) -> Result<(), CommandError> {
        let names = self.names(output);
        let leaves = output.push || !matches!(output.kind, Kind::Image | Kind::CacheOnly);
        if leaves && (output.push || output.destination.is_some()) {
            self.images()
                .try_for_each(|image| checked(self.store, image))?;
        }
        match (output.kind, output.destination.as_deref()) {
            (Kind::Image, _) => self.image(output),
            (Kind::Local, Some(directory)) => self.directory(output, directory),
            (Kind::OciDirectory, Some(directory)) => self.bundle(output, |bundle| {
                Ok(save_directory(self.store, bundle, &names, directory)?)
            }),
            (Kind::Tar, Some(path)) => file(path, |writer| {
                let parts = self.parts(output);
                let parts: Vec<_> = parts
                    .iter()
                    .map(|(name, image)| (name.as_deref(), *image))
                    .collect();
                Ok(pack_merged(self.store, &parts, writer)?)
            }),
            (Kind::Oci | Kind::Docker, Some(path)) => self.bundle(output, |bundle| {
                let docker = output.kind == Kind::Docker;
                file(path, |writer| {
                    Ok(save_bundle(self.store, bundle, &names, writer, docker)?)
                })
            }),
            // What would be loaded is in the store already; the other kinds have a destination from the parser.
            (Kind::CacheOnly, _) | (_, None) => Ok(()),
        }
    }

    /// Writes the files, for several platforms each below a directory of its own.
    fn directory(&self, output: &Output, directory: &Path) -> Result<(), CommandError> {
        let parts = self.parts(output);
        let images: Vec<&Image> = parts.iter().map(|(_, image)| *image).collect();
        let is_split = parts.iter().all(|(name, _)| name.is_some());
        if !is_split && let Some(path) = common_file(self.store, &images)? {
            let message = format!("`{path}` is in the images of several platforms");
            return Err(CommandError::new(message)
                .hint("without platform-split=false each gets a directory"));
        }
        for (name, image) in parts {
            let into = name.map_or_else(|| directory.to_owned(), |name| directory.join(name));
            fs_err::create_dir_all(&into)?;
            export_tree(self.store, image, &into)?;
        }
        Ok(())
    }

    /// The images, with the directory of each one's platform if they are told apart: `linux_arm64` (moby/buildkit
    /// `exporter/local/export.go`).
    fn parts(&self, output: &Output) -> Vec<(Option<String>, &Image)> {
        let is_split = output.split.unwrap_or(self.is_multi_platform);
        let name = |image: &Image| Platform::of(&image.config).to_string().replace('/', "_");
        self.images()
            .map(|image| (is_split.then(|| name(image)), image))
            .collect()
    }

    /// Names the image, and sends it if the output says so.
    fn image(&self, output: &Output) -> Result<(), CommandError> {
        let together: Vec<&Image> = self.images().collect();
        for name in &output.names {
            self.store.tag_together(&together, name)?;
        }
        let names = self.names(output);
        if !output.push {
            return Ok(());
        }
        let what: Vec<String> = names.iter().map(Reference::familiar).collect();
        let progress = Progress::new(format!("pushing {}", what.join(", ")), self.quiet);
        let registry = Registry::new(registry_options())?;
        let pushed = self.export(&names, output, |export| {
            let pushed = registry.push_export(self.store, export, &|notice| progress.tell(notice));
            pushed.map_err(with_hint)
        });
        progress.finish();
        let digest = pushed?;
        if !self.quiet {
            for name in &names {
                anstream::eprintln!("pushed {}@{digest}", name.familiar());
            }
        }
        Ok(())
    }

    fn bundle(
        &self,
        output: &Output,
        write: impl FnOnce(&Bundle) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        self.export(&self.names(output), output, |export| {
            write(&export.bundle(self.store)?)
        })
    }
}

/// A file appears whole or not at all.
fn file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    if path == Path::new("-") {
        if io::stdout().is_terminal() {
            return Err(CommandError::new("an archive is not written to a terminal")
                .hint("name a file with dest=, or redirect the output")
                .code(2));
        }
        let mut writer = BufWriter::new(io::stdout().lock());
        write(&mut writer)?;
        return Ok(writer.flush()?);
    }
    let mut part = path.to_owned().into_os_string();
    part.push(format!(".part{}", std::process::id()));
    let result = (|| {
        let mut writer = BufWriter::new(fs_err::File::create(&part)?);
        write(&mut writer)?;
        let file = writer.into_inner();
        file.map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(fs_err::rename(&part, path)?)
    })();
    result.inspect_err(|_| drop(fs_err::remove_file(&part)))
}
