//! What the program is to do.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;

/// How requests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A fresh run of the requested script for each.
    Classic,
    /// One script, which asks for requests in a loop.
    Worker,
    /// The same, but every process serves one request.
    Fork,
}

/// What the program is.
#[derive(Debug)]
pub(crate) enum Role {
    Zygote(Options),
    /// The PHP command line, with these arguments.
    Cli(Vec<CString>),
    Version,
}

/// Of a zygote.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// The worker script.
    pub(crate) script: Option<CString>,
    /// Fork at the first `frankenphp_handle_request()`, not before the script.
    pub(crate) preboot: bool,
    /// In [`Mode::Fork`]: serve a request of nobody's before forking.
    pub(crate) warm_up: bool,
    /// `-d key=value`, a line each.
    pub(crate) ini_entries: Vec<u8>,
    /// `-c`: a php.ini, or the directory of one.
    pub(crate) ini_path: Option<CString>,
}

/// Arguments that make no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ArgumentError {
    #[error(
        "usage: howdah-php zygote --mode classic|worker|fork [--script FILE] | cli [ARGUMENTS] | version"
    )]
    Usage,
    #[error("unknown option `{0}`")]
    Unknown(String),
    #[error("option `{0}` needs a value")]
    NoValue(String),
    #[error("no mode is called `{0}`; there are classic, worker and fork")]
    Mode(String),
    #[error("modes worker and fork need `--script FILE`")]
    NoScript,
    #[error("an argument has a NUL in it")]
    Nul,
}

impl Role {
    /// Of the whole command line.
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Role, ArgumentError> {
        let mut arguments = arguments.into_iter();
        let program = arguments.next().ok_or(ArgumentError::Usage)?;
        let role = arguments.next().ok_or(ArgumentError::Usage)?;
        match role.to_str() {
            Some("zygote") => Options::parse(arguments).map(Role::Zygote),
            Some("cli") => std::iter::once(program)
                .chain(arguments)
                .map(c_string)
                .collect::<Result<_, _>>()
                .map(Role::Cli),
            Some("version") => Ok(Role::Version),
            _ => Err(ArgumentError::Usage),
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Options, ArgumentError> {
        let mut options = Options {
            mode: Mode::Classic,
            script: None,
            preboot: true,
            warm_up: true,
            ini_entries: Vec::new(),
            ini_path: None,
        };
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| ArgumentError::NoValue(name.clone()))
            };
            match name.as_str() {
                "--mode" => options.mode = Mode::parse(&value()?)?,
                "--script" => options.script = Some(c_string(value()?)?),
                "--no-preboot" => options.preboot = false,
                "--no-warm-up" => options.warm_up = false,
                "-c" => options.ini_path = Some(c_string(value()?)?),
                "-d" => {
                    let entry = c_string(value()?)?;
                    options.ini_entries.extend(ini_line(entry.as_bytes()));
                }
                _ => return Err(ArgumentError::Unknown(name)),
            }
        }
        if options.mode != Mode::Classic && options.script.is_none() {
            return Err(ArgumentError::NoScript);
        }
        Ok(options)
    }
}

impl Mode {
    fn parse(name: &OsString) -> Result<Mode, ArgumentError> {
        match name.to_str() {
            Some("classic") => Ok(Mode::Classic),
            Some("worker") => Ok(Mode::Worker),
            Some("fork") => Ok(Mode::Fork),
            _ => Err(ArgumentError::Mode(name.to_string_lossy().into_owned())),
        }
    }
}

/// A line of php.ini for `key=value`, as PHP's `-d` makes it: without a value it is `1`, and a value that is not a plain word is put
/// in quotes (`sapi/cli/php_cli.c`).
fn ini_line(entry: &[u8]) -> Vec<u8> {
    let mut line = entry.to_vec();
    match entry.iter().position(|byte| *byte == b'=') {
        None => line.extend_from_slice(b"=1"),
        Some(at) => {
            let value = &entry[at + 1..];
            let plain = value
                .first()
                .is_none_or(|byte| byte.is_ascii_alphanumeric() || b"\"'".contains(byte));
            if !plain {
                line.truncate(at + 1);
                line.push(b'"');
                line.extend_from_slice(value);
                line.push(b'"');
            }
        }
    }
    line.push(b'\n');
    line
}

fn c_string(text: OsString) -> Result<CString, ArgumentError> {
    CString::new(text.into_vec()).map_err(|_| ArgumentError::Nul)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Role, ArgumentError> {
        Role::parse(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_zygote_is_told_its_mode_and_ini() {
        let role = parse(&[
            "howdah-php",
            "zygote",
            "--mode",
            "fork",
            "--script",
            "/w.php",
            "-d",
            "a=b",
            "-d",
            "c",
            "-d",
            "e=/x y",
        ]);
        let Ok(Role::Zygote(options)) = role else {
            panic!("no zygote: {role:?}");
        };
        assert_eq!(options.mode, Mode::Fork);
        assert_eq!(options.ini_entries, b"a=b\nc=1\ne=\"/x y\"\n");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |arguments: &[&str]| parse(arguments).err();
        assert_eq!(refused(&["howdah-php"]), Some(ArgumentError::Usage));
        assert_eq!(
            refused(&["howdah-php", "zygote", "--mode", "worker"]),
            Some(ArgumentError::NoScript)
        );
        assert_eq!(
            refused(&["howdah-php", "zygote", "--mode"]),
            Some(ArgumentError::NoValue("--mode".into()))
        );
    }
}
