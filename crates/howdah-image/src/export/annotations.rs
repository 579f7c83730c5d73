//! Annotations in BuildKit's notation (`exporter/containerimage/exptypes/annotations.go`) and in that of `--annotation`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::ExportError;
use crate::Platform;

/// What an annotation is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The image's manifest.
    Manifest,
    /// The manifest's entry in the index.
    ManifestDescriptor,
    /// The index.
    Index,
    /// What points to the index, in an OCI layout.
    IndexDescriptor,
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// On what it is written.
    pub level: Level,
    /// Of which image; of all if absent.
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// Its text.
    pub value: String,
}

/// A text is no annotation.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no annotation: {what}")]
pub struct ParseAnnotationError {
    text: String,
    what: &'static str,
}

/// Any number of remarks; of several with one name on one document the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations(Vec<Annotation>);

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "manifest" => Ok(Self::Manifest),
            "manifest-descriptor" => Ok(Self::ManifestDescriptor),
            "index" => Ok(Self::Index),
            "index-descriptor" => Ok(Self::IndexDescriptor),
            _ => Err(
                "the level is none of manifest, manifest-descriptor, index and index-descriptor",
            ),
        }
    }
}

impl Annotations {
    /// Adds what `--annotation` says: `[LEVEL[,LEVEL][[PLATFORM]]:]KEY=VALUE`, for the manifest if no level is named.
    pub fn add_option(&mut self, text: &str) -> Result<(), ParseAnnotationError> {
        let error = |what| ParseAnnotationError {
            text: text.to_owned(),
            what,
        };
        let (name, value) = text.split_once('=').ok_or_else(|| error("it has no `=`"))?;
        let (levels, key) = name.rsplit_once(':').unwrap_or(("manifest", name));
        let (levels, platform) = platform(levels).map_err(error)?;
        for level in levels.split(',') {
            self.add(level, platform.clone(), key, value)
                .map_err(error)?;
        }
        Ok(())
    }

    /// Adds an attribute of `--output`: `annotation[-LEVEL][[PLATFORM]].KEY` and its value. Says whether it is one.
    pub fn add_attribute(&mut self, name: &str, value: &str) -> Result<bool, ParseAnnotationError> {
        let Some(rest) = name.strip_prefix("annotation") else {
            return Ok(false);
        };
        let error = |what| ParseAnnotationError {
            text: name.to_owned(),
            what,
        };
        // A platform has no dot.
        let (place, key) = rest
            .split_once('.')
            .ok_or_else(|| error("its name is missing"))?;
        let (level, platform) = platform(place).map_err(error)?;
        let level = level.strip_prefix('-').unwrap_or("manifest");
        self.add(level, platform, key, value).map_err(error)?;
        Ok(true)
    }

    /// Adds all of another's.
    pub fn extend(&mut self, other: &Annotations) {
        self.0.extend(other.0.iter().cloned());
    }

    fn add(
        &mut self,
        level: &str,
        platform: Option<Platform>,
        key: &str,
        value: &str,
    ) -> Result<(), &'static str> {
        if key.is_empty() {
            return Err("its name is missing");
        }
        self.0.push(Annotation {
            level: level.parse()?,
            platform,
            key: key.to_owned(),
            value: value.to_owned(),
        });
        Ok(())
    }

    /// Those of one document: of an index, or of the image for `platform`.
    pub(super) fn of(
        &self,
        level: Level,
        platform: Option<&Platform>,
    ) -> Option<BTreeMap<String, String>> {
        let concerns = |annotation: &&Annotation| {
            let wanted = annotation.platform.as_ref();
            annotation.level == level && (wanted.is_none() || wanted == platform)
        };
        let found: BTreeMap<_, _> = self
            .0
            .iter()
            .filter(concerns)
            .map(|annotation| (annotation.key.clone(), annotation.value.clone()))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// Refuses annotations for what is not there.
    pub(super) fn check(
        &self,
        has_index: bool,
        docker_types: bool,
        platforms: &[Platform],
    ) -> Result<(), ExportError> {
        for annotation in &self.0 {
            if docker_types && annotation.level != Level::Manifest {
                return Err(ExportError::DockerTypes("an annotation of an index"));
            }
            if !has_index && matches!(annotation.level, Level::Index | Level::IndexDescriptor) {
                return Err(ExportError::NoIndex(annotation.key.clone()));
            }
            if let Some(platform) = annotation
                .platform
                .as_ref()
                .filter(|platform| !platforms.contains(platform))
            {
                return Err(ExportError::NoPlatform {
                    key: annotation.key.clone(),
                    platform: platform.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// Takes `[linux/amd64]` off the end.
fn platform(text: &str) -> Result<(&str, Option<Platform>), &'static str> {
    let Some((before, platform)) = text.strip_suffix(']').and_then(|text| text.split_once('['))
    else {
        return Ok((text, None));
    };
    match platform.parse() {
        Ok(platform) => Ok((before, Some(platform))),
        Err(_) => Err("what stands in brackets is no platform"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_mean_the_same() {
        let (mut options, mut attributes) = (Annotations::default(), Annotations::default());
        for text in [
            "a=1",
            "index:b=2=2",
            "manifest-descriptor[linux/arm64]:org.example.c=3",
        ] {
            options.add_option(text).unwrap();
        }
        for (name, value) in [
            ("annotation.a", "1"),
            ("annotation-index.b", "2=2"),
            (
                "annotation-manifest-descriptor[linux/arm64].org.example.c",
                "3",
            ),
        ] {
            assert!(attributes.add_attribute(name, value).unwrap(), "{name}");
        }
        assert_eq!(options, attributes);
        assert!(!attributes.add_attribute("name", "x").unwrap());
        options.add_option("index,manifest:d=4").unwrap();
        let of = |level| {
            options
                .of(level, None)
                .unwrap_or_default()
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Level::Index), ["b", "d"]);
        assert_eq!(of(Level::Manifest), ["a", "d"]);
        assert!(options.of(Level::ManifestDescriptor, None).is_none());
        assert!(
            options
                .of(
                    Level::ManifestDescriptor,
                    "linux/arm64".parse().ok().as_ref()
                )
                .is_some()
        );
    }

    #[test]
    fn what_is_no_annotation_is_told() {
        for text in ["a", "=1", "layer:a=1", "manifest[nonsense]:a=1"] {
            assert!(Annotations::default().add_option(text).is_err(), "{text}");
        }
        for name in ["annotation", "annotation.", "annotation-layer.a"] {
            assert!(
                Annotations::default().add_attribute(name, "").is_err(),
                "{name}"
            );
        }
    }
}
