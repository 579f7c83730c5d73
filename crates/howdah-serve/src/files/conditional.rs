//! Conditional requests (RFC 9110 section 13): may the response be left out, or must the request fail?

use std::time::SystemTime;

use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, StatusCode};

/// What identifies the state of a representation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validators<'a> {
    /// The entity tag with its quotes, and `W/` if it is weak.
    pub(crate) etag: &'a str,
    /// Time of the last change.
    pub(crate) modified: SystemTime,
}

impl Validators<'_> {
    /// Evaluates the preconditions of a GET or HEAD in the order of section 13.2.2: the status that answers it instead of the
    /// content, if any.
    pub(crate) fn evaluate(&self, headers: &HeaderMap) -> Option<StatusCode> {
        let must_match = list(headers, &IF_MATCH);
        let failed = match must_match {
            Some(tags) => !self.matches(&tags, Comparison::Strong),
            None => date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|since| self.is_after(since)),
        };
        if failed {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let unchanged = match list(headers, &IF_NONE_MATCH) {
            Some(tags) => self.matches(&tags, Comparison::Weak),
            None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| !self.is_after(since)),
        };
        unchanged.then_some(StatusCode::NOT_MODIFIED)
    }

    /// Does `If-Range` allow parts (section 13.1.5)? It does when it is absent.
    pub(crate) fn allows_ranges(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else {
            return true;
        };
        let value = value.to_str().unwrap_or_default().trim();
        if value.contains('"') {
            return !value.starts_with("W/") && value == self.etag;
        }
        httpdate::parse_http_date(value).is_ok_and(|date| seconds(date) == seconds(self.modified))
    }

    fn matches(&self, tags: &str, comparison: Comparison) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        tags.trim() == "*"
            || split_tags(tags).any(|tag| match comparison {
                Comparison::Strong => tag == self.etag && !tag.starts_with("W/"),
                Comparison::Weak => opaque(tag) == opaque(self.etag),
            })
    }

    /// Dates on the wire have whole seconds.
    fn is_after(&self, since: SystemTime) -> bool {
        seconds(self.modified) > seconds(since)
    }
}

#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// All lines of a header as one list.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// A date that cannot be read is as if it were not there (section 13.1.3).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// The entity tags of a list; commas inside of quotes belong to the tag.
fn split_tags(tags: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    tags.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn evaluate(etag: &str, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        Validators { etag, modified }
            .evaluate(&headers)
            .map(|status| status.as_u16())
    }

    #[test]
    fn preconditions_in_their_order() {
        const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        for (headers, expected) in [
            (&[][..], None),
            (&[("if-none-match", "\"a\"")], Some(304)),
            (&[("if-none-match", "W/\"a\"")], Some(304)),
            (&[("if-none-match", "\"x,\", \"a\"")], Some(304)),
            (&[("if-none-match", "*")], Some(304)),
            (&[("if-none-match", "\"b\"")], None),
            (&[("if-modified-since", SAME)], Some(304)),
            (&[("if-modified-since", EARLIER)], None),
            (&[("if-modified-since", "yesterday")], None),
            (
                &[("if-none-match", "\"b\""), ("if-modified-since", SAME)],
                None,
            ),
            (&[("if-match", "\"b\"")], Some(412)),
            (&[("if-match", "W/\"a\"")], Some(412)),
            (&[("if-match", "\"a\"")], None),
            (&[("if-unmodified-since", EARLIER)], Some(412)),
            (
                &[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)],
                None,
            ),
            (
                &[("if-unmodified-since", EARLIER), ("if-none-match", "\"a\"")],
                Some(412),
            ),
        ] {
            assert_eq!(evaluate("\"a\"", headers), expected, "{headers:?}");
        }
        assert_eq!(
            evaluate("W/\"a\"", &[("if-none-match", "\"a\"")]),
            Some(304)
        );
        assert_eq!(evaluate("W/\"a\"", &[("if-match", "W/\"a\"")]), Some(412));
    }
}
