//! Signal names as Docker takes them: `SIGTERM`, `TERM`, `15`, `RTMIN+3`.

use nix::sys::signal::Signal;

/// The first and last real-time signals as glibc gives them to programs.
const REAL_TIME: (i32, i32) = (34, 64);

/// The signal's number.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    for (prefix, base, sign) in [("RTMIN", REAL_TIME.0, 1), ("RTMAX", REAL_TIME.1, -1)] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let offset = if rest.is_empty() {
                0
            } else {
                rest.parse::<i32>().ok()?
            };
            let number = base + offset;
            return ((REAL_TIME.0..=REAL_TIME.1).contains(&number) && offset * sign >= 0)
                .then_some(number);
        }
    }
    format!("SIG{name}")
        .parse::<Signal>()
        .ok()
        .map(|signal| signal as i32)
}

/// A signal's name.
pub fn name(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, expected) in [
            ("SIGTERM", 15),
            ("quit", 3),
            ("9", 9),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("SIGWINCH", 28),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["", "0", "65", "SIGNOPE", "RTMIN-1", "RTMAX+1"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(name(15), "SIGTERM");
    }
}
