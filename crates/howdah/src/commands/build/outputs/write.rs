//! Writing one output.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use howdah_build::export_tree;
use howdah_image::archive::{save_bundle, save_directory};
use howdah_image::export::Bundle;
use howdah_image::layer::pack_merged;
use howdah_image::{Image, Reference, Registry};

use super::Delivery;
use super::spec::{Kind, Output};
use crate::commands::CommandError;
use crate::commands::transfer::{Progress, registry_options, with_hint};

impl Delivery<'_> {
    /// Writes the image to where the output says.
    pub(super) fn write(&self, output: &Output) -> Result<(), CommandError> {
        let names = self.names(output);
        if matches!(output.kind, Kind::Local | Kind::Tar) && !self.others.is_empty() {
            let error = CommandError::new("one directory or archive cannot hold several platforms");
            return Err(error.hint("give one --platform, or type=oci").code(2));
        }
        match (output.kind, output.destination.as_deref()) {
            (Kind::Image, _) => self.image(output),
            (Kind::Local, Some(directory)) => {
                fs_err::create_dir_all(directory)?;
                Ok(export_tree(self.store, self.image, directory)?)
            }
            (Kind::OciDirectory, Some(directory)) => self.bundle(output, |bundle| {
                Ok(save_directory(self.store, bundle, &names, directory)?)
            }),
            (Kind::Tar, Some(path)) => file(path, |writer| {
                Ok(pack_merged(self.store, self.image, writer)?)
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

    /// Names the image, and sends it if the output says so.
    fn image(&self, output: &Output) -> Result<(), CommandError> {
        let together: Vec<&Image> = std::iter::once(self.image)
            .chain(self.others.iter().map(|(image, _)| *image))
            .collect();
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
