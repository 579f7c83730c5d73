//! Sizes and durations as Go programs read them.

use std::time::Duration;

/// A size in bytes with a binary unit: `64m`, `1.5GiB`, `512` (docker/go-units `RAMInBytes`).
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = &lower[digits.len()..];
    let shift = match unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(unit)
    {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let digits = digits.strip_suffix(' ').unwrap_or(digits);
    if !digits.starts_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    let nanos = decimal(digits, 1_u128 << shift)?;
    u64::try_from(nanos).ok()
}

/// A duration such as `1h30m`, `1.5s` or `250ms` (Go `time.ParseDuration`), as nanoseconds with its sign.
pub(crate) fn parse_duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.len()
            - rest
                .trim_start_matches(|character: char| {
                    character.is_ascii_digit() || character == '.'
                })
                .len();
        let (digits, after) = rest.split_at(number);
        let unit_end = after
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(i128::try_from(decimal(digits, nanos)?).ok()?)?;
        rest = next;
    }
    // Go keeps a duration in 64 bits.
    i64::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

/// The duration, or `None` for zero.
pub(crate) fn nonzero(nanoseconds: i128) -> Option<Duration> {
    u64::try_from(nanoseconds)
        .ok()
        .filter(|&nanoseconds| nanoseconds > 0)
        .map(Duration::from_nanos)
}

/// `digits`, a decimal fraction, times `unit`, rounded down.
fn decimal(digits: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let number = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<u64>().ok()
        }
    };
    // What lies beyond the eighteenth digit is less than any unit can show.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(number(fraction)?) * unit / scale;
    u128::from(number(whole)?)
        .checked_mul(unit)?
        .checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("512", Some(512)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("2 kb", Some(2048)),
            ("10b", Some(10)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1ib", None),
            ("1x", None),
            ("1.2.3", None),
            ("99999999999p", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("250ms", Some(250_000_000)),
            ("3µs", Some(3000)),
            ("-2s", Some(-2_000_000_000)),
            ("+2ns", Some(2)),
            ("", None),
            ("5", None),
            ("-", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("9999999999h", None),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(parse_duration(text), nanoseconds, "{text}");
        }
    }
}
