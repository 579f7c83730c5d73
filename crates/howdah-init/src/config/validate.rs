//! From a section's settings to the validated [`Program`]s, one per process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::expand::Expansions;
use super::fault::Findings;
use super::section::{Reader, Section, Value, check_keys};
use super::{Surroundings, habits, identity, words};
use crate::program::{Autorestart, Check, Identity, Policy, Probe, Program, Reach, Sink};

/// More processes of one program than any machine runs; a typing mistake.
const MOST_PROCESSES: u32 = 1000;

/// What the sections of one file share.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) names: Expansions,
    /// Variables the file sets for all programs.
    pub(crate) environment: Vec<(String, String)>,
}

/// Validates one section into the processes it asks for.
pub(crate) fn programs(
    source: &Source<'_>,
    section: &Section,
    findings: &mut Findings,
) -> Vec<Program> {
    check_keys(source.file, section, findings);
    if section.name.is_empty()
        || section
            .name
            .contains(|c: char| c.is_whitespace() || c.is_control() || ":/".contains(c))
    {
        let message = format!(
            "program name `{}` may not be empty or contain blanks, `:` or `/`",
            section.name
        );
        findings.fault(source.file, section.line, message);
        return Vec::new();
    }
    let names = source
        .names
        .clone()
        .with("program_name", &section.name)
        .with("group_name", &section.name);
    let mut reader = Reader {
        file: source.file,
        section,
        names: &names,
        findings,
    };
    let count = reader.number("numprocs", 1, 1);
    let first = reader.number("numprocs_start", 0, 0);
    if count > MOST_PROCESSES {
        reader.fault(
            "numprocs",
            format!("must be at most {MOST_PROCESSES}, not `{count}`"),
        );
        return Vec::new();
    }
    let numbers = first..first.saturating_add(count);
    let one = |number| {
        let names = names
            .clone()
            .with("process_num", &number)
            .with("numprocs", &count);
        process(
            source,
            Reader {
                file: source.file,
                section,
                names: &names,
                findings,
            },
            count,
        )
    };
    numbers.filter_map(one).collect()
}

fn process(source: &Source<'_>, mut reader: Reader<'_>, count: u32) -> Option<Program> {
    let group = reader.section.name.clone();
    let many = "%(program_name)s_%(process_num)02d";
    if count > 1 && reader.has("process_name") {
        let written = reader
            .section
            .settings
            .iter()
            .rev()
            .find(|setting| setting.key == "process_name");
        if !written.is_some_and(
            |s| matches!(&s.value, Value::Text(text) if text.contains("%(process_num)")),
        ) {
            reader.fault(
                "process_name",
                format!("must contain %(process_num) when `numprocs` is {count}: `{many}`"),
            );
        }
    }
    let default = if count > 1 {
        reader.names.expand(many).ok()?
    } else {
        group.clone()
    };
    let name = reader.text("process_name").unwrap_or(default);
    let command = command(&mut reader);
    let (stdout, stderr) = sinks(&mut reader, source);
    let mut environment = source.environment.clone();
    environment.extend(variables(&mut reader));
    Some(Program {
        directory: reader
            .text("directory")
            .map(|written| source.surroundings.directory.join(written)),
        identity: user(&mut reader, source.surroundings),
        umask: reader.parsed("umask", None, umask),
        environment,
        stdout,
        stderr,
        policy: policy(&mut reader, &command),
        check: check(&mut reader),
        name,
        group,
        command,
    })
}

fn command(reader: &mut Reader<'_>) -> Vec<String> {
    let words = match reader.value("command") {
        Some(Value::Text(text)) => words::split(&text).unwrap_or_else(|reason| {
            reader.fault("command", reason);
            vec![text]
        }),
        Some(Value::List(words)) => words,
        Some(Value::Table(_)) => Vec::new(),
        None if reader.has("command") => return Vec::new(),
        None => {
            let message = format!("program `{}` has no `command`", reader.section.name);
            reader
                .findings
                .fault(reader.file, reader.section.line, message);
            return Vec::new();
        }
    };
    if words.first().is_none_or(String::is_empty) {
        reader.fault("command", "must name an executable");
    }
    if words.iter().any(|word| word.contains('\0')) {
        reader.fault("command", "may not contain a NUL character");
    }
    words
}

fn policy(reader: &mut Reader<'_>, command: &[String]) -> Policy {
    let default = Policy::default();
    let stop_as_group = reader.boolean("stopasgroup", default.stop_reach == Reach::Group);
    let kill_as_group = reader.boolean("killasgroup", default.kill_reach == Reach::Group);
    if stop_as_group && !kill_as_group {
        reader.fault("killasgroup", "cannot be false when `stopasgroup` is true");
    }
    let reach = |group: bool| if group { Reach::Group } else { Reach::Leader };
    let habit = habits::stop_wait(command).as_secs();
    let policy = Policy {
        autostart: reader.boolean("autostart", default.autostart),
        autorestart: reader.parsed("autorestart", default.autorestart, autorestart),
        exit_codes: exit_codes(reader).unwrap_or(default.exit_codes),
        start_time: seconds(reader, "startsecs", default.start_time.as_secs()),
        start_retries: reader.number("startretries", default.start_retries, 0),
        stop_signal: reader.parsed("stopsignal", habits::stop_signal(command), signal),
        stop_wait: seconds(reader, "stopwaitsecs", habit),
        stop_reach: reach(stop_as_group),
        kill_reach: reach(kill_as_group),
        priority: reader.parsed("priority", default.priority, |text| {
            text.parse()
                .map_err(|_| format!("must be a whole number, not `{text}`"))
        }),
        essential: reader.boolean("essential", default.essential),
    };
    if !policy.autostart {
        reader.warn(
            "autostart",
            "is false: nothing starts it, there is no start command yet",
        );
    }
    policy
}

fn seconds(reader: &mut Reader<'_>, key: &str, default: u64) -> Duration {
    let default = u32::try_from(default).unwrap_or(u32::MAX);
    Duration::from_secs(reader.number(key, default, 0).into())
}

fn autorestart(text: &str) -> Result<Autorestart, String> {
    match super::section::boolean(text) {
        Some(true) => Ok(Autorestart::Always),
        Some(false) => Ok(Autorestart::Never),
        None if text.eq_ignore_ascii_case("unexpected") => Ok(Autorestart::Unexpected),
        None => Err(format!("must be true, false or unexpected, not `{text}`")),
    }
}

/// `TERM`, `SIGTERM` or `15`.
fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_uppercase();
    let full = if name.starts_with("SIG") {
        name
    } else {
        format!("SIG{name}")
    };
    let number = text
        .parse::<i32>()
        .ok()
        .and_then(|number| Signal::try_from(number).ok());
    number
        .or_else(|| full.parse().ok())
        .ok_or_else(|| format!("must be a signal such as TERM or QUIT, not `{text}`"))
}

fn umask(text: &str) -> Result<Option<u32>, String> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mask) if mask <= 0o777 => Ok(Some(mask)),
        _ => Err(format!("must be an octal mask such as 022, not `{text}`")),
    }
}

fn exit_codes(reader: &mut Reader<'_>) -> Option<Vec<i32>> {
    let written: Vec<String> = match reader.value("exitcodes")? {
        Value::Text(text) => text.split(',').map(|code| code.trim().to_owned()).collect(),
        Value::List(codes) => codes,
        Value::Table(_) => Vec::new(),
    };
    let codes = written
        .iter()
        .map(|code| code.parse::<u8>().map(i32::from))
        .collect::<Result<Vec<_>, _>>();
    match codes {
        Ok(codes) if !codes.is_empty() => Some(codes),
        _ => {
            reader.fault(
                "exitcodes",
                format!(
                    "must be codes from 0 to 255, such as 0,2, not `{}`",
                    written.join(",")
                ),
            );
            None
        }
    }
}

fn variables(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let pairs = match reader.value("environment") {
        None => return Vec::new(),
        Some(Value::Table(pairs)) => Ok(pairs),
        Some(Value::Text(text)) => words::pairs(&text),
        Some(Value::List(items)) => items
            .iter()
            .map(|item| words::pairs(item))
            .collect::<Result<Vec<_>, _>>()
            .map(|p| p.concat()),
    };
    match pairs {
        Ok(pairs)
            if pairs
                .iter()
                .all(|(key, value)| !key.contains(['=', '\0']) && !value.contains('\0')) =>
        {
            pairs
        }
        Ok(_) => {
            reader.fault(
                "environment",
                "has a name or value with a character no environment can hold",
            );
            Vec::new()
        }
        Err(reason) => {
            reader.fault("environment", reason);
            Vec::new()
        }
    }
}

fn user(reader: &mut Reader<'_>, surroundings: &Surroundings) -> Option<Identity> {
    let written = reader.text("user")?;
    let identity = identity::resolve(Path::new("/etc"), &written)
        .map_err(|reason| reader.fault("user", reason))
        .ok()?;
    if surroundings.user == identity.user {
        return None;
    }
    if !surroundings.user.is_root() {
        let id = surroundings.user;
        reader.warn(
            "user",
            format!("is `{written}`, but only root can change users: it runs as user id {id}"),
        );
        return None;
    }
    Some(identity)
}

/// Where both streams go; each defaults to our own stream of that name.
fn sinks(reader: &mut Reader<'_>, source: &Source<'_>) -> (Sink, Sink) {
    let stdout = sink(reader, ["stdout_logfile", "stdout"], Sink::Stdout, source);
    if reader.boolean("redirect_stderr", false) {
        for key in ["stderr_logfile", "stderr"] {
            if reader.has(key) {
                reader.warn(key, "has no effect, because `redirect_stderr` is true");
            }
        }
        return (stdout.clone(), stdout);
    }
    (
        stdout,
        sink(reader, ["stderr_logfile", "stderr"], Sink::Stderr, source),
    )
}

fn sink(reader: &mut Reader<'_>, keys: [&str; 2], own: Sink, source: &Source<'_>) -> Sink {
    let Some(key) = keys.into_iter().find(|key| reader.has(key)) else {
        return own;
    };
    let Some(written) = reader.text(key) else {
        return own;
    };
    match written.as_str() {
        "" => {
            reader.fault(key, "must be a file, AUTO or NONE");
            own
        }
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" | "/proc/1/fd/1" => Sink::Stdout,
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" | "/proc/1/fd/2" => Sink::Stderr,
        "/dev/null" => Sink::Discard,
        word if word.eq_ignore_ascii_case("none") => Sink::Discard,
        word if word.eq_ignore_ascii_case("auto") => own,
        "syslog" => {
            reader.warn(key, "cannot be syslog here: it goes to our own output");
            own
        }
        path => Sink::File(PathBuf::from(&source.surroundings.directory).join(path)),
    }
}

fn check(reader: &mut Reader<'_>) -> Option<Check> {
    let timeout = Duration::from_secs(reader.number("health_timeout", 5, 1).into());
    let probe = match reader.value("health")? {
        Value::Text(address) if address.starts_with("http://") || address.starts_with("tcp://") => {
            match crate::probe::Address::parse(&address) {
                Ok(_) => Probe::Address(address),
                Err(reason) => {
                    reader.fault("health", reason);
                    return None;
                }
            }
        }
        Value::Text(text) => match words::split(&text) {
            Ok(words) if !words.is_empty() => Probe::Command(words),
            _ => {
                reader.fault(
                    "health",
                    "must be a command, or an http:// or tcp:// address",
                );
                return None;
            }
        },
        Value::List(words) if !words.is_empty() => Probe::Command(words),
        Value::List(_) | Value::Table(_) => {
            reader.fault(
                "health",
                "must be a command, or an http:// or tcp:// address",
            );
            return None;
        }
    };
    Some(Check { probe, timeout })
}
