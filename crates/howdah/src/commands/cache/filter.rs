//! `--filter` of `howdah cache`.

use howdah_build::{Item, ItemKind, Prune};

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Unused for so many milliseconds.
    Unused(i64),
    /// The beginning of an id.
    Id(String),
    /// A kind.
    Kind(ItemKind),
}

impl Filter {
    pub(super) fn matches(&self, item: &Item, now: i64) -> bool {
        match self {
            Filter::Unused(time) => item.unused_for(now) > *time,
            Filter::Id(id) => item.id.starts_with(id),
            Filter::Kind(kind) => item.kind == *kind,
        }
    }

    pub(super) fn add_to(&self, prune: &mut Prune) {
        match self {
            Filter::Unused(time) => prune.unused_for = Some(*time),
            Filter::Id(id) => prune.ids.push(id.clone()),
            Filter::Kind(kind) => prune.kind = Some(*kind),
        }
    }
}

/// `until=24h`, `unused-for=90m`, `id=1234`, `type=exec.cachemount`, as `docker builder prune` has them.
pub(super) fn parse(text: &str) -> Result<Filter, String> {
    let (name, value) = text.split_once('=').ok_or("has no `=`")?;
    match name {
        "until" | "unused-for" => duration(value).map(Filter::Unused),
        "id" => Ok(Filter::Id(value.to_owned())),
        "type" => match value {
            "regular" => Ok(Filter::Kind(ItemKind::Step)),
            "exec.cachemount" => Ok(Filter::Kind(ItemKind::Mount)),
            _ => Err("the types are regular and exec.cachemount".to_owned()),
        },
        _ => Err("the filters are until, unused-for, id and type".to_owned()),
    }
}

/// A duration as Go writes it, with days and weeks beside: `24h`, `1h30m`, `45s`, `7d`; in milliseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let wrong = || "a time is written like 24h, 90m or 7d".to_owned();
    let mut milliseconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .ok_or_else(wrong)?;
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (unit, length) = match rest.as_bytes() {
            [b'm', b's', ..] => (1, 2),
            [b's', ..] => (1000, 1),
            [b'm', ..] => (60_000, 1),
            [b'h', ..] => (3_600_000, 1),
            [b'd', ..] => (86_400_000, 1),
            [b'w', ..] => (604_800_000, 1),
            _ => return Err(wrong()),
        };
        rest = &rest[length..];
        milliseconds = number
            .checked_mul(unit)
            .and_then(|more| milliseconds.checked_add(more))
            .ok_or_else(wrong)?;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(milliseconds)
    }
}

/// A size as Docker takes it: `512MB`, `10GB`, `1.5g`, plain bytes. Powers of 1024, as `go-units` `RAMInBytes`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is written like 10GB or 512MB".to_owned();
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().map_err(|_| wrong())?;
    let power = match lower[digits..]
        .trim()
        .trim_end_matches('b')
        .trim_end_matches('i')
    {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    let bytes = number * 1024_f64.powi(power);
    if !bytes.is_finite() || bytes > 1e18 {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1e18"
    )]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_filters() {
        assert_eq!(duration("24h"), Ok(86_400_000));
        assert_eq!(duration("1h30m5s10ms"), Ok(5_405_010));
        for text in ["", "5", "h", "5y", "-3h", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(size("10GB"), Ok(10 << 30));
        assert_eq!(size("1.5k"), Ok(1536));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for text in ["", "GB", "1x", "1e400", "-1"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(parse("until=1s"), Ok(Filter::Unused(1000)));
        assert_eq!(
            parse("type=exec.cachemount"),
            Ok(Filter::Kind(ItemKind::Mount))
        );
        assert!(parse("until").is_err() && parse("colour=red").is_err());
    }
}
