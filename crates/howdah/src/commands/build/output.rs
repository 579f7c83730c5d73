//! `--output`: the result beside the store.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use howdah_build::export_tree;
use howdah_image::archive::{NamedImage, save};
use howdah_image::layer::{PackOptions, pack_merged};
use howdah_image::{Image, Reference, Store};

use crate::commands::CommandError;

/// What is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    kind: Kind,
    /// `-` is the standard output.
    destination: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The root filesystem as a directory.
    Local,
    /// The root filesystem as a tar archive.
    Tar,
    /// An archive that is an OCI layout and a Docker archive.
    Archive,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Output, String> {
        if !text.contains('=') {
            let kind = if text == "-" { Kind::Tar } else { Kind::Local };
            return Ok(Output {
                kind,
                destination: text.into(),
            });
        }
        let (mut kind, mut destination) = (None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", "local")) => kind = Some(Kind::Local),
                Some(("type", "tar")) => kind = Some(Kind::Tar),
                Some(("type", "oci" | "docker")) => kind = Some(Kind::Archive),
                Some(("type", other)) => {
                    return Err(format!("`{other}` is none of local, tar, oci, docker"));
                }
                Some(("dest", path)) => destination = Some(path.into()),
                _ => return Err(format!("`{field}` is neither type= nor dest=")),
            }
        }
        let kind = kind.ok_or("type= is missing")?;
        let destination = match (destination, kind) {
            (Some(destination), _) => destination,
            (None, Kind::Local) => return Err("dest= is missing".to_owned()),
            (None, _) => "-".into(),
        };
        Ok(Output { kind, destination })
    }
}

impl Output {
    /// Whether the result goes to the standard output, which then has room for nothing else.
    pub(super) fn takes_stdout(&self) -> bool {
        self.destination == Path::new("-")
    }

    /// Writes the image.
    pub(super) fn write(
        &self,
        store: &Store,
        image: &Image,
        names: &[Reference],
    ) -> Result<(), CommandError> {
        match self.kind {
            Kind::Local => {
                fs_err::create_dir_all(&self.destination)?;
                export_tree(store, image, &self.destination)?;
                Ok(())
            }
            Kind::Tar => self.file(|writer| Ok(pack_merged(store, image, writer)?)),
            Kind::Archive => self.file(|writer| {
                let saved = NamedImage {
                    image: image.clone(),
                    references: names.to_vec(),
                };
                Ok(save(store, &[saved], writer, &PackOptions::default())?)
            }),
        }
    }

    /// A file appears whole or not at all.
    fn file(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        if self.takes_stdout() {
            let mut writer = BufWriter::new(io::stdout().lock());
            write(&mut writer)?;
            return Ok(writer.flush()?);
        }
        let mut new = self.destination.clone().into_os_string();
        new.push(".new");
        let mut writer = BufWriter::new(fs_err::File::create(&new)?);
        write(&mut writer)?;
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        Ok(fs_err::rename(&new, &self.destination)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_as_docker_does() {
        let output = |text: &str| {
            text.parse::<Output>()
                .map(|output| (output.kind, output.destination))
        };
        assert_eq!(output("out"), Ok((Kind::Local, "out".into())));
        assert_eq!(output("-"), Ok((Kind::Tar, "-".into())));
        assert_eq!(
            output("type=oci,dest=x.tar"),
            Ok((Kind::Archive, "x.tar".into()))
        );
        assert_eq!(output("type=tar"), Ok((Kind::Tar, "-".into())));
        for text in [
            "type=local",
            "type=registry",
            "dest=x",
            "type=tar,push=true",
        ] {
            assert!(output(text).is_err(), "{text}");
        }
    }
}
