//! Matchers.

use howdah_caddyfile::{Matcher, Pattern};
use http::Version;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;

use super::trip::Trip;
use super::{Failure, uri};

impl Trip<'_> {
    /// Do all of them match? A `file` matcher may fail instead.
    pub(super) fn matches(&mut self, set: &[Matcher]) -> Result<bool, Failure> {
        for matcher in set {
            if !self.matches_one(matcher)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn matches_one(&mut self, matcher: &Matcher) -> Result<bool, Failure> {
        Ok(match matcher {
            Matcher::Path(patterns) => {
                let path = clean(&self.path).to_lowercase();
                patterns.iter().any(|pattern| path_like(pattern, &path))
            }
            Matcher::PathRegexp(name, pattern) => {
                let path = clean(&self.path);
                self.capture(name, pattern, &path)
            }
            Matcher::Method(methods) => methods
                .iter()
                .any(|method| method == self.parts.method.as_str()),
            Matcher::Host(hosts) => {
                let host = uri::without_port(uri::host(&self.parts)).to_lowercase();
                hosts.iter().any(|one| match one.strip_prefix("*.") {
                    Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
                    None => *one == host,
                })
            }
            Matcher::Header(name, patterns) => self.has_header(name, patterns),
            Matcher::HeaderRegexp(name, field, pattern) => {
                let values: Vec<String> = self.header_values(field);
                values
                    .iter()
                    .any(|value| self.capture(name, pattern, value))
            }
            Matcher::Query(pairs) => pairs.iter().all(|(name, pattern)| {
                let mut all = uri::parameters(self.query.as_deref());
                all.any(|(one, value)| one == *name && (pattern == "*" || *pattern == value))
            }),
            Matcher::Protocol(name) => self.speaks(name),
            Matcher::RemoteIp(networks) => {
                let address = self.client.address.ip().to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
            Matcher::File(files) => match self.find_file(files)? {
                Some(found) => {
                    self.matched = Some((found.file, found.rest));
                    true
                }
                None => false,
            },
            Matcher::Vars(name, values) => {
                let source = name.source();
                let value = match self.variables.get(source) {
                    Some(value) => value.clone(),
                    None => self.fill(name),
                };
                values.contains(&value)
            }
            Matcher::Expression(expression) => self.is_true(expression)?,
            Matcher::Not(sets) => {
                for set in sets {
                    if self.matches(set)? {
                        return Ok(false);
                    }
                }
                true
            }
        })
    }

    fn capture(&mut self, name: &str, pattern: &Pattern, text: &str) -> bool {
        let Some(found) = pattern.0.captures(text) else {
            return false;
        };
        let groups = found.iter().enumerate();
        let names = pattern.0.capture_names();
        for ((index, group), group_name) in groups.zip(names) {
            let text = group
                .map(|group| group.as_str().to_owned())
                .unwrap_or_default();
            let key = |group: &str| (name.to_owned(), group.to_owned());
            if let Some(group_name) = group_name {
                self.captures.insert(key(group_name), text.clone());
            }
            self.captures.insert(key(&index.to_string()), text);
        }
        true
    }

    fn header_values(&self, name: &str) -> Vec<String> {
        if name == "host" {
            return vec![uri::host(&self.parts).to_owned()];
        }
        let values = self.parts.headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    fn has_header(&self, name: &str, patterns: &[String]) -> bool {
        if let Some(name) = name.strip_prefix('!') {
            return self.header_values(name).is_empty();
        }
        let values = self.header_values(name);
        if patterns.is_empty() {
            return !values.is_empty();
        }
        patterns
            .iter()
            .any(|pattern| values.iter().any(|value| like(pattern, value)))
    }

    fn speaks(&self, name: &str) -> bool {
        let version = self.parts.version;
        match name {
            "https" => self.client.is_https,
            "http" => !self.client.is_https,
            "grpc" => {
                let content_type = self.parts.headers.get(CONTENT_TYPE);
                content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
            }
            "http/1.0" => version == Version::HTTP_10,
            "http/1.1" => version == Version::HTTP_11,
            "http/1.0+" => true,
            "http/1.1+" => version >= Version::HTTP_11,
            "http/2" => version == Version::HTTP_2,
            "http/2+" => version >= Version::HTTP_2,
            "http/3" | "http/3+" => version == Version::HTTP_3,
            _ => false,
        }
    }
}

/// Decoded, without dot segments and doubled slashes: `/a/%2e%2e/b` must not be another path for a matcher than for a file.
fn clean(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let is_directory = ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end));
    let slash = if is_directory && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", segments.join("/"))
}

/// `*` stands for anything at the beginning and at the end, and for one segment's part in between.
fn path_like(pattern: &str, path: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if !pattern.contains('*') => pattern == path,
        (Some(""), _) => true,
        (Some(rest), Some(_)) if !rest[..rest.len() - 1].contains('*') => {
            path.contains(&rest[..rest.len() - 1])
        }
        (Some(end), None) if !end.contains('*') => path.ends_with(end),
        (None, Some(start)) if !start.contains('*') => path.starts_with(start),
        _ => {
            let (patterns, segments) = (pattern.split('/'), path.split('/'));
            patterns.clone().count() == segments.clone().count()
                && patterns
                    .zip(segments)
                    .all(|(pattern, segment)| like(pattern, segment))
        }
    }
}

/// `*` is anything.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_like_patterns() {
        for (pattern, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/*", "/a/b/c", true),
            ("/a/*", "/a", false),
            ("/a*", "/ab/c", true),
            ("*.css", "/x/y.css", true),
            ("*", "/", true),
            ("*/x/*", "/a/x/b", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/d/c", false),
            ("*.php/*", "/index.php/a", true),
        ] {
            assert_eq!(path_like(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_has_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/a//b/", "/a/b/"),
            ("/a/%2e%2e/b", "/b"),
            ("/../..", "/"),
            ("/%41", "/A"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn stars_in_values() {
        assert!(like("*", ""));
        assert!(like("a*c", "abc") && like("a*b*c", "aXbYc") && like("*b*", "abc"));
        assert!(!like("a*c", "abd") && !like("a", "ab") && !like("a*b*c", "ac"));
    }
}
