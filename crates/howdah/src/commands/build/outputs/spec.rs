//! One `--output`, read as buildx reads it (`util/buildflags/export.go`, and BuildKit's exporters for their attributes).

use std::path::PathBuf;
use std::str::FromStr;

use howdah_image::Reference;
use howdah_image::export::ExportOptions;

/// What is written, and where.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) kind: Kind,
    /// `-` is the standard output.
    pub(super) destination: Option<PathBuf>,
    /// More names for the image.
    pub(super) names: Vec<Reference>,
    /// Send it to the registries of its names.
    pub(super) push: bool,
    /// A directory for each platform; without it, if the build is for several (`platform-split`).
    pub(super) split: Option<bool>,
    pub(super) export: ExportOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The store alone, or registries.
    Image,
    /// The root filesystem as a directory.
    Local,
    /// The root filesystem as a tar archive.
    Tar,
    /// An OCI layout as a tar archive.
    Oci,
    /// An OCI layout as a directory.
    OciDirectory,
    /// A Docker archive, which is an OCI layout too.
    Docker,
    /// Nothing: only the cache is filled.
    CacheOnly,
}

impl Output {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            destination: None,
            names: Vec::new(),
            push: false,
            split: None,
            export: ExportOptions::default(),
        }
    }

    /// `--push`
    pub(super) fn registry() -> Self {
        Self {
            push: true,
            ..Self::new(Kind::Image)
        }
    }

    /// Whether the result goes to the standard output, which then has room for nothing else.
    pub(super) fn takes_stdout(&self) -> bool {
        self.destination
            .as_deref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    /// Whether it is an image that leaves, with digests.
    pub(super) fn is_image(&self) -> bool {
        !matches!(self.kind, Kind::Local | Kind::Tar | Kind::CacheOnly)
    }

    /// One field of it.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let compression = &mut self.export.compression;
        match name {
            "dest" => self.destination = Some(value.into()),
            "name" => self.names = names(value)?,
            "push" => self.push = boolean(name, value)?,
            "compression" => {
                compression.kind = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            "compression-level" => {
                let level = value.parse();
                compression.level =
                    Some(level.map_err(|_| format!("compression-level={value} is no number"))?);
            }
            "force-compression" => compression.force = boolean(name, value)?,
            "oci-mediatypes" => self.export.docker_types = !boolean(name, value)?,
            "tar" => {
                if self.kind == Kind::Oci && !boolean(name, value)? {
                    self.kind = Kind::OciDirectory;
                }
            }
            "platform-split" if matches!(self.kind, Kind::Local | Kind::Tar) => {
                self.split = Some(boolean(name, value)?);
            }
            "source-date-epoch" => {
                let epoch = value.parse();
                self.export.pack.epoch =
                    Some(epoch.map_err(|_| format!("{name}={value} is no number of seconds"))?);
            }
            // What is always so here, or concerns a daemon's own store.
            "rewrite-timestamp"
            | "unpack"
            | "store"
            | "prefer-nondist-layers"
            | "name-canonical"
            | "dangling-name-prefix"
            | "oci-artifact" => {}
            _ => {
                let known = self.export.annotations.add_attribute(name, value);
                if !known.map_err(|error| error.to_string())? {
                    return Err(format!("`{name}` is no attribute of an output"));
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let compression = &self.export.compression;
        let kind = compression.kind.unwrap_or(howdah_image::Compression::Gzip);
        if compression
            .level
            .is_some_and(|level| level > kind.highest_level())
        {
            return Err(format!(
                "compression-level is at most {} here",
                kind.highest_level()
            ));
        }
        match (self.kind, &self.destination) {
            (Kind::Local | Kind::OciDirectory, None) => Err("dest= is missing".to_owned()),
            (Kind::Local | Kind::OciDirectory, Some(path)) if path.as_os_str() == "-" => {
                Err("a directory cannot be written to the standard output".to_owned())
            }
            (Kind::Image, Some(_)) => Err("dest= is not for type=image".to_owned()),
            _ if self.push && self.kind != Kind::Image => {
                Err("push= is only for type=image".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Output, String> {
        if !text.contains('=') {
            let kind = if text == "-" { Kind::Tar } else { Kind::Local };
            return Ok(Output {
                destination: Some(text.into()),
                ..Output::new(kind)
            });
        }
        let mut fields = Vec::new();
        for field in split(text) {
            let (name, value) = field
                .split_once('=')
                .ok_or_else(|| format!("`{field}` is not of the form NAME=VALUE"))?;
            fields.push((name.trim().to_lowercase(), value.to_owned()));
        }
        let (types, fields): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(name, _)| name == "type");
        let mut output = match types.last().map(|(_, kind)| kind.as_str()) {
            Some("image") => Output::new(Kind::Image),
            Some("registry") => Output::registry(),
            Some("local") => Output::new(Kind::Local),
            Some("tar") => Output::new(Kind::Tar),
            Some("oci") => Output::new(Kind::Oci),
            Some("docker") => Output::new(Kind::Docker),
            Some("cacheonly") => Output::new(Kind::CacheOnly),
            Some(other) => {
                return Err(format!(
                    "`{other}` is none of image, registry, oci, docker, local, tar and cacheonly"
                ));
            }
            None => return Err("type= is missing".to_owned()),
        };
        for (name, value) in &fields {
            output.set(name, value)?;
        }
        if matches!(output.kind, Kind::Oci | Kind::Tar) && output.destination.is_none() {
            output.destination = Some("-".into());
        }
        output.check()?;
        Ok(output)
    }
}

fn names(text: &str) -> Result<Vec<Reference>, String> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names
        .map(|name| name.parse().map_err(|error| format!("{error}")))
        .collect()
}

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{name}={text} is neither true nor false")),
    }
}

/// Fields between commas; one that contains a comma stands in quotation marks, in which two stand for one (RFC 4180).
fn split(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use howdah_image::Compression;

    use super::*;

    #[test]
    fn outputs_are_read_as_docker_does() {
        let output = |text: &str| {
            let output: Output = text.parse().unwrap();
            let destination = output.destination.map(|path| path.display().to_string());
            (output.kind, destination.unwrap_or_default())
        };
        for (text, kind, destination) in [
            ("out", Kind::Local, "out"),
            ("-", Kind::Tar, "-"),
            ("type=oci,dest=x.tar", Kind::Oci, "x.tar"),
            ("type=oci,dest=x,tar=false", Kind::OciDirectory, "x"),
            ("type=oci", Kind::Oci, "-"),
            ("type=tar", Kind::Tar, "-"),
            ("type=docker", Kind::Docker, ""),
            ("type=image", Kind::Image, ""),
            ("dest=a b,type=local", Kind::Local, "a b"),
        ] {
            assert_eq!(output(text), (kind, destination.to_owned()), "{text}");
        }
        for text in [
            "type=local",
            "type=floppy",
            "dest=x",
            "type=tar,push=true",
            "type=image,dest=x",
            "type=oci,compression=lzma",
            "type=oci,compression-level=10",
            "type=oci,tar=false,dest=-",
            "type=image,push=perhaps",
            "type=oci,platform-split=true",
        ] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }

    #[test]
    fn attributes_of_images_are_kept() {
        let text = "type=registry,\"name=acme/web:1,localhost:5000/web\",compression=zstd,compression-level=19,\
                    force-compression=true,oci-mediatypes=false,annotation-index.a=\"b\"";
        let output: Output = text.parse().unwrap();
        let names: Vec<String> = output.names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["acme/web:1", "localhost:5000/web:latest"]);
        let compression = output.export.compression;
        assert_eq!(
            (compression.kind, compression.level),
            (Some(Compression::Zstd), Some(19))
        );
        assert!(output.push && compression.force && output.export.docker_types);
        assert_ne!(
            output.export.annotations,
            howdah_image::export::Annotations::default()
        );
    }
}
