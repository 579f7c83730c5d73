//! `supervisord.conf`: `[program:x]` sections; the daemon's own sections are accepted and have no effect.

use std::path::{Path, PathBuf};

use super::fault::{Findings, suggestion};
use super::ini::{self, IniSection};
use super::section::{Section, Setting, Value};
use super::{ConfigError, words};

/// Includes of one file; more is a mistake.
const MOST_INCLUDED: usize = 256;

/// What a supervisord.conf and the files it includes hold.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The programs, each with the file it stands in.
    pub(crate) sections: Vec<(PathBuf, Section)>,
    /// `environment` of `[supervisord]`, for all programs.
    pub(crate) environment: Vec<(String, String)>,
}

/// Reads `text`, and the files its `[include]` names.
pub(crate) fn parse(
    file: &Path,
    text: &str,
    findings: &mut Findings,
) -> Result<Contents, ConfigError> {
    let mut contents = Contents::default();
    let mut included = Vec::new();
    for section in ini::parse(file, text, findings) {
        if section.name == "include" {
            included.extend(include(file, &section, findings));
        } else {
            add(file, section, &mut contents, findings);
        }
    }
    for path in included {
        let text = fs_err::read_to_string(&path).map_err(|source| ConfigError::Read { source })?;
        for section in ini::parse(&path, &text, findings) {
            // supervisord: an included file's own [include] is not followed.
            add(&path, section, &mut contents, findings);
        }
    }
    Ok(contents)
}

fn add(file: &Path, section: IniSection, contents: &mut Contents, findings: &mut Findings) {
    let (kind, name) = section.name.split_once(':').unwrap_or((&section.name, ""));
    match kind.trim() {
        "program" => {
            let settings = section.entries.into_iter();
            let settings = settings.map(|entry| Setting {
                key: entry.key,
                value: Value::Text(entry.value),
                line: entry.line,
            });
            let section = Section {
                name: name.trim().to_owned(),
                line: section.line,
                settings: settings.collect(),
            };
            contents.sections.push((file.to_owned(), section));
        }
        "supervisord" => daemon(file, &section, contents, findings),
        "unix_http_server" | "inet_http_server" | "supervisorctl" | "rpcinterface"
        | "ctlplugin" | "group" | "include" => {
            findings.warn(
                file,
                section.line,
                format!("[{}] has no effect here", section.name),
            );
        }
        "eventlistener" => {
            let message = format!(
                "[{}] is not run: there are no events; `essential` replaces the usual quit-on-failure listener",
                section.name
            );
            findings.warn(file, section.line, message);
        }
        "fcgi-program" => {
            findings.fault(
                file,
                section.line,
                format!(
                    "[{}] is not supported: let php-fpm listen itself",
                    section.name
                ),
            );
        }
        other => {
            let known = [
                "program",
                "supervisord",
                "include",
                "group",
                "eventlistener",
                "supervisorctl",
            ];
            let message = format!("unknown section [{}]", section.name);
            findings.fault_with_hint(file, section.line, message, suggestion(other, known));
        }
    }
}

/// `[supervisord]`: its `environment` is every program's; the rest is about a daemon that we are not.
fn daemon(file: &Path, section: &IniSection, contents: &mut Contents, findings: &mut Findings) {
    let mut without_effect = Vec::new();
    for entry in &section.entries {
        match entry.key.as_str() {
            "environment" => match words::pairs(&entry.value) {
                Ok(pairs) => contents.environment.extend(pairs),
                Err(reason) => {
                    let message = format!("`environment` of [supervisord] {reason}");
                    findings.fault(file, entry.line, message);
                }
            },
            "nodaemon" => {}
            other => without_effect.push(other),
        }
    }
    if !without_effect.is_empty() {
        let keys = without_effect.join(", ");
        findings.warn(
            file,
            section.line,
            format!("[supervisord]: no effect here: {keys}"),
        );
    }
}

/// The files that `files = a.conf conf.d/*.conf` names, relative to the including file, sorted as supervisord does.
fn include(file: &Path, section: &IniSection, findings: &mut Findings) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in &section.entries {
        if entry.key != "files" {
            findings.fault(
                file,
                entry.line,
                format!(
                    "unknown key `{}` in [include]; it has only `files`",
                    entry.key
                ),
            );
            continue;
        }
        for pattern in entry.value.split_whitespace() {
            let path = file.parent().unwrap_or(Path::new("")).join(pattern);
            let mut matches = matching(&path);
            matches.sort();
            found.extend(matches);
        }
        if found.len() > MOST_INCLUDED {
            findings.fault(
                file,
                entry.line,
                format!("`files` matches more than {MOST_INCLUDED} files"),
            );
            found.clear();
        }
    }
    found
}

/// Files a path stands for, with `*` and `?` in its last part.
fn matching(path: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(pattern)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Vec::new();
    };
    if !pattern.contains(['*', '?']) {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let visible = names
        .filter(|name| !name.starts_with('.') && wildcard(pattern.as_bytes(), name.as_bytes()));
    visible.map(|name| directory.join(name)).collect()
}

/// `*` and `?` as in glob(7). The last star is the only one that ever needs to give back what it took.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_glob() {
        assert!(wildcard(b"*.conf", b"worker.conf"));
        assert!(wildcard(b"a*b*c", b"axxbyybzc"));
        assert!(wildcard(b"?.conf*", b"a.conf"));
        assert!(!wildcard(b"*.conf", b"worker.conf.bak"));
        assert!(!wildcard(b"?", b""));
    }
}
