//! `--cache-from` and `--cache-to` as buildx writes them: fields `name=value` between commas, or an image name alone.
//!
//! See <https://docs.docker.com/build/cache/backends/>.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use howdah_image::layer::CompressionOptions;
use howdah_image::{Compression, Digest, Reference};

/// The tag of a cache in a directory unless it is given.
const DEFAULT_TAG: &str = "latest";

/// Where a cache is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// An image name of a registry.
    Registry(Reference),
    /// A tag of an OCI layout in a directory.
    Directory {
        /// The directory.
        path: PathBuf,
        /// The tag in its index.
        tag: String,
    },
}

/// A cache to read from (`--cache-from`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSource {
    /// Where it is.
    pub place: CachePlace,
    /// Exactly this manifest of a directory, whatever its tag says now.
    pub digest: Option<Digest>,
}

/// A cache to write to (`--cache-to`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTarget {
    /// Where it is.
    pub place: CachePlace,
    /// Which steps.
    pub mode: CacheMode,
    /// Cache mounts too.
    pub mounts: bool,
    /// Of layers that are not there yet.
    pub compression: CompressionOptions,
    /// Whether a failed export leaves the command successful, if that was said. It never harms what was built.
    pub ignore_error: Option<bool>,
}

/// Which steps a cache gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Only those whose layers the image has.
    Min,
    /// Every step of every stage.
    Max,
}

/// A text that names no cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache `{text}` {fault}")]
pub struct ParseCacheError {
    /// As written.
    text: String,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "has no type: type=registry,ref=NAME or type=local,dest=DIRECTORY (src=DIRECTORY to read)"
    )]
    NoType,
    #[error("has the type `{0}`, and only registry and local are supported")]
    Type(String),
    #[error("needs `{0}=`")]
    Missing(&'static str),
    #[error("has a field `{0}` that is not of the form name=value")]
    Field(String),
    #[error("has an unknown field `{0}`")]
    Unknown(String),
    #[error("has `{value}` as `{name}`, which can be {allowed}")]
    Value {
        name: &'static str,
        value: String,
        allowed: &'static str,
    },
    #[error("names `{0}`, which is no image name")]
    Reference(String),
}

/// Fields that have been split and are taken out one by one.
struct Fields<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Fields<'t> {
    fn of(text: &'t str) -> Result<Fields<'t>, Fault> {
        // A name alone, as buildx has it.
        if !text.contains([',', '=']) && !text.is_empty() {
            return Ok(Fields(vec![("type", "registry"), ("ref", text)]));
        }
        let fields = text.split(',').map(|field| {
            let pair = field.trim().split_once('=');
            pair.ok_or_else(|| Fault::Field(field.to_owned()))
        });
        fields.collect::<Result<_, _>>().map(Fields)
    }

    fn take(&mut self, name: &str) -> Option<&'t str> {
        let index = self.0.iter().position(|(found, _)| *found == name)?;
        Some(self.0.remove(index).1)
    }

    /// `None` if it is not there.
    fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Fault::Value {
                name,
                value: other.to_owned(),
                allowed: "true or false",
            }),
        }
    }

    /// `directory` is the name of the field with a local cache's directory.
    fn place(&mut self, directory: &'static str) -> Result<CachePlace, Fault> {
        match self.take("type") {
            Some("registry") => {
                let name = self.take("ref").ok_or(Fault::Missing("ref"))?;
                let reference = name.parse::<Reference>().ok();
                reference
                    .map(CachePlace::Registry)
                    .ok_or_else(|| Fault::Reference(name.to_owned()))
            }
            Some("local") => Ok(CachePlace::Directory {
                path: self
                    .take(directory)
                    .filter(|path| !path.is_empty())
                    .ok_or(Fault::Missing(directory))?
                    .into(),
                tag: self.take("tag").unwrap_or(DEFAULT_TAG).to_owned(),
            }),
            Some(other) => Err(Fault::Type(other.to_owned())),
            None => Err(Fault::NoType),
        }
    }

    fn compression(&mut self) -> Result<CompressionOptions, Fault> {
        let kind = self.take("compression").map(|name| {
            let kind = name.parse::<Compression>();
            kind.map_err(|_| Fault::Value {
                name: "compression",
                value: name.to_owned(),
                allowed: "gzip, zstd or uncompressed",
            })
        });
        let kind = kind.transpose()?;
        let highest = kind.unwrap_or(Compression::Gzip).highest_level();
        let level = self.take("compression-level").map(|text| {
            let level = text.parse::<u32>().ok().filter(|level| *level <= highest);
            level.ok_or_else(|| Fault::Value {
                name: "compression-level",
                value: text.to_owned(),
                allowed: "a number from 0 to 9 for gzip, to 22 for zstd",
            })
        });
        Ok(CompressionOptions {
            kind,
            level: level.transpose()?,
            force: self.flag("force-compression")?.unwrap_or(false),
        })
    }

    fn finish(self) -> Result<(), Fault> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Fault::Unknown((*name).to_owned())),
        }
    }
}

impl FromStr for CacheSource {
    type Err = ParseCacheError;

    fn from_str(text: &str) -> Result<CacheSource, ParseCacheError> {
        parse(text, |fields| {
            let place = fields.place("src")?;
            let digest = fields.take("digest").map(|digest| {
                digest.parse().map_err(|_| Fault::Value {
                    name: "digest",
                    value: digest.to_owned(),
                    allowed: "sha256: and 64 hexadecimal digits",
                })
            });
            Ok(CacheSource {
                place,
                digest: digest.transpose()?,
            })
        })
    }
}

impl FromStr for CacheTarget {
    type Err = ParseCacheError;

    fn from_str(text: &str) -> Result<CacheTarget, ParseCacheError> {
        parse(text, |fields| {
            let place = fields.place("dest")?;
            let mode = match fields.take("mode") {
                None | Some("max") => CacheMode::Max,
                Some("min") => CacheMode::Min,
                Some(other) => {
                    return Err(Fault::Value {
                        name: "mode",
                        value: other.to_owned(),
                        allowed: "min or max",
                    });
                }
            };
            let target = CacheTarget {
                place,
                mode,
                mounts: fields.flag("mounts")?.unwrap_or(false),
                compression: fields.compression()?,
                ignore_error: fields.flag("ignore-error")?,
            };
            // Ours is always an OCI image manifest.
            fields.flag("oci-mediatypes")?;
            fields.flag("image-manifest")?;
            Ok(target)
        })
    }
}

fn parse<T>(
    text: &str,
    read: impl FnOnce(&mut Fields<'_>) -> Result<T, Fault>,
) -> Result<T, ParseCacheError> {
    let parsed = Fields::of(text).and_then(|mut fields| {
        let parsed = read(&mut fields)?;
        fields.finish().map(|()| parsed)
    });
    parsed.map_err(|fault| ParseCacheError {
        text: text.to_owned(),
        fault,
    })
}

impl fmt::Display for CachePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CachePlace::Registry(reference) => formatter.write_str(&reference.familiar()),
            CachePlace::Directory { path, tag } if tag == DEFAULT_TAG => {
                write!(formatter, "{}", path.display())
            }
            CachePlace::Directory { path, tag } => write!(formatter, "{}:{tag}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str, tag: &str) -> CachePlace {
        CachePlace::Directory {
            path: path.into(),
            tag: tag.to_owned(),
        }
    }

    #[test]
    fn buildx_fields_are_read() {
        let source: CacheSource = "type=local,src=/c,tag=main".parse().unwrap();
        assert_eq!(source.place, directory("/c", "main"));
        let name = CachePlace::Registry("acme/web:cache".parse().unwrap());
        for text in ["type=registry,ref=acme/web:cache", "acme/web:cache"] {
            assert_eq!(text.parse::<CacheSource>().unwrap().place, name);
            assert_eq!(text.parse::<CacheTarget>().unwrap().place, name);
        }
        let target: CacheTarget =
            "type=local,dest=c,mode=min,mounts=true,ignore-error=false,oci-mediatypes=true,compression=zstd,compression-level=19"
                .parse()
                .unwrap();
        assert_eq!(
            target,
            CacheTarget {
                place: directory("c", "latest"),
                mode: CacheMode::Min,
                mounts: true,
                compression: CompressionOptions {
                    kind: Some(Compression::Zstd),
                    level: Some(19),
                    force: false,
                },
                ignore_error: Some(false),
            }
        );
    }

    #[test]
    fn faults_name_the_text_and_what_is_wrong() {
        let told = |text: &str| text.parse::<CacheTarget>().unwrap_err().to_string();
        assert_eq!(
            told("type=gha,scope=x"),
            "the cache `type=gha,scope=x` has the type `gha`, and only registry and local are supported"
        );
        assert_eq!(told("type=local"), "the cache `type=local` needs `dest=`");
        assert_eq!(
            told("type=local,dest=a,mode=all"),
            "the cache `type=local,dest=a,mode=all` has `all` as `mode`, which can be min or max"
        );
        assert_eq!(
            told("type=registry,ref=a,colour=red"),
            "the cache `type=registry,ref=a,colour=red` has an unknown field `colour`"
        );
        assert!(told("dest=a").contains("has no type"));
        assert!(told("").contains("not of the form"));
        assert!(told("type=registry,ref=A B").contains("no image name"));
    }
}
