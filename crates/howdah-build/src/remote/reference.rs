//! Addresses of Git repositories, as BuildKit reads them (moby/buildkit `frontend/dockerfile/dfgitutil/git_ref.go`,
//! `util/gitutil/git_url.go`).

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// A repository and what of it is wanted: `https://example.com/app.git#main:docker`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GitReference {
    /// What `git fetch` takes; may hold credentials.
    remote: String,
    /// A branch, a tag or a commit; the default branch if absent.
    pub(crate) name: Option<String>,
    /// A directory of the repository.
    pub(crate) subdirectory: String,
    /// The beginning of the commit that must be found.
    pub(crate) checksum: Option<String>,
    /// Keep `.git`.
    pub(crate) keep_git_dir: Option<bool>,
    /// Leave submodules out.
    pub(crate) skip_submodules: bool,
}

/// Why an address of a repository cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is no address of a Git repository: {what}")]
pub struct ParseGitReferenceError {
    /// As given, without credentials.
    address: String,
    /// What is wrong.
    what: String,
}

impl GitReference {
    /// Reads the address of a repository; `None` if it is none but a path, an image or an ordinary URL.
    ///
    /// `http` and `https` are repositories when their path ends in `.git`; `git://`, `ssh://` and `user@host:path` always
    /// are.
    pub fn parse(text: &str) -> Result<Option<GitReference>, ParseGitReferenceError> {
        let Some((remote, query, fragment)) = split(text) else {
            return Ok(None);
        };
        let wrong = |what: String| ParseGitReferenceError {
            address: shown(&remote),
            what,
        };
        // git(1) would take it for an option.
        if remote.starts_with('-') {
            return Err(wrong("it begins with a dash".to_owned()));
        }
        let mut reference = GitReference {
            remote: remote.clone(),
            ..GitReference::default()
        };
        if let Some(fields) = fragment.strip_prefix('#') {
            reference.read_fields(fields.split(',')).map_err(wrong)?;
        } else {
            let (name, subdirectory) = fragment.split_once(':').unwrap_or((&fragment, ""));
            reference.name = Some(name.to_owned()).filter(|name| !name.is_empty());
            subdirectory.clone_into(&mut reference.subdirectory);
        }
        let fields = query.split('&').filter(|field| !field.is_empty());
        reference.read_fields(fields).map_err(wrong)?;
        if reference.name.is_none() {
            reference.name.clone_from(&reference.checksum);
        }
        let name = reference.name.as_deref().unwrap_or_default();
        if name.starts_with('-') || name.contains(char::is_whitespace) || name.contains(':') {
            return Err(wrong(format!("`{name}` is no name of a branch or tag")));
        }
        Ok(Some(reference))
    }

    /// What `git fetch` takes.
    pub(crate) fn remote(&self) -> &str {
        &self.remote
    }

    /// The repository's address without credentials.
    pub(crate) fn shown(&self) -> String {
        shown(&self.remote)
    }

    /// Whether the connection uses SSH, and so the caller's agent.
    pub fn uses_ssh(&self) -> bool {
        self.remote.starts_with("ssh://") || !self.remote.contains("://")
    }

    fn read_fields<'f>(&mut self, fields: impl Iterator<Item = &'f str>) -> Result<(), String> {
        for field in fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = decode(value);
            if value.is_empty() && !["submodules", "keep-git-dir"].contains(&name) {
                return Err(format!("`{name}` has no value"));
            }
            match name {
                "ref" => self.set_name(value)?,
                "tag" => self.set_name(in_namespace("refs/tags/", value))?,
                "branch" => self.set_name(in_namespace("refs/heads/", value))?,
                "subdir" if self.subdirectory.is_empty() || self.subdirectory == value => {
                    self.subdirectory = value;
                }
                "subdir" => return Err("it names two subdirectories".to_owned()),
                "checksum" | "commit" => self.checksum = Some(value),
                "keep-git-dir" => self.keep_git_dir = Some(flag(name, &value)?),
                "submodules" => self.skip_submodules = !flag(name, &value)?,
                // Times are not in a key, and here always those of the commit.
                "mtime" if ["checkout", "commit"].contains(&value.as_str()) => {}
                _ => {
                    return Err(format!(
                        "`{field}` is none of ref, tag, branch, subdir, checksum, keep-git-dir, submodules, mtime"
                    ));
                }
            }
        }
        Ok(())
    }

    fn set_name(&mut self, name: String) -> Result<(), String> {
        match &self.name {
            Some(known) if *known != name => Err(format!("it names both `{known}` and `{name}`")),
            _ => {
                self.name = Some(name);
                Ok(())
            }
        }
    }
}

/// The remote, the query and the fragment of a text that addresses a repository.
fn split(text: &str) -> Option<(String, String, String)> {
    if let Some((user_and_host, rest)) = scp_style(text) {
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let remote = format!("{user_and_host}:{path}");
        return Some((remote, query.to_owned(), fragment.to_owned()));
    }
    let mut url = Url::parse(text).ok()?;
    match url.scheme() {
        "http" | "https" if url.path().strip_suffix(".git").is_some() => {}
        "git" | "ssh" => {}
        _ => return None,
    }
    let query = url.query().unwrap_or_default().to_owned();
    let fragment = decode(url.fragment().unwrap_or_default());
    url.set_query(None);
    url.set_fragment(None);
    Some((url.to_string(), query, fragment))
}

/// `user@host` and the rest of `user@host:path`, the form of scp(1).
fn scp_style(text: &str) -> Option<(&str, &str)> {
    let (user_and_host, rest) = text.split_once(':')?;
    let (user, host) = user_and_host.split_once('@')?;
    let word = |text: &str, more: &str| {
        let good = |character: char| character.is_ascii_alphanumeric() || more.contains(character);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(good)
    };
    (word(user, "-_") && word(host, "-.")).then_some((user_and_host, rest))
}

fn in_namespace(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) {
        name
    } else {
        format!("{prefix}{name}")
    }
}

/// As Go's `strconv.ParseBool`; a bare name means true.
fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{name}` is true or false, not `{value}`")),
    }
}

/// Text with its percent signs decoded.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An address without user and password.
pub(crate) fn shown(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            // Only addresses without a host refuse, and those have no user.
            let _ = url.set_password(None);
            if url.scheme() != "ssh" {
                let _ = url.set_username("");
            }
            url.to_string()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<String>, String) {
        let reference = GitReference::parse(text).unwrap().unwrap();
        (reference.remote, reference.name, reference.subdirectory)
    }

    #[test]
    fn addresses_have_a_name_and_a_directory() {
        let some = |name: &str| Some(name.to_owned());
        for (text, remote, name, directory) in [
            ("https://h/a.git", "https://h/a.git", None, ""),
            ("https://h/a.git#v1", "https://h/a.git", some("v1"), ""),
            (
                "https://h/a.git#:sub/dir",
                "https://h/a.git",
                None,
                "sub/dir",
            ),
            (
                "https://h/a.git#f/x:sub",
                "https://h/a.git",
                some("f/x"),
                "sub",
            ),
            ("git://h/a#main", "git://h/a", some("main"), ""),
            ("ssh://git@h:22/a", "ssh://git@h:22/a", None, ""),
            (
                "git@h.com:o/a.git#main:d",
                "git@h.com:o/a.git",
                some("main"),
                "d",
            ),
            (
                "https://h/a.git?tag=v1&subdir=x",
                "https://h/a.git",
                some("refs/tags/v1"),
                "x",
            ),
            (
                "https://h/a.git?branch=v1",
                "https://h/a.git",
                some("refs/heads/v1"),
                "",
            ),
            (
                "https://h/a.git##ref=v1,subdir=/d",
                "https://h/a.git",
                some("v1"),
                "/d",
            ),
        ] {
            assert_eq!(
                parsed(text),
                (remote.to_owned(), name, directory.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn the_query_asks_for_more() {
        let text = "https://h/a.git?commit=abc&keep-git-dir&submodules=false";
        let reference = GitReference::parse(text).unwrap().unwrap();
        assert_eq!(reference.checksum.as_deref(), Some("abc"));
        assert_eq!(reference.name.as_deref(), Some("abc"));
        assert_eq!(reference.keep_git_dir, Some(true));
        assert!(reference.skip_submodules);
    }

    #[test]
    fn other_texts_are_no_repositories() {
        for text in [
            "src",
            "./a.git",
            "https://h/a.tar.gz",
            "docker-image://a",
            "a:b",
            "ext::sh -c x",
            "file:///a.git",
        ] {
            assert_eq!(GitReference::parse(text), Ok(None), "{text}");
        }
        for text in [
            "https://h/a.git?colour=red",
            "https://h/a.git?ref=",
            "https://h/a.git?ref=a&tag=b",
            "https://h/a.git#--upload-pack=x",
            "https://h/a.git?keep-git-dir=maybe",
        ] {
            assert!(GitReference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(shown("https://me:secret@h/a.git"), "https://h/a.git");
        assert_eq!(shown("git@h:a"), "git@h:a");
        assert_eq!(shown("ssh://git@h/a"), "ssh://git@h/a");
    }
}
