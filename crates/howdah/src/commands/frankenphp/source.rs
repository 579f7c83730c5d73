//! Where a Caddyfile is, and what it refers to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use howdah_caddyfile::{Caddyfile, CaddyfileError, File, Surroundings};

use super::super::CommandError;
use super::plan;

/// Where FrankenPHP's packages and images have it.
const USUAL: [&str; 3] = [
    "Caddyfile",
    "/etc/frankenphp/Caddyfile",
    "/etc/caddy/Caddyfile",
];
/// A file beyond this is no configuration.
const MOST_BYTES: u64 = 4 << 20;

/// Which configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Source {
    /// The Caddyfile; without it the one here, or in /etc/frankenphp or /etc/caddy.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The configuration's language.
    #[arg(short, long, value_name = "NAME", value_parser = ["caddyfile"])]
    adapter: Option<String>,
    /// Files with variables for the Caddyfile, as NAME=VALUE.
    #[arg(long, value_name = "FILE")]
    pub(super) envfile: Vec<PathBuf>,
    /// Indent the JSON.
    #[arg(short, long)]
    pretty: bool,
    /// Check, too.
    #[arg(long)]
    validate: bool,
}

impl Source {
    /// Reads it. Its faults are told, all of them.
    pub(super) fn load(&self) -> Result<Caddyfile, CommandError> {
        self.parse(&self.read()?)
    }

    /// The file's text.
    pub(super) fn read(&self) -> Result<File, CommandError> {
        let text = match self.path()?.as_path() {
            path if path == Path::new("-") => Ok(File {
                name: "stdin".to_owned(),
                text: std::io::read_to_string(std::io::stdin())?,
            }),
            path => read(path),
        };
        text.map_err(|error| CommandError::new(error).hint("name it with --config FILE"))
    }

    /// Reads the text of a Caddyfile with this environment.
    pub(super) fn parse(&self, file: &File) -> Result<Caddyfile, CommandError> {
        let surroundings = Machine {
            variables: variables(&self.envfile)?,
        };
        howdah_caddyfile::parse(file, &surroundings).map_err(|faults| of_faults(&faults))
    }

    /// The Caddyfile.
    pub(super) fn path(&self) -> Result<PathBuf, CommandError> {
        match &self.config {
            Some(path) => Ok(path.clone()),
            None => usual(),
        }
    }

    pub(super) fn adapt(&self) -> Result<ExitCode, CommandError> {
        let json = plan::adapted(&self.load()?);
        let text = if self.pretty {
            format!("{json:#}")
        } else {
            json.to_string()
        };
        anstream::println!("{text}");
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn validate(&self) -> Result<ExitCode, CommandError> {
        let caddyfile = self.load()?;
        plan::check(&caddyfile)?;
        for warning in &caddyfile.warnings {
            anstream::eprintln!("{}: {}", warning.place, warning.message);
        }
        anstream::println!("Valid configuration");
        Ok(ExitCode::SUCCESS)
    }
}

fn of_faults(faults: &[CaddyfileError]) -> CommandError {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    CommandError::new(lines.join("\n"))
}

fn usual() -> Result<PathBuf, CommandError> {
    let found = USUAL.iter().map(Path::new).find(|path| path.is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        CommandError::new("there is no Caddyfile here")
            .hint("name one with --config FILE, or serve a directory with `frankenphp php-server`")
    })
}

fn read(path: &Path) -> Result<File, String> {
    let size = fs_err::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > MOST_BYTES {
        return Err(format!("`{}` is too large for a Caddyfile", path.display()));
    }
    Ok(File {
        name: path.display().to_string(),
        text: fs_err::read_to_string(path).map_err(|error| error.to_string())?,
    })
}

/// Of `--envfile`: a line each, with quotes around the value if one likes.
fn variables(files: &[PathBuf]) -> Result<Vec<(String, String)>, CommandError> {
    let mut variables = Vec::new();
    for file in files {
        for line in fs_err::read_to_string(file)?.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if line.starts_with('#') {
                continue;
            }
            if let Some((name, value)) = line.split_once('=') {
                let value = value.trim().trim_matches(['"', '\'']);
                variables.push((name.trim().to_owned(), value.to_owned()));
            }
        }
    }
    Ok(variables)
}

/// The files and the environment of this machine.
struct Machine {
    variables: Vec<(String, String)>,
}

impl Surroundings for Machine {
    #[expect(
        clippy::disallowed_methods,
        reason = "`{$NAME}` in a Caddyfile is a variable of the environment"
    )]
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.variables.iter().rev().find(|(one, _)| one == name);
        own.map(|(_, value)| value.clone())
            .or_else(|| std::env::var(name).ok())
    }

    /// A `*` may stand in any part of the path.
    fn import(&self, name: &str, from: &str) -> Result<Vec<File>, String> {
        let directory = Path::new(from).parent().unwrap_or(Path::new(""));
        if !name.contains('*') {
            return read(&directory.join(name)).map(|file| vec![file]);
        }
        let mut found = vec![directory.to_owned()];
        if Path::new(name).is_absolute() {
            found = vec!["/".into()];
        }
        for part in name.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|path| below(path, part)).collect();
        }
        found.retain(|path| path.is_file());
        found.sort();
        found.iter().map(|path| read(path)).collect()
    }
}

/// What is in a directory by this name, which may have stars.
fn below(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains('*') {
        return vec![directory.join(pattern)];
    }
    let here = Path::new(".");
    let readable = if directory.as_os_str().is_empty() {
        here
    } else {
        directory
    };
    let Ok(entries) = fs_err::read_dir(readable) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| fits(pattern, name))
        .map(|name| directory.join(name))
        .collect()
}

/// `*` is anything but the dot of a hidden file.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == name;
    };
    if start.is_empty() && name.starts_with('.') {
        return false;
    }
    let rest = name.strip_prefix(start);
    rest.is_some_and(|rest| {
        (0..=rest.len()).any(|place| rest.is_char_boundary(place) && fits(end, &rest[place..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_imports() {
        assert!(fits("*.caddyfile", "a.caddyfile") && fits("a*c*", "abcd"));
        assert!(!fits("*.caddyfile", ".a.caddyfile") && !fits("*.a", "b"));
    }
}
