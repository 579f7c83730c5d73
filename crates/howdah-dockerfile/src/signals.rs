//! The signals that `STOPSIGNAL` takes: a number, or a name of Linux with or without `SIG` (moby/sys `signal`).

const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// How far real-time signals count up from `RTMIN` and down from `RTMAX`.
const REAL_TIME: std::ops::RangeInclusive<u32> = 1..=15;

/// Whether `text` names a signal.
pub fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let counted = |base: &str| {
        name.strip_prefix(base)
            .and_then(|count| count.parse().ok())
            .is_some_and(|count| REAL_TIME.contains(&count))
    };
    NAMES.contains(&name) || counted("RTMIN+") || counted("RTMAX-")
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn names_and_numbers() {
        for text in ["9", "KILL", "SIGTERM", "sigint", "SIGRTMIN+3", "RTMAX-14"] {
            assert!(is_signal(text), "{text}");
        }
        for text in ["0", "", "SIG", "SIGNOTHING", "RTMIN+99", "SIGRTMIN+"] {
            assert!(!is_signal(text), "{text}");
        }
    }
}
