//! Which coding of its content a client wants (RFC 9110 section 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A coding of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// Best first, if the client has no preference.
    pub(crate) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// Its name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// What is appended to the names of files that are coded so.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Coding::Zstd => "zst",
            Coding::Brotli => "br",
            Coding::Gzip => "gz",
        }
    }
}

/// The codings that the client takes, those it likes best first. Without the header it takes none: RFC 9110 would allow any,
/// but such clients do not decode.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Coding> {
    let mut weighted: Vec<(u16, Coding)> = Coding::ALL
        .into_iter()
        .map(|coding| (weight(headers, coding), coding))
        .filter(|(weight, _)| *weight > 0)
        .collect();
    weighted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    weighted.into_iter().map(|(_, coding)| coding).collect()
}

/// Thousandths; what is not named has the weight of `*`.
fn weight(headers: &HeaderMap, coding: Coding) -> u16 {
    let mut any = 0;
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let elements = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    for element in elements {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case(coding.name())
            || (coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
        {
            return quality(parameters);
        }
        if name == "*" {
            any = quality(parameters);
        }
    }
    any
}

/// `q=0.5`; without it 1, and 0 if it is no number.
fn quality(parameters: &str) -> u16 {
    let Some((_, value)) = parameters.split_once('=') else {
        return 1000;
    };
    let quality: f32 = value.trim().parse().unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the thousandths that the header can have"
    )]
    let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        let names = |header: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, header.parse().unwrap());
            let names: Vec<&str> = accepted(&headers).into_iter().map(Coding::name).collect();
            names.join(" ")
        };
        for (header, expected) in [
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip;q=1.0, br;q=0.5", "gzip br"),
            ("br;q=0, *", "zstd gzip"),
            ("identity", ""),
            ("", ""),
            ("GZIP", "gzip"),
            ("gzip;q=x", ""),
        ] {
            assert_eq!(names(header), expected, "{header}");
        }
        assert!(accepted(&HeaderMap::new()).is_empty());
    }
}
