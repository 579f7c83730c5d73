//! How the history of an image tells of an instruction: the words of BuildKit (moby/buildkit
//! `frontend/dockerfile/dockerfile2llb/convert.go`), which programs that read histories know.

use std::time::Duration;

use howdah_dockerfile::Files;
use howdah_image::Healthcheck;

use crate::remote::shown;

/// A list as Go prints it: `[a b]`.
pub(super) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(" "))
}

/// A list as Go prints it with quotes: `["a" "b"]`.
pub(super) fn quoted_list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    list(&quoted)
}

/// `{Test:[CMD true] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}`
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries.unwrap_or(0)
    )
}

/// What `COPY` or `ADD` copies and where to; not from where, and without the credentials of an address.
pub(super) fn files(instruction: &str, files: &Files, parents: bool) -> String {
    let mut words = vec![instruction.to_owned()];
    words.extend(parents.then(|| "--parents".to_owned()));
    for (option, value) in [("chown", &files.chown), ("chmod", &files.chmod)] {
        let value = value.as_ref().filter(|value| !value.text.is_empty());
        words.extend(value.map(|value| format!("--{option}={}", value.text)));
    }
    words.extend(files.sources.iter().map(|source| shown(&source.text)));
    words.extend(
        files
            .heredocs
            .iter()
            .map(|heredoc| format!("<<{}", heredoc.name)),
    );
    words.push(files.destination.text.clone());
    format!("{} # howdah", words.join(" "))
}

/// The arguments that a command saw, then the command.
pub(super) fn run(visible: &[String], args: &[String]) -> String {
    let command = args.join(" ");
    match visible {
        [] => format!("RUN {command} # howdah"),
        visible => format!(
            "RUN |{} {} {command} # howdah",
            visible.len(),
            visible.join(" ")
        ),
    }
}

/// Go's `time.Duration.String`: `1h0m0s`, `1.5s`, `250ms`.
fn duration(value: Option<Duration>) -> String {
    let value = value.unwrap_or_default();
    let fraction = |whole: u64, rest: u32, digits: usize, unit: &str| {
        let rest = format!("{rest:0digits$}");
        match rest.trim_end_matches('0') {
            "" => format!("{whole}{unit}"),
            rest => format!("{whole}.{rest}{unit}"),
        }
    };
    let nanoseconds = value.subsec_nanos();
    match value.as_secs() {
        0 if nanoseconds == 0 => "0s".to_owned(),
        0 if nanoseconds < 1_000 => format!("{nanoseconds}ns"),
        0 if nanoseconds < 1_000_000 => {
            fraction((nanoseconds / 1_000).into(), nanoseconds % 1_000, 3, "µs")
        }
        0 => fraction(
            (nanoseconds / 1_000_000).into(),
            nanoseconds % 1_000_000,
            6,
            "ms",
        ),
        seconds => {
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let seconds = fraction(seconds % 60, nanoseconds, 9, "s");
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_go_does() {
        let told = |nanoseconds| duration(Some(Duration::from_nanos(nanoseconds)));
        assert_eq!(duration(None), "0s");
        assert_eq!(told(7), "7ns");
        assert_eq!(told(1_500), "1.5µs");
        assert_eq!(told(250_000_000), "250ms");
        assert_eq!(told(1_050_000_000), "1.05s");
        assert_eq!(told(60_000_000_000), "1m0s");
        assert_eq!(told(3_600_000_000_000), "1h0m0s");
    }
}
