//! From the path of a URL to a path below the document root, without a way out of it.

use percent_encoding::percent_decode_str;

/// A path that was decoded and checked: it begins with `/`, has no `.` and `..`, no empty segment but perhaps the last, and
/// no NUL. It may hold any other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CleanPath(Vec<u8>);

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathFault {
    /// It holds a NUL or leaves the document root: the request is bad.
    Bad,
    /// It names a hidden file.
    Hidden,
}

impl CleanPath {
    /// Decodes a URL's path as nginx does: percent codes first, then repeated slashes and dot segments, so that encoded dots
    /// and slashes are dots and slashes.
    pub(crate) fn of(path: &str) -> Result<Self, PathFault> {
        let decoded: Vec<u8> = percent_decode_str(path).collect();
        if decoded.contains(&0) {
            return Err(PathFault::Bad);
        }
        let mut segments: Vec<&[u8]> = Vec::new();
        let mut is_directory = true;
        for segment in decoded.split(|byte| *byte == b'/') {
            is_directory = matches!(segment, b"" | b"." | b"..");
            match segment {
                b"" | b"." => {}
                b".." => {
                    segments.pop().ok_or(PathFault::Bad)?;
                }
                name => segments.push(name),
            }
        }
        // `.well-known` is the one hidden name that is there for others (RFC 8615).
        let mut names = segments.iter();
        let first = names.next();
        let hidden_first = first.is_some_and(|name| name[0] == b'.' && *name != b".well-known");
        if hidden_first || names.any(|name| name[0] == b'.') {
            return Err(PathFault::Hidden);
        }
        let mut clean = Vec::with_capacity(decoded.len() + 1);
        for segment in &segments {
            clean.push(b'/');
            clean.extend_from_slice(segment);
        }
        if is_directory {
            clean.push(b'/');
        }
        Ok(Self(clean))
    }

    /// The whole path.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Does it end in a slash?
    pub(crate) fn is_directory(&self) -> bool {
        self.0.ends_with(b"/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_root() {
        let clean = |path| CleanPath::of(path).map(|clean| String::from_utf8(clean.0).unwrap());
        for (path, expected) in [
            ("/", "/"),
            ("/a//b/", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a%2Fb", "/a/b"),
            ("/%61", "/a"),
            ("/a%2e%2e/b", "/a../b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a\\..\\b", "/a\\..\\b"),
            ("/%zz", "/%zz"),
        ] {
            assert_eq!(clean(path).as_deref(), Ok(expected), "{path}");
        }
        for path in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "/a%2f..%2f..%2fb",
            "/a%00.php",
        ] {
            assert_eq!(clean(path), Err(PathFault::Bad), "{path}");
        }
        for path in [
            "/.env",
            "/a/.git/config",
            "/%2eenv",
            "/a/.well-known/x",
            "/.well-known/.x",
        ] {
            assert_eq!(clean(path), Err(PathFault::Hidden), "{path}");
        }
    }
}
