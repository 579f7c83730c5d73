//! Which mirror this machine takes Debian's packages from: its own apt configuration (sources.list(5)).

use std::path::Path;

/// Where the archive and its security updates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirrors {
    pub(super) archive: String,
    pub(super) security: String,
}

impl Default for Mirrors {
    fn default() -> Self {
        Self {
            archive: "http://deb.debian.org/debian".to_owned(),
            security: "http://deb.debian.org/debian-security".to_owned(),
        }
    }
}

impl Mirrors {
    /// Those of the machine whose apt configuration is in `etc_apt`; Debian's own where it names none.
    pub(super) fn of_host(etc_apt: &Path) -> Self {
        let mut paths = vec![etc_apt.join("sources.list")];
        if let Ok(entries) = fs_err::read_dir(etc_apt.join("sources.list.d")) {
            let mut more: Vec<_> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            more.sort();
            paths.extend(more);
        }
        // A file that cannot be read names no mirror.
        let texts: Vec<String> = paths
            .iter()
            .filter_map(|path| fs_err::read_to_string(path).ok())
            .collect();
        Self::in_texts(&texts)
    }

    fn in_texts(texts: &[String]) -> Self {
        let uris: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.lines())
            .flat_map(uris)
            .collect();
        let ending = |name: &str| {
            uris.iter()
                .find(|uri| uri.ends_with(name))
                .map(|uri| (*uri).to_owned())
        };
        let default = Self::default();
        Self {
            archive: ending("/debian").unwrap_or(default.archive),
            security: ending("/debian-security").unwrap_or(default.security),
        }
    }
}

/// The addresses on a line of either format: `deb [options] URI suite component` or `URIs: URI URI`.
fn uris(line: &str) -> impl Iterator<Item = &str> {
    let is_source = line.starts_with("deb ") || line.starts_with("URIs:");
    line.split_whitespace()
        .filter(move |word| {
            is_source && (word.starts_with("http://") || word.starts_with("https://"))
        })
        .map(|word| word.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_formats() {
        let list = "# deb http://old/debian x main\ndeb [arch=amd64] http://mirror.example/debian/ bookworm main\n".to_owned();
        let sources =
            "Types: deb\nURIs: http://sec.example/debian-security\nSuites: bookworm-security\n"
                .to_owned();
        let mirrors = Mirrors::in_texts(&[list, sources]);
        assert_eq!(mirrors.archive, "http://mirror.example/debian");
        assert_eq!(mirrors.security, "http://sec.example/debian-security");
        assert_eq!(
            Mirrors::in_texts(&[
                "deb https://deb.nodesource.com/node_20.x nodistro main".to_owned()
            ]),
            Mirrors::default()
        );
    }
}
