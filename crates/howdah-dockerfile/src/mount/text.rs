//! The text of a mount's options: separated, and each value read for what it is.

use crate::{Fault, Sharing, Span, suggest::nearest, units::parse_bytes};

pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn at(self, span: Span) -> Fault {
        let fault = Fault::error(span, self.message);
        match self.help {
            Some(help) => fault.with_help(help),
            None => fault,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }
}

pub(super) struct Field {
    pub(super) key: String,
    pub(super) value: Option<String>,
}

/// One record of comma separated values (RFC 4180): a field in double quotes may hold commas, and `""` for a quote.
pub(super) fn split_fields(text: &str) -> Result<Vec<String>, Problem> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => {
                return Err(Problem::new(format!(
                    "expected a comma between mount options, found `{after}`"
                )));
            }
        }
    }
}

fn plain_field(text: &str) -> Result<(String, &str), Problem> {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains('"') {
        return Err(
            Problem::new(format!("a quote stands inside the mount option `{field}`"))
                .help("put the whole option in quotes, not only its value"),
        );
    }
    Ok((field.to_owned(), after))
}

fn quoted_field(text: &str) -> Result<(String, &str), Problem> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('"') else {
            return Err(Problem::new("a quote in the mount options is never closed"));
        };
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, rest)),
        }
    }
}

pub(super) fn not_a(key: &str, value: &str, wanted: &str) -> Problem {
    Problem::new(format!(
        "the mount option `{key}` is `{value}`, which is not {wanted}"
    ))
}

pub(super) fn mode(value: &str) -> Result<u32, Problem> {
    u32::from_str_radix(value, 8).map_err(|_| not_a("mode", value, "an octal number such as 0755"))
}

pub(super) fn number(key: &str, value: &str) -> Result<u32, Problem> {
    value.parse().map_err(|_| not_a(key, value, "a number"))
}

pub(super) fn size(value: &str) -> Result<u64, Problem> {
    parse_bytes(value).ok_or_else(|| not_a("size", value, "a size such as 64m"))
}

/// The spellings of Go's `strconv.ParseBool`.
pub(super) fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(not_a(key, value, "true or false")),
    }
}

pub(super) fn sharing(value: &str) -> Result<Sharing, Problem> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        other => {
            let known = ["shared", "private", "locked"];
            let wanted = nearest(other, known).map_or("shared, private or locked".into(), |name| {
                format!("known; write `{name}`")
            });
            Err(not_a("sharing", value, &wanted))
        }
    }
}
