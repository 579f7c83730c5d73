//! The global options.

use std::time::Duration;

use crate::error::{CaddyfileError, Fault};
use crate::matchers::networks;
use crate::model::{AutoHttps, FieldChange, LogLevel, LogOptions, Options};
use crate::php;
use crate::site::Compiler;
use crate::tree::Directive;

const KNOWN: &str = "acme_ca, acme_ca_root, admin, auto_https, debug, default_bind, email, frankenphp, grace_period, http_port, https_port, \
                     local_certs, log, metrics, order, persist_config, servers, shutdown_delay, skip_install_trust and storage";

pub(crate) fn option(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    match directive.name.as_str() {
        "admin" => admin(options, directive)?,
        "auto_https" => options.auto_https = auto_https(directive)?,
        "http_port" => options.http_port = number(directive.one("http_port PORT")?, directive)?,
        "https_port" => options.https_port = number(directive.one("https_port PORT")?, directive)?,
        "debug" => options.debug = true,
        "local_certs" => options.local_certificates = true,
        "email" => options.email = Some(directive.one("email ADDRESS")?.to_owned()),
        "acme_ca" => options.acme_directory = Some(directive.one("acme_ca URL")?.to_owned()),
        "acme_ca_root" => options.acme_root = Some(directive.one("acme_ca_root FILE")?.to_owned()),
        "default_bind" => options.default_bind.clone_from(&directive.arguments),
        "grace_period" => {
            options.grace_period = Some(duration(directive.one("grace_period TIME")?, directive)?);
        }
        "shutdown_delay" => {
            options.shutdown_delay =
                Some(duration(directive.one("shutdown_delay TIME")?, directive)?);
        }
        "log" => {
            let log = log(compiler, directive)?;
            // One of another name takes some of the lines only.
            if matches!(directive.words().as_slice(), [] | ["default"]) {
                options.log = log;
            } else {
                compiler.warn(directive, "one log takes everything");
            }
        }
        "servers" => servers(compiler, options, directive)?,
        "frankenphp" => php::options(&mut compiler.php, directive)?,
        "order" => order(compiler, directive)?,
        // Nothing is installed into the system, and no configuration is kept.
        "skip_install_trust" | "metrics" | "persist_config" => {}
        "storage" => compiler.warn(directive, "certificates are kept in howdah's own store"),
        "ocsp_stapling"
        | "ocsp_interval"
        | "renew_interval"
        | "storage_check"
        | "storage_clean_interval"
        | "key_type"
        | "preferred_chains"
        | "default_sni"
        | "fallback_sni"
        | "pki" => {
            compiler.warn(directive, "howdah decides this by itself");
        }
        "on_demand_tls" | "acme_dns" | "acme_eab" | "cert_issuer" => {
            return Err(directive.unsupported(
                "name the sites, whose certificates then come by ACME, or use `tls CERTIFICATE KEY`",
            ));
        }
        _ => return Err(directive.unknown("the global options", KNOWN)),
    }
    Ok(())
}

/// `order php_server before file_server`, or `first`, `last` and `after`.
fn order(compiler: &mut Compiler<'_>, directive: &Directive) -> Result<(), CaddyfileError> {
    let (name, place) = match directive.words().as_slice() {
        [name, "first"] => (*name, 0),
        [name, "last"] => (*name, compiler.order.len()),
        [name, side @ ("before" | "after"), other] => {
            let place = compiler.order.iter().position(|one| one == other);
            let fault = || directive.fault(Fault::value(other, "a directive that has an order"));
            (
                *name,
                place.ok_or_else(fault)? + usize::from(*side == "after"),
            )
        }
        _ => return Err(directive.usage("order NAME first|last|before OTHER|after OTHER")),
    };
    // Its old place may be before the new one.
    compiler.order.insert(place, String::new());
    compiler.order.retain(|one| one != name);
    for one in compiler.order.iter_mut().filter(|one| one.is_empty()) {
        name.clone_into(one);
    }
    Ok(())
}

fn admin(options: &mut Options, directive: &Directive) -> Result<(), CaddyfileError> {
    let address = match directive.words().as_slice() {
        ["off"] => {
            options.admin = None;
            return Ok(());
        }
        [] => "localhost:2019",
        [address] => address,
        _ => return Err(directive.usage("admin off|HOST:PORT|unix/PATH")),
    };
    for option in directive.inner() {
        match (option.name.as_str(), option.words().as_slice()) {
            // What has another origin is refused in any case.
            ("enforce_origin", _) => {}
            ("origins", origins) => {
                let hosts = origins.iter().map(|origin| {
                    let (_, host) = origin.split_once("://").unwrap_or(("", origin));
                    host.to_owned()
                });
                options.admin_origins.extend(hosts);
            }
            _ => return Err(option.unknown("admin", "origins and enforce_origin")),
        }
    }
    let is_address = address
        .strip_prefix("unix/")
        .is_some_and(|path| path.starts_with('/'))
        || address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !is_address {
        let expected = "an address as HOST:PORT, or a socket as unix//PATH";
        return Err(directive.fault(Fault::value(address, expected)));
    }
    options.admin = Some(address.to_owned());
    Ok(())
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
            ("client_ip_headers", fields @ [_, ..]) => {
                let fields = fields.iter().map(|field| field.to_ascii_lowercase());
                options.client_fields = fields.collect();
            }
            (
                "metrics"
                | "strict_sni_host"
                | "enable_full_duplex"
                | "trusted_proxies_strict"
                | "name"
                | "keepalive_interval",
                _,
            ) => {}
            ("trusted_proxies", _) => {
                return Err(
                    option.unsupported("name the networks: trusted_proxies static NETWORK...")
                );
            }
            ("listener_wrappers", _) => {
                return Err(option.unsupported("use `howdah serve`, which has the PROXY protocol"));
            }
            ("timeouts", []) => timeouts(compiler, options, option)?,
            ("max_header_size", [size]) => {
                options.max_header_bytes = usize::try_from(bytes(size, option)?).ok();
            }
            ("protocols", words @ [_, ..]) => {
                if !words.contains(&"h1") || !words.contains(&"h2") {
                    compiler.warn(option, "HTTP/1.1 and HTTP/2 are always served");
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
            ("output", _) => compiler.warn(
                option,
                "the log goes to standard error: send it where it should be from there",
            ),
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

/// `request>uri query { replace NAME VALUE }`, `request>client_ip ip_mask 16 32`, `request>headers delete`.
fn filter(log: &mut LogOptions, directive: &Directive) -> Result<(), CaddyfileError> {
    const KNOWN: &str = "delete, replace, hash, ip_mask and, of request>uri, query";
    let mut path: Vec<String> = directive.name.split('>').map(str::to_owned).collect();
    // What stands in the log only as a part of `request` may be written without it.
    if path == ["uri"] {
        path.insert(0, "request".into());
    }
    let change = match directive.words().as_slice() {
        ["query"] if path == ["request", "uri"] => return redact(log, directive),
        ["delete"] => FieldChange::Delete,
        ["replace", value] => FieldChange::Replace((*value).to_owned()),
        ["hash"] => FieldChange::Replace("REDACTED".to_owned()),
        ["ip_mask"] => mask(directive)?,
        ["ip_mask", four] => FieldChange::Mask(number(four, directive)?, 128),
        ["ip_mask", four, six] => {
            FieldChange::Mask(number(four, directive)?, number(six, directive)?)
        }
        // The log has no header fields.
        _ if path.iter().any(|name| name.ends_with("headers")) => return Ok(()),
        [name, ..] => {
            let section = "a log's filter";
            return Err(directive.fault(Fault::Unknown {
                name: (*name).to_owned(),
                section,
                known: KNOWN,
            }));
        }
        [] => return Err(directive.usage("FIELD delete|replace VALUE|hash|ip_mask|query")),
    };
    log.fields.push((path, change));
    Ok(())
}

/// `ip_mask { ipv4 16; ipv6 32 }`.
fn mask(directive: &Directive) -> Result<FieldChange, CaddyfileError> {
    let (mut four, mut six) = (32, 128);
    for option in directive.inner() {
        match (option.name.as_str(), option.words().as_slice()) {
            ("ipv4", [bits]) => four = number(bits, option)?,
            ("ipv6", [bits]) => six = number(bits, option)?,
            _ => return Err(option.unknown("ip_mask", "ipv4 and ipv6")),
        }
    }
    Ok(FieldChange::Mask(four, six))
}

fn redact(log: &mut LogOptions, directive: &Directive) -> Result<(), CaddyfileError> {
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
