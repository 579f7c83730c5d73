//! Ranges of bytes (RFC 9110 section 14).

use std::ops::Range;

/// Parts of one request; more is taken as a wish for the whole, because answering it would cost more than it.
const MAX_RANGES: usize = 32;

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: no range, or one that is none.
    Whole,
    /// These parts, none of them empty.
    Parts(Vec<Range<u64>>),
    /// Only parts that are not there: a 416.
    Unsatisfiable,
}

/// What `header` means for a representation of `length` bytes.
pub(crate) fn parse(header: &str, length: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut parts = Vec::new();
    for (count, spec) in set
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
        .enumerate()
    {
        match range(spec, length) {
            Some(part) if count < MAX_RANGES => parts.extend(part),
            _ => return Wanted::Whole,
        }
    }
    // Parts that repeat each other could make the answer many times the file.
    let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
    match parts.len() {
        0 => Wanted::Unsatisfiable,
        1 => Wanted::Parts(parts),
        _ if total > length => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}

/// One range; `None` if it is no range, `Some(None)` if nothing of it is there.
#[expect(
    clippy::option_option,
    reason = "wrong syntax and an empty part are two answers to one look"
)]
fn range(spec: &str, length: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    let part = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (Some(first), None) => first..length,
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
    };
    Some((part.start < part.end).then_some(part))
}

/// Digits, or nothing at all. More than fits is more than any file has.
#[expect(
    clippy::option_option,
    reason = "nothing and not a number are two answers"
)]
fn number(digits: &str) -> Option<Option<u64>> {
    let digits = digits.trim();
    if digits.is_empty() {
        return Some(None);
    }
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::single_range_in_vec_init,
        reason = "one range is what is meant"
    )]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Parts(vec![0..1])),
            ("bytes=0-99", Wanted::Parts(vec![0..10])),
            ("bytes=5-", Wanted::Parts(vec![5..10])),
            ("bytes=-3", Wanted::Parts(vec![7..10])),
            ("bytes=-99", Wanted::Parts(vec![0..10])),
            ("Bytes = 1-2 , 4-5", Wanted::Parts(vec![1..3, 4..6])),
            ("bytes=0-1,20-30", Wanted::Parts(vec![0..2])),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=", Wanted::Unsatisfiable),
            ("bytes=2-1", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=0-,0-", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=0-99999999999999999999", Wanted::Parts(vec![0..10])),
        ] {
            assert_eq!(parse(header, 10), expected, "{header}");
        }
        assert_eq!(parse("bytes=0-0", 0), Wanted::Unsatisfiable);
    }
}
