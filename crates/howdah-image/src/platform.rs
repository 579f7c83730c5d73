//! What programs run on: an operating system, a processor, and for some a variant of it, in the words of containerd's
//! package `platforms`, which Docker and BuildKit use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ImageConfig, host_architecture};

/// Operating systems that may stand alone, in Go's names (`go/build/syslist.go`).
const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// Processors that may stand alone, in Go's names.
const ARCHITECTURES: [&str; 17] = [
    "386", "amd64", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64",
    "mips64le", "ppc64", "ppc64le", "riscv64", "s390x", "sparc64", "wasm",
];

/// What an image, or an entry of an index, runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// In Go's names: `amd64`.
    pub architecture: String,
    /// `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text is not a platform.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a platform of the form linux/amd64 or linux/arm/v7")]
pub struct ParsePlatformError(String);

impl Default for Platform {
    /// This machine.
    fn default() -> Self {
        Self::new("linux", host_architecture(), None)
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Reads `os/architecture[/variant]`, or one of the first two alone, under any of their names.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |part: &&str| {
            let mut bytes = part.bytes();
            !part.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        let known = match parts.as_slice() {
            parts if !parts.iter().all(is_plain) => None,
            [one] => Self::of_word(one),
            [os, architecture] => Some(Self::new(os, architecture, None)),
            [os, architecture, variant] => Some(Self::new(os, architecture, Some(variant))),
            _ => None,
        };
        known.ok_or_else(|| ParsePlatformError(text.to_owned()))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        let mut variants = self.variant.iter();
        variants.try_for_each(|variant| write!(formatter, "/{variant}"))
    }
}

impl Platform {
    /// The platform of these names, each of which may be another word for the usual one.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normal(
            &architecture.to_ascii_lowercase(),
            &variant.unwrap_or_default().to_ascii_lowercase(),
        );
        let os = os.to_ascii_lowercase();
        Self {
            os: if os == "macos" {
                "darwin".to_owned()
            } else {
                os
            },
            architecture,
            variant: Some(variant).filter(|variant| !variant.is_empty()),
        }
    }

    /// What the configuration of an image says that it runs on.
    pub fn of(config: &ImageConfig) -> Self {
        Self::new(&config.os, &config.architecture, config.variant.as_deref())
    }

    /// A processor of this machine's operating system, or another operating system on this machine's processor.
    fn of_word(word: &str) -> Option<Self> {
        let system = Self::new(word, host_architecture(), None);
        if SYSTEMS.contains(&system.os.as_str()) {
            return Some(system);
        }
        let processor = Self::new("linux", word, None);
        ARCHITECTURES
            .contains(&processor.architecture.as_str())
            .then_some(processor)
    }

    /// How well an image for `other` suits where this platform is wanted: 0 if it is the same, more for what this platform's
    /// processor runs besides, `None` if it does not suit.
    pub fn rank(&self, other: &Self) -> Option<usize> {
        let other = Self::new(&other.os, &other.architecture, other.variant.as_deref());
        self.suitable()
            .iter()
            .position(|platform| *platform == other)
    }

    /// This platform and those whose programs its processor runs too, the best first (containerd `platforms/compare.go`,
    /// `platformVector`; without the minor versions of arm64, which no image has).
    fn suitable(&self) -> Vec<Self> {
        let architecture = self.architecture.as_str();
        let like = |architecture: &str, version: Option<u32>| {
            let variant = version.map(|version| format!("v{version}"));
            Self::new(&self.os, architecture, variant.as_deref())
        };
        let version = |default| match self.variant.as_deref() {
            None => Some(default),
            Some(variant) => variant.trim_start_matches('v').parse().ok(),
        };
        let mut all = vec![self.clone()];
        match architecture {
            "amd64" => {
                let lower = 1..version(1).unwrap_or(1);
                all.extend(lower.rev().map(|lower| like("amd64", Some(lower))));
                all.push(like("386", None));
            }
            "arm64" => {
                let lower = 8..version(8).unwrap_or(8);
                all.extend(lower.rev().map(|lower| like("arm64", Some(lower))));
                all.extend((5..=8).rev().map(|version| like("arm", Some(version))));
            }
            "arm" => {
                let lower = 5..version(7).unwrap_or(5);
                all.extend(lower.rev().map(|lower| like("arm", Some(lower))));
            }
            _ => {}
        }
        all
    }
}

/// The usual names of a processor and its variant (containerd `platforms/database.go`, `normalizeArch`).
fn normal(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        same => same,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn platforms_have_several_names() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/X86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("linux", &format!("linux/{}", host_architecture())),
            ("macos/arm64", "darwin/arm64"),
            ("linux/no-such", "linux/no-such"),
        ] {
            assert_eq!(platform(text).to_string(), shown, "{text}");
        }
        for text in [
            "",
            "nonsense",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "linux/*",
            "a b/c",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn processors_run_what_older_ones_ran() {
        let ranks = |wanted: &str, others: &[&str]| {
            let wanted = platform(wanted);
            let ranks = others.iter().map(|other| wanted.rank(&platform(other)));
            ranks.collect::<Vec<_>>()
        };
        assert_eq!(
            ranks(
                "linux/amd64",
                &["linux/amd64", "linux/386", "linux/amd64/v2", "linux/arm64"]
            ),
            [Some(0), Some(1), None, None]
        );
        assert_eq!(
            ranks(
                "linux/amd64/v3",
                &[
                    "linux/amd64/v3",
                    "linux/amd64/v2",
                    "linux/amd64",
                    "windows/amd64"
                ]
            ),
            [Some(0), Some(1), Some(2), None]
        );
        assert_eq!(
            ranks(
                "linux/arm/v7",
                &["linux/arm", "linux/arm/v6", "linux/arm/v5", "linux/arm/v8"]
            ),
            [Some(0), Some(1), Some(2), None]
        );
        assert_eq!(
            ranks(
                "linux/arm64",
                &["linux/arm64/v8", "linux/arm/v7", "linux/riscv64"]
            ),
            [Some(0), Some(2), None]
        );
        // As an index of another builder writes it.
        let written = Platform {
            os: "linux".to_owned(),
            architecture: "arm64".to_owned(),
            variant: Some("v8".to_owned()),
        };
        assert_eq!(platform("linux/arm64").rank(&written), Some(0));
    }
}
