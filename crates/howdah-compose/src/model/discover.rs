//! Which files make up the project, where it lives, and what its variables are.

use std::path::{Path, PathBuf};

use super::canonical::{Base, clean};
use super::dotenv;
use super::fault::{Fault, Findings, Origin};
use super::interpolate::Variables;
use super::load::{LoadError, LoadOptions};

/// File names in Compose's order of preference.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// Files put over a discovered one when they stand beside it.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];
/// The name that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// What discovery found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) base: Base,
    /// The shell's variables over those of the environment files.
    pub(crate) variables: Variables,
}

/// Finds files, directory and variables.
pub(crate) fn discover(options: &LoadOptions, findings: &mut Findings) -> Result<Found, LoadError> {
    let start = options
        .project_directory
        .as_deref()
        .unwrap_or(&options.working_directory);
    // COMPOSE_FILE itself may stand in the `.env` of the starting directory.
    let early = environment(options, start, findings)?;
    let files = files(options, &early)?;
    let first = files.first().filter(|file| file.as_os_str() != STDIN);
    let directory = match (
        &options.project_directory,
        first.and_then(|file| file.parent()),
    ) {
        (Some(directory), _) => clean(&options.working_directory.join(directory)),
        (None, Some(parent)) => parent.to_owned(),
        (None, None) => options.working_directory.clone(),
    };
    let variables = if directory == clean(start) {
        early
    } else {
        environment(options, &directory, findings)?
    };
    let home = options.environment.get("HOME").map(PathBuf::from);
    Ok(Found {
        files,
        base: Base { directory, home },
        variables,
    })
}

fn files(options: &LoadOptions, variables: &Variables) -> Result<Vec<PathBuf>, LoadError> {
    let absolute = |file: &Path| {
        if file.as_os_str() == STDIN {
            file.to_owned()
        } else {
            clean(&options.working_directory.join(file))
        }
    };
    if !options.files.is_empty() {
        return Ok(options.files.iter().map(|file| absolute(file)).collect());
    }
    if let Some(list) = variables
        .get("COMPOSE_FILE")
        .filter(|list| !list.is_empty())
    {
        let separator = variables
            .get("COMPOSE_PATH_SEPARATOR")
            .map_or(":", String::as_str);
        return Ok(list
            .split(separator)
            .map(|file| absolute(Path::new(file)))
            .collect());
    }
    let start = match &options.project_directory {
        Some(directory) => options.working_directory.join(directory),
        None => options.working_directory.clone(),
    };
    for directory in start.ancestors() {
        let Some(file) = NAMES
            .iter()
            .map(|name| directory.join(name))
            .find(|path| path.is_file())
        else {
            continue;
        };
        let over = OVERRIDES
            .iter()
            .map(|name| directory.join(name))
            .find(|path| path.is_file());
        return Ok(std::iter::once(file).chain(over).collect());
    }
    Err(LoadError::NotFound { directory: start })
}

/// The shell's variables over those of `--env-file`, `COMPOSE_ENV_FILES` or `<directory>/.env`.
fn environment(
    options: &LoadOptions,
    directory: &Path,
    findings: &mut Findings,
) -> Result<Variables, LoadError> {
    let listed = options
        .environment
        .get("COMPOSE_ENV_FILES")
        .filter(|list| !list.is_empty());
    let files: Vec<PathBuf> = match listed {
        _ if !options.env_files.is_empty() => options.env_files.clone(),
        Some(list) => list.split(',').map(PathBuf::from).collect(),
        None => Some(directory.join(".env"))
            .filter(|file| file.is_file())
            .into_iter()
            .collect(),
    };
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| options.working_directory.join(file))
        .collect();
    env_files(&files, &options.environment, findings)
}

/// Reads environment files, later ones over earlier ones and `over` over all.
pub(crate) fn env_files(
    files: &[PathBuf],
    over: &Variables,
    findings: &mut Findings,
) -> Result<Variables, LoadError> {
    let mut variables = Variables::new();
    for file in files {
        let text = fs_err::read_to_string(file).map_err(|source| LoadError::Read { source })?;
        let mut known = variables.clone();
        known.extend(over.clone());
        match dotenv::parse(&text, &known) {
            Ok(pairs) => variables.extend(
                pairs
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?))),
            ),
            Err(error) => {
                let origin = Origin {
                    file: file.as_path().into(),
                    line: error.line(),
                    column: 1,
                };
                let cause = std::error::Error::source(&error)
                    .map_or(String::new(), |cause| format!(": {cause}"));
                findings.fault(Fault::at(&origin, format!("{error}{cause}")));
            }
        }
    }
    variables.extend(over.clone());
    Ok(variables)
}

/// A directory's name as a project name: lower case, `[a-z0-9_-]` only, starting with a letter or digit.
pub(crate) fn normalise_name(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_compose_does() {
        for (name, expected) in [
            ("Invoices", "invoices"),
            ("my.app 2", "myapp2"),
            ("_-x", "x"),
            ("Größe", "gre"),
            ("a_b-c", "a_b-c"),
        ] {
            assert_eq!(normalise_name(name), expected);
        }
    }
}
