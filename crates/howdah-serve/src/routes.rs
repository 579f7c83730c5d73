//! Parts of an application with PHP of their own: slow exports that must not take the workers of everything else.

use crate::backend::Backend;
use crate::files::path::CleanPath;
use crate::pool::PhpRequest;

/// Back ends side by side.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    rest: Backend,
}

/// A back end for some requests.
#[derive(Debug)]
pub struct Route {
    /// Any of these paths; the first route that has the path of a request answers it. Without paths it is for the requests that
    /// a site sends to its worker script.
    pub paths: Vec<Pattern>,
    /// Who answers.
    pub backend: Backend,
}

/// A path, decoded, in which each `*` stands for any characters, slashes included: `/export/*`, `*.pdf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Routes {
    /// `rest`: for the requests of no route.
    pub fn new(routes: Vec<Route>, rest: Backend) -> Self {
        Self { routes, rest }
    }

    pub(crate) fn of(&self, request: &PhpRequest) -> &Backend {
        let sent = request.routed.as_ref().and_then(|routed| routed.worker);
        let route = match sent {
            Some(place) => self.routes.get(place),
            None => self.by_path(request.parts.uri.path()),
        };
        route.map_or(&self.rest, |route| &route.backend)
    }

    fn by_path(&self, path: &str) -> Option<&Route> {
        // What is no path is nobody's route.
        let path = CleanPath::of(path).ok()?;
        let has = |pattern: &Pattern| pattern.matches(path.as_bytes());
        self.routes.iter().find(|route| route.paths.iter().any(has))
    }

    /// Those of the routes, in their order.
    pub(crate) fn behind(&self) -> impl Iterator<Item = &Backend> {
        self.routes.iter().map(|route| &route.backend)
    }

    /// The one for the rest comes first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Backend> {
        std::iter::once(&self.rest).chain(self.behind())
    }
}

impl Pattern {
    /// As it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn matches(&self, path: &[u8]) -> bool {
        let mut parts = self.0.as_bytes().split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = path.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // Each as early as possible leaves most for those behind it.
        for part in parts {
            let Some(at) = find(rest, part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/export", "/export", true),
            ("/export", "/export/1", false),
            ("/export/*", "/export/1/2", true),
            ("/export/*", "/export", false),
            ("/export*", "/export", true),
            ("*.pdf", "/a/b.pdf", true),
            ("*.pdf", "/a/b.pdf/", false),
            ("/*/report/*", "/a/b/report/c", true),
            ("/*/report/*", "/report/c", false),
            ("/a*b*b", "/ab", false),
            ("/a*b*b", "/abb", true),
            ("/a**b", "/ab", true),
            ("*", "/anything", true),
        ] {
            let is_match = Pattern::new(pattern).matches(path.as_bytes());
            assert_eq!(is_match, expected, "{pattern} {path}");
        }
    }
}
