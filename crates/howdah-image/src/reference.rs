//! Image names as Docker writes and reads them: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar and the short forms are those of `github.com/distribution/reference` (`regexp.go`, `normalize.go`): a name
//! without a registry means Docker Hub, and one without a slash there means the `library/` namespace.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// `NameTotalLengthMax` of the distribution grammar.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// A normalised image name. At least one of tag and digest is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image name: {reason}")]
pub struct ParseReferenceError {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// The registry's host and port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path inside the registry, with `library/` for Docker's official images.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; absent only when the name has a digest instead.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, when the name is pinned to one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name as Docker prints it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), Suffix(self))
    }

    /// [`familiar`](Self::familiar) without tag and digest: the REPOSITORY column of `docker images`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(OFFICIAL_NAMESPACE) {
            // `library/a/b` must keep its namespace: `a/b` would be read back as another repository.
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The same repository, pinned to the manifest `digest` and without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

/// Tag and digest with their separators.
struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.0.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}{}",
            self.registry,
            self.repository,
            Suffix(self)
        )
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| ParseReferenceError {
            text: text.to_owned(),
            reason,
        })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (
            rest,
            Some(
                digest
                    .parse()
                    .map_err(|_| "the digest is not sha256:<64 hex digits>")?,
            ),
        ),
        None => (text, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let last_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last_slash..].find(':') {
        Some(colon) => (
            &rest[..last_slash + colon],
            Some(&rest[last_slash + colon + 1..]),
        ),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let tag = tag
        .or((digest.is_none()).then_some(DEFAULT_TAG))
        .map(str::to_owned);
    let (registry, repository) = split_registry(name)?;
    Ok(Reference {
        registry,
        repository,
        tag,
        digest,
    })
}

fn split_registry(name: &str) -> Result<(String, String), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    // 64 hex digits would be mistaken for an image id everywhere (`normalize.go`, ParseNormalizedNamed).
    if crate::digest::parse_hex(name).is_some() {
        return Err("64 hex digits are an image id");
    }
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if is_registry(host) => (host, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    check_registry(registry)?;
    let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("{OFFICIAL_NAMESPACE}{path}")
    } else {
        path.to_owned()
    };
    if registry.len() + 1 + repository.len() > LONGEST_NAME {
        return Err("it is longer than 255 characters");
    }
    path.split('/').try_for_each(check_component)?;
    Ok((registry.to_owned(), repository))
}

/// The first component names a registry when it looks like a host: a dot, a port, `localhost` or an upper-case letter.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    const FAULT: &str = "the registry is not a host name with an optional port";
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or(FAULT)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| FAULT)?;
            (
                "ipv6",
                if rest.is_empty() {
                    None
                } else {
                    Some(rest.strip_prefix(':').ok_or(FAULT)?)
                },
            )
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(FAULT);
    }
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.split('.').all(label_is_valid) {
        Ok(())
    } else {
        Err(FAULT)
    }
}

/// One path component: runs of `[a-z0-9]` joined by `.`, `_`, `__` or any number of `-`.
fn check_component(component: &str) -> Result<(), &'static str> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("the repository must be lower case");
    }
    let bytes = component.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| is_alphanumeric(*byte));
    let separators_are_valid = component
        .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
        .all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        });
    if ends_well(bytes.first()) && ends_well(bytes.last()) && separators_are_valid {
        Ok(())
    } else {
        Err(
            "the repository has a part that is not letters and digits joined by `.`, `_`, `__` or `-`",
        )
    }
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err("the tag is not up to 128 letters, digits, `_`, `.` and `-`")
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn normalises_as_docker_does() {
        for (text, canonical, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            (
                "debian:bookworm-slim",
                "docker.io/library/debian:bookworm-slim",
                "debian:bookworm-slim",
            ),
            ("acme/web", "docker.io/acme/web:latest", "acme/web:latest"),
            (
                "docker.io/debian:1",
                "docker.io/library/debian:1",
                "debian:1",
            ),
            (
                "index.docker.io/library/debian:1",
                "docker.io/library/debian:1",
                "debian:1",
            ),
            (
                "docker.io/library/a/b",
                "docker.io/library/a/b:latest",
                "library/a/b:latest",
            ),
            (
                "localhost/web",
                "localhost/web:latest",
                "localhost/web:latest",
            ),
            (
                "localhost:5000/a/b:v1",
                "localhost:5000/a/b:v1",
                "localhost:5000/a/b:v1",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            (
                "ghcr.io/o/p_q__r--s.t:V_1.0-x",
                "ghcr.io/o/p_q__r--s.t:V_1.0-x",
                "ghcr.io/o/p_q__r--s.t:V_1.0-x",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (
                    reference.to_string().as_str(),
                    reference.familiar().as_str()
                ),
                (canonical, familiar)
            );
            assert_eq!(canonical.parse::<Reference>().unwrap(), reference, "{text}");
            assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn a_digest_replaces_the_default_tag() {
        let pinned: Reference = format!("debian@sha256:{HEX}").parse().unwrap();
        assert_eq!(
            (pinned.tag(), pinned.digest()),
            (None, Some(&Digest::of("")))
        );
        let both: Reference = format!("debian:12@sha256:{HEX}").parse().unwrap();
        assert_eq!(both.familiar(), format!("debian:12@sha256:{HEX}"));
    }

    #[test]
    fn refuses_what_is_not_a_name() {
        let long = "a".repeat(256);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            ":",
            "a:",
            "a:.b",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "Debian",
            "a b",
            "a:b c",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a@sha256:12",
            "a@md5:12",
            "ho_st.de/a",
            "host:port/a",
            "https://ghcr.io/a",
            HEX,
            &long,
            &tag,
            "a:b:c",
            "é",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
