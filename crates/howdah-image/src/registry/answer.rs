//! What a registry's answers mean when they are not the hoped ones.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::{RegistryError, transport};

/// A failed answer's body is only looked at for words.
const LARGEST_COMPLAINT: u64 = 64 << 10;
/// Words of a registry that are shown at most.
const LONGEST_WORDS: usize = 300;

/// A status that says more of the server's moment than of the request.
pub(super) fn is_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 500 | 502 | 503 | 504)
}

/// What a status that was not hoped for means.
pub(super) async fn answer_error(
    registry: &str,
    reference: &str,
    mut response: Response,
) -> RegistryError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let said = words_of(&mut response).await;
    match status {
        StatusCode::NOT_FOUND => RegistryError::NotFound(reference.to_owned()),
        StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited {
            registry: registry.to_owned(),
            said,
            retry_after,
        },
        status => RegistryError::Failed {
            reference: reference.to_owned(),
            status,
            retry_after,
            said,
        },
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3), or as a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// What a registry says of a failure: the errors of the distribution specification ("Error Codes"), or a token server's `details`.
pub(super) async fn words_of(response: &mut Response) -> String {
    let Ok(Some(body)) = transport::body(response, LARGEST_COMPLAINT).await else {
        return String::new();
    };
    words_in(&body)
}

fn words_in(body: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::new();
    };
    let error = &answer["errors"][0];
    let words = [
        &error["message"],
        &error["code"],
        &answer["details"],
        &answer["error_description"],
        &answer["message"],
    ];
    let first = words
        .iter()
        .filter_map(|value| value.as_str())
        .find(|text| !text.is_empty());
    // Whatever a registry writes must not move the cursor of a terminal.
    first
        .unwrap_or_default()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(LONGEST_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_found_and_tamed() {
        let body = br#"{"errors":[{"code":"DENIED","message":"requested access\u001b[2J is denied","detail":null}]}"#;
        assert_eq!(words_in(body), "requested access [2J is denied");
        assert_eq!(
            words_in(br#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(words_in(b"<html>"), "");
        assert_eq!(
            words_in(&format!(r#"{{"message":"{}"}}"#, "x".repeat(1000)).into_bytes()).len(),
            LONGEST_WORDS
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
