//! Changes of header fields, of the request at once and of the response when it is made.

use howdah_caddyfile::{HeaderAction, HeaderChange};
use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::trip::Trip;
use crate::http::Body;

/// A change whose text is known.
#[derive(Debug)]
pub(super) struct Change {
    name: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Set(String),
    Add(String),
    Default(String),
    Remove,
    Replace(regex::Regex, String),
}

/// Keeps changes of the response until there is one. A step that sets a field wins over what answers later: PHP's own value would
/// otherwise stand beside it.
pub(super) fn remember(trip: &mut Trip<'_>, changes: &[HeaderChange]) {
    let changes = known(trip, changes);
    trip.changes.extend(changes);
}

/// Sets a field of the response, whatever becomes of it.
pub(super) fn set(trip: &mut Trip<'_>, name: &str, value: String) {
    trip.changes.push(Change {
        name: name.to_owned(),
        action: Action::Set(value),
    });
}

pub(super) fn change_request(trip: &mut Trip<'_>, changes: &[HeaderChange]) {
    let changes = known(trip, changes);
    change(&changes, &mut trip.parts.headers);
}

pub(super) fn change(changes: &[Change], headers: &mut HeaderMap) {
    for change in changes {
        change.apply(headers);
    }
}

pub(super) fn apply(trip: &Trip<'_>, answer: &mut Response<Body>) {
    change(&trip.changes, answer.headers_mut());
}

/// Changes with the text that they have for this request.
pub(super) fn known(trip: &Trip<'_>, changes: &[HeaderChange]) -> Vec<Change> {
    let known = |change: &HeaderChange| Change {
        name: change.name.clone(),
        action: match &change.action {
            HeaderAction::Set(value) => Action::Set(trip.fill(value)),
            HeaderAction::Add(value) => Action::Add(trip.fill(value)),
            HeaderAction::Default(value) => Action::Default(trip.fill(value)),
            HeaderAction::Remove => Action::Remove,
            HeaderAction::Replace { find, replace } => {
                Action::Replace(find.0.clone(), trip.fill(replace))
            }
        },
    };
    changes.iter().map(known).collect()
}

impl Change {
    fn apply(&self, headers: &mut HeaderMap) {
        if let (Action::Remove, Some(start)) = (&self.action, self.name.strip_suffix('*')) {
            let names: Vec<HeaderName> = headers
                .keys()
                .filter(|name| name.as_str().starts_with(start))
                .cloned()
                .collect();
            for name in names {
                headers.remove(name);
            }
            return;
        }
        // The name was checked when it was read; a value that a client had a part in may be none.
        let Ok(name) = HeaderName::try_from(self.name.as_str()) else {
            return;
        };
        let value = |text: &str| HeaderValue::try_from(text).ok();
        match &self.action {
            Action::Set(text) => drop(value(text).and_then(|value| headers.insert(name, value))),
            Action::Add(text) => {
                if let Some(value) = value(text) {
                    headers.append(name, value);
                }
            }
            Action::Default(text) => {
                if !headers.contains_key(&name)
                    && let Some(value) = value(text)
                {
                    headers.insert(name, value);
                }
            }
            Action::Remove => drop(headers.remove(name)),
            Action::Replace(find, replace) => {
                if let http::header::Entry::Occupied(mut entry) = headers.entry(name) {
                    for value in entry.iter_mut() {
                        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                        let replaced = find.replace_all(&text, replace.as_str());
                        if let Ok(replaced) = HeaderValue::try_from(&*replaced) {
                            *value = replaced;
                        }
                    }
                }
            }
        }
    }
}
