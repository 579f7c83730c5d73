//! What to run: `howdah.toml`, a `Procfile` or a `supervisord.conf`, read into one validated value, all faults at once.

mod expand;
mod fault;
mod habits;
mod howdah_toml;
mod identity;
mod ini;
mod procfile;
mod section;
mod supervisord;
#[cfg(test)]
mod tests;
mod validate;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::program::Program;
use expand::Expansions;
pub use fault::Fault;
use fault::Findings;
use section::Section;
use validate::Source;

/// A validated configuration: nothing in it waits to be checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The processes, in the file's order.
    pub programs: Vec<Program>,
    /// What the file says that has no meaning here.
    pub warnings: Vec<Fault>,
}

/// What a configuration depends on beside its file; the binary collects it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The working directory; relative directories and log files start here.
    pub directory: PathBuf,
    /// Our environment, for `%(ENV_X)s`.
    pub environment: BTreeMap<String, String>,
    /// The host's name, for `%(host_node_name)s`.
    pub host_name: String,
    /// Who we are; only root can run programs as somebody else.
    pub user: Uid,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read; the source names it.
    #[error("cannot read the configuration")]
    Read {
        /// What the system said, with the path.
        source: io::Error,
    },
    /// No file was named and none of the usual ones exists.
    #[error("no howdah.toml with [programs], Procfile or supervisord.conf in `{}`", directory.display())]
    NotFound {
        /// Where we looked first.
        directory: PathBuf,
    },
    /// The file is there, and wrong.
    #[error("{faults}")]
    Invalid {
        /// All faults.
        faults: Faults,
    },
}

/// All faults of one configuration, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Fault::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

/// How a file is read, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    HowdahToml,
    Procfile,
    Supervisord,
}

impl Format {
    fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") {
            Self::HowdahToml
        } else if name.starts_with("Procfile") {
            Self::Procfile
        } else {
            Self::Supervisord
        }
    }
}

/// Where a configuration is looked for: in the working directory, then where images put it.
pub const SEARCH_PATH: &[&str] = &[
    "howdah.toml",
    "Procfile",
    "supervisord.conf",
    "etc/supervisord.conf",
    "/etc/howdah/howdah.toml",
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
];

impl Config {
    /// Reads `file`, whatever its format; its name tells which.
    pub fn read(file: &Path, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(file).map_err(|source| ConfigError::Read { source })?;
        Self::parse(file, &text, surroundings)
    }

    /// Reads the first file of [`SEARCH_PATH`] that exists; a `howdah.toml` without `[programs]` does not count.
    pub fn find(surroundings: &Surroundings) -> Result<Self, ConfigError> {
        for candidate in SEARCH_PATH {
            let path = surroundings.directory.join(candidate);
            let text = match fs_err::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ConfigError::Read { source }),
            };
            let says_programs = text.lines().any(|line| {
                line.trim_start_matches([' ', '\t', '['])
                    .starts_with("programs")
            });
            if Format::of(&path) == Format::HowdahToml && !says_programs {
                continue;
            }
            return Self::parse(&path, &text, surroundings);
        }
        Err(ConfigError::NotFound {
            directory: surroundings.directory.clone(),
        })
    }

    /// Validates the text of a file.
    pub fn parse(
        file: &Path,
        text: &str,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigError> {
        let mut findings = Findings::default();
        let mut environment = Vec::new();
        let with_file = |sections: Vec<Section>| {
            sections
                .into_iter()
                .map(|section| (file.to_owned(), section))
                .collect()
        };
        let sections: Vec<(PathBuf, Section)> = match Format::of(file) {
            Format::HowdahToml => with_file(howdah_toml::parse(file, text, &mut findings)),
            Format::Procfile => with_file(procfile::parse(file, text, &mut findings)),
            Format::Supervisord => {
                let contents = supervisord::parse(file, text, &mut findings)?;
                environment = contents.environment;
                contents.sections
            }
        };
        let mut programs = Vec::new();
        for (file, section) in &sections {
            let here = file.parent().unwrap_or(Path::new("")).to_string_lossy();
            let names = Expansions::from_environment(&surroundings.environment)
                .with("here", &here)
                .with("host_node_name", &surroundings.host_name);
            let source = Source {
                file,
                surroundings,
                names,
                environment: environment.clone(),
            };
            programs.extend(validate::programs(&source, section, &mut findings));
        }
        refuse_same_names(&sections, &programs, &mut findings);
        if sections.is_empty() && findings.faults.is_empty() {
            findings.fault(file, 1, "has no program to run");
        }
        if findings.faults.is_empty() {
            return Ok(Self {
                file: file.to_owned(),
                programs,
                warnings: findings.warnings,
            });
        }
        Err(ConfigError::Invalid {
            faults: Faults(findings.faults),
        })
    }
}

/// Two processes of one name could be told apart neither in the log nor by `howdah health`.
fn refuse_same_names(
    sections: &[(PathBuf, Section)],
    programs: &[Program],
    findings: &mut Findings,
) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for program in programs {
        if let Some(other) = seen.insert(&program.name, &program.group) {
            // The later of the two sections is the one to change.
            if let Some((file, section)) = sections
                .iter()
                .rev()
                .find(|(_, section)| section.name == program.group)
            {
                let message = format!(
                    "programs `{other}` and `{}` both have a process named `{}`",
                    program.group, program.name
                );
                findings.fault(file, section.line, message);
            }
        }
    }
}
