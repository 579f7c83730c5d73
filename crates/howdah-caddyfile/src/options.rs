//! The global options.

use std::time::Duration;

use crate::error::{CaddyfileError, Fault};
use crate::matchers::networks;
use crate::model::{AutoHttps, LogLevel, LogOptions, Options};
use crate::php;
use crate::site::Compiler;
use crate::tree::Directive;

const KNOWN: &str = "acme_ca, admin, auto_https, debug, email, frankenphp, grace_period, http_port, https_port, local_certs, log, \
                     metrics, order, persist_config, servers, shutdown_delay, skip_install_trust and storage";

pub(crate) fn option(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    match directive.name.as_str() {
        "admin" => options.admin = admin(directive)?,
        "auto_https" => options.auto_https = auto_https(directive)?,
        "http_port" => options.http_port = number(directive.one("http_port PORT")?, directive)?,
        "https_port" => options.https_port = number(directive.one("https_port PORT")?, directive)?,
        "debug" => options.debug = true,
        "local_certs" => options.local_certificates = true,
        "email" => options.email = Some(directive.one("email ADDRESS")?.to_owned()),
        "acme_ca" => options.acme_directory = Some(directive.one("acme_ca URL")?.to_owned()),
        "grace_period" => {
            options.grace_period = Some(duration(directive.one("grace_period TIME")?, directive)?);
        }
        "shutdown_delay" => {
            options.shutdown_delay =
                Some(duration(directive.one("shutdown_delay TIME")?, directive)?);
        }
        "log" => options.log = log(compiler, directive)?,
        "servers" => servers(compiler, options, directive)?,
        "frankenphp" => php::options(&mut compiler.php, directive)?,
        // The order is the usual one; nothing is installed into the system, and no configuration is kept.
        "order" if is_usual_order(directive) => {}
        "order" => {
            return Err(directive.unsupported(
                "write the directives into a `route` block, which keeps the order that is written",
            ));
        }
        "skip_install_trust" | "metrics" | "persist_config" => {}
        "storage" => compiler.warn(directive, "certificates are kept in howdah's own store"),
        _ => return Err(directive.unknown("the global options", KNOWN)),
    }
    Ok(())
}

/// What FrankenPHP's documentation had users write before it was the default.
fn is_usual_order(directive: &Directive) -> bool {
    matches!(
        directive.words().as_slice(),
        ["php" | "php_server", "before", "file_server"]
            | ["mercure" | "vulcain", "before" | "after", _]
    )
}

fn admin(directive: &Directive) -> Result<Option<String>, CaddyfileError> {
    let address = match directive.words().as_slice() {
        ["off"] => return Ok(None),
        [] => "localhost:2019",
        [address] => address,
        _ => return Err(directive.usage("admin off|HOST:PORT")),
    };
    if let Some(option) = directive.inner().first() {
        return Err(match option.name.as_str() {
            "origins" | "enforce_origin" => {
                option.unsupported("the admin API takes requests for its own address only")
            }
            _ => option.unknown("admin", "origins and enforce_origin"),
        });
    }
    let is_address = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !is_address {
        let expected = "an address as HOST:PORT; the admin API has no unix socket";
        return Err(directive.fault(Fault::value(address, expected)));
    }
    Ok(Some(address.to_owned()))
}

fn auto_https(directive: &Directive) -> Result<AutoHttps, CaddyfileError> {
    match directive.one("auto_https off|disable_redirects|disable_certs")? {
        "off" => Ok(AutoHttps::Off),
        "disable_redirects" => Ok(AutoHttps::WithoutRedirects),
        "disable_certs" | "ignore_loaded_certs" => Err(directive
            .unsupported("name a certificate with `tls FILE KEY`, or use `auto_https off`")),
        other => Err(directive.fault(Fault::value(other, "off or disable_redirects"))),
    }
}

fn servers(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    const OPTIONS: &str = "trusted_proxies, client_ip_headers, timeouts, max_header_size, metrics, protocols, strict_sni_host, \
                           log_credentials, enable_full_duplex and trace";
    if !directive.arguments.is_empty() {
        return Err(
            directive.unsupported("all listeners have the same options: leave the address out")
        );
    }
    for option in directive.inner() {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("trusted_proxies", ["static", networks_ @ ..]) => {
                options.trusted_proxies = networks(networks_, option)?;
            }
            ("client_ip_headers", ["X-Forwarded-For" | "x-forwarded-for"])
            | ("metrics" | "strict_sni_host" | "enable_full_duplex", _) => {}
            ("client_ip_headers", _) => {
                return Err(option.unsupported("Forwarded and X-Forwarded-For are read"));
            }
            ("timeouts", []) => timeouts(compiler, options, option)?,
            ("max_header_size", [size]) => {
                options.max_header_bytes = usize::try_from(bytes(size, option)?).ok();
            }
            ("protocols", words @ [_, ..]) => {
                if !words.contains(&"h1") || !words.contains(&"h2") {
                    return Err(option.unsupported("HTTP/1.1 and HTTP/2 are always served"));
                }
            }
            ("log_credentials" | "trace", _) => {
                compiler.warn(
                    option,
                    "the log has no header fields with credentials in it",
                );
            }
            _ => return Err(option.unknown("servers", OPTIONS)),
        }
    }
    Ok(())
}

fn timeouts(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    for option in directive.inner() {
        let time = duration(option.one("NAME TIME")?, option)?;
        match option.name.as_str() {
            "read_header" | "idle" => options.head_timeout = Some(time),
            "read_body" => options.body_timeout = Some(time),
            "write" => compiler.warn(
                option,
                "a client that takes nothing of its response for a minute is cut off",
            ),
            _ => return Err(option.unknown("timeouts", "read_header, read_body, write and idle")),
        }
    }
    Ok(())
}

/// Of the server or of a site.
pub(crate) fn log(
    compiler: &mut Compiler<'_>,
    directive: &Directive,
) -> Result<LogOptions, CaddyfileError> {
    const OPTIONS: &str = "level, output, format, include, exclude, hostnames and sampling";
    let mut log = LogOptions::default();
    for option in directive.inner() {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("level", [level]) => log.level = Some(level_of(level, option)?),
            // An empty variable.
            ("level", []) | ("output", ["stderr" | "stdout"]) => {}
            ("output", ["discard"]) => log.is_discarded = true,
            ("output", _) => {
                return Err(option.unsupported(
                    "the log goes to standard error: send it where it should be from there",
                ));
            }
            ("format", words) => format(compiler, &mut log, words, option)?,
            ("include" | "exclude" | "hostnames" | "sampling" | "no_hostname", _) => {
                compiler.warn(option, "one log takes everything");
            }
            _ => return Err(option.unknown("log", OPTIONS)),
        }
    }
    Ok(log)
}

fn format(
    compiler: &mut Compiler<'_>,
    log: &mut LogOptions,
    words: &[&str],
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    match words {
        ["json"] | [] => {}
        ["console"] => compiler.warn(directive, "the log has one JSON object a line"),
        ["filter"] => {
            for option in directive.inner() {
                match (option.name.as_str(), option.words().as_slice()) {
                    ("wrap", format_) => format(compiler, log, format_, &without_block(option))?,
                    ("fields", []) => {
                        for field in option.inner() {
                            filter(log, field)?;
                        }
                    }
                    _ => filter(log, option)?,
                }
            }
        }
        _ => return Err(directive.fault(Fault::value(&words.join(" "), "json, console or filter"))),
    }
    Ok(())
}

fn without_block(directive: &Directive) -> Directive {
    Directive {
        block: None,
        ..directive.clone()
    }
}

/// `request>uri query { replace NAME VALUE }`: the only field whose content a server could tell too much of.
fn filter(log: &mut LogOptions, directive: &Directive) -> Result<(), CaddyfileError> {
    let field = directive.name.rsplit('>').next().unwrap_or_default();
    if (field, directive.words().as_slice()) != ("uri", &["query"]) {
        let is_absent = ["headers", "cookie", "resp_headers", "common_log"].contains(&field)
            || directive.name.contains("headers>");
        if is_absent {
            return Ok(());
        }
        return Err(directive.unsupported(
            "only `request>uri query` is filtered; the log has no header fields and no cookies",
        ));
    }
    for action in directive.inner() {
        let redaction = match (action.name.as_str(), action.words().as_slice()) {
            ("replace", [name, value]) => ((*name).to_owned(), Some((*value).to_owned())),
            ("hash", [name]) => ((*name).to_owned(), Some("REDACTED".to_owned())),
            ("delete", [name]) => ((*name).to_owned(), None),
            _ => return Err(action.unknown("query", "replace, hash and delete")),
        };
        log.redactions.push(redaction);
    }
    Ok(())
}

fn level_of(name: &str, directive: &Directive) -> Result<LogLevel, CaddyfileError> {
    match name.to_ascii_uppercase().as_str() {
        "DEBUG" => Ok(LogLevel::Debug),
        "INFO" => Ok(LogLevel::Info),
        "WARN" | "WARNING" => Ok(LogLevel::Warn),
        "ERROR" | "PANIC" | "FATAL" => Ok(LogLevel::Error),
        _ => Err(directive.fault(Fault::value(name, "DEBUG, INFO, WARN or ERROR"))),
    }
}

pub(crate) fn number<T: std::str::FromStr>(
    text: &str,
    directive: &Directive,
) -> Result<T, CaddyfileError> {
    text.parse()
        .map_err(|_| directive.fault(Fault::value(text, "a number that fits here")))
}

/// As Go writes it, and with days: `1h30m`, `1.5s`, `100ms`, `2d`.
pub(crate) fn duration(text: &str, directive: &Directive) -> Result<Duration, CaddyfileError> {
    let fault = || directive.fault(Fault::value(text, "a time such as 10s, 1m30s or 500ms"));
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (number, from) = rest.split_at(end.unwrap_or(rest.len()));
        let end = from.find(|character: char| character.is_ascii_digit() || character == '.');
        let (unit, from) = from.split_at(end.unwrap_or(from.len()));
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            "" if number == "0" => 0.0,
            _ => return Err(fault()),
        };
        let number: f64 = number.parse().map_err(|_| fault())?;
        seconds += number * factor;
        rest = from;
    }
    if text.is_empty() {
        return Err(fault());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| fault())
}

/// `10MB` is 10 000 000 bytes, `10MiB` 10 485 760.
pub(crate) fn bytes(text: &str, directive: &Directive) -> Result<u64, CaddyfileError> {
    let fault = || directive.fault(Fault::value(text, "a size such as 10MB or 512KiB"));
    let end = text.find(|character: char| !character.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "kib" => 1 << 10,
        "m" | "mb" => 1000 * 1000,
        "mib" => 1 << 20,
        "g" | "gb" => 1000 * 1000 * 1000,
        "gib" => 1 << 30,
        _ => return Err(fault()),
    };
    let number: u64 = number.parse().map_err(|_| fault())?;
    number.checked_mul(factor).ok_or_else(fault)
}
