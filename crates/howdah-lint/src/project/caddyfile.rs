//! Caddyfiles: options that the server does not know, and health paths that it answers itself
//! (<https://caddyserver.com/docs/caddyfile>, <https://frankenphp.dev/docs/config/>).

use super::health::HealthPaths;
use super::rules::{CADDYFILE_UNKNOWN_OPTION, HEALTH_ANSWERED_WITHOUT_PHP};
use super::{Place, Saying};

/// A directive, its arguments and its block.
#[derive(Debug, Default)]
struct Directive {
    line: usize,
    words: Vec<String>,
    block: Vec<Directive>,
}

/// The names that a block may hold. Options of plugins that come with `FrankenPHP` are among them.
struct Known {
    block: &'static str,
    names: &'static [&'static str],
}

const GLOBAL: Known = Known {
    block: "the global options",
    names: &[
        "debug",
        "http_port",
        "https_port",
        "default_bind",
        "order",
        "storage",
        "storage_check",
        "storage_clean_interval",
        "admin",
        "persist_config",
        "log",
        "grace_period",
        "shutdown_delay",
        "metrics",
        "auto_https",
        "email",
        "default_sni",
        "fallback_sni",
        "local_certs",
        "skip_install_trust",
        "acme_ca",
        "acme_ca_root",
        "acme_eab",
        "acme_dns",
        "dns",
        "ech",
        "on_demand_tls",
        "key_type",
        "cert_issuer",
        "renew_interval",
        "cert_lifetime",
        "ocsp_interval",
        "ocsp_stapling",
        "preferred_chains",
        "servers",
        "pki",
        "events",
        "filesystem",
        "import",
        "frankenphp",
        "mercure",
        "vulcain",
        "cache",
        "souin",
        "renewal_window_ratio",
        "tls_resolvers",
        "layer4",
        "dynamic_dns",
        "crowdsec",
        "rate_limit",
    ],
};

const FRANKENPHP: Known = Known {
    block: "`frankenphp`",
    names: &[
        "num_threads",
        "max_threads",
        "max_wait_time",
        "max_idle_time",
        "max_requests",
        "php_ini",
        "worker",
        "import",
    ],
};

const WORKER: Known = Known {
    block: "`worker`",
    names: &[
        "file",
        "num",
        "env",
        "watch",
        "name",
        "match",
        "max_consecutive_failures",
        "max_threads",
        "boot_timeout",
        "background",
        "hot_reload",
        "import",
    ],
};

const PHP_SERVER: Known = Known {
    block: "`php_server`",
    names: &[
        "root",
        "split",
        "split_path",
        "index",
        "try_files",
        "env",
        "resolve_root_symlink",
        "name",
        "file_server",
        "worker",
        "request_body_timeout",
        "hot_reload",
        "import",
    ],
};

const SERVERS: Known = Known {
    block: "`servers`",
    names: &[
        "name",
        "listener_wrappers",
        "packet_conn_wrappers",
        "timeouts",
        "keepalive_interval",
        "keepalive_idle",
        "keepalive_count",
        "0rtt",
        "max_header_size",
        "enable_full_duplex",
        "log_credentials",
        "protocols",
        "strict_sni_host",
        "trusted_proxies",
        "trusted_proxies_strict",
        "trusted_proxies_unix",
        "client_ip_headers",
        "metrics",
        "trace",
        "import",
    ],
};

const LOG: Known = Known {
    block: "`log`",
    names: &[
        "hostnames",
        "no_hostname",
        "output",
        "format",
        "level",
        "core",
        "sampling",
        "include",
        "exclude",
        "import",
    ],
};

const SITE: Known = Known {
    block: "a site",
    names: &[
        "abort",
        "acme_server",
        "basic_auth",
        "basicauth",
        "bind",
        "copy_response",
        "copy_response_headers",
        "encode",
        "error",
        "file_server",
        "forward_auth",
        "fs",
        "handle",
        "handle_errors",
        "handle_path",
        "handle_response",
        "header",
        "import",
        "intercept",
        "invoke",
        "log",
        "log_append",
        "log_name",
        "log_skip",
        "skip_log",
        "map",
        "method",
        "metrics",
        "php",
        "php_fastcgi",
        "php_server",
        "push",
        "redir",
        "replace_status",
        "request_body",
        "request_header",
        "respond",
        "reverse_proxy",
        "rewrite",
        "root",
        "route",
        "templates",
        "tls",
        "tracing",
        "try_files",
        "uri",
        "vars",
        "mercure",
        "vulcain",
        "cache",
        "souin",
    ],
};

/// Reads the directives; what is not well formed ends early, the server says better what is wrong.
fn parse(text: &str) -> Vec<Directive> {
    let mut stack: Vec<Vec<Directive>> = vec![Vec::new()];
    for (index, line) in text.lines().enumerate() {
        let mut words = words(line);
        if words.first().is_some_and(|word| word == "}") {
            close(&mut stack);
            continue;
        }
        if words.is_empty() {
            continue;
        }
        let opens = words.last().is_some_and(|word| word == "{");
        if opens {
            words.pop();
        }
        let line = index + 1;
        if let Some(block) = stack.last_mut() {
            block.push(Directive {
                line,
                words,
                block: Vec::new(),
            });
        }
        if opens {
            stack.push(Vec::new());
        }
    }
    while stack.len() > 1 {
        close(&mut stack);
    }
    stack.pop().unwrap_or_default()
}

fn close(stack: &mut Vec<Vec<Directive>>) {
    if stack.len() < 2 {
        return;
    }
    let block = stack.pop().unwrap_or_default();
    if let Some(directive) = stack.last_mut().and_then(|outer| outer.last_mut()) {
        directive.block = block;
    }
}

/// Words of a line; quotes and backticks group, `#` at the beginning of a word starts a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, &mut word) {
            ('#', None) => break,
            ('"' | '`', None) => {
                words.push(
                    characters
                        .by_ref()
                        .take_while(|next| *next != character)
                        .collect(),
                );
            }
            (space, _) if space.is_whitespace() => words.extend(word.take()),
            (other, word) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Looks at a Caddyfile; `place` says where its first line stands.
pub(super) fn check(text: &str, place: &Place, health: &HealthPaths, saying: &mut Saying) {
    let mut rest = parse(text);
    if rest.first().is_some_and(|first| first.words.is_empty()) {
        options(&rest.remove(0).block, &GLOBAL, place, saying);
    }
    // Without braces the first line is the address, and the rest is the one site.
    if rest.first().is_some_and(|first| first.block.is_empty()) {
        let site: Vec<Directive> = rest.drain(1..).collect();
        directives(&site, None, (place, health), saying);
        return;
    }
    for site in &rest {
        let inner = site.words.first().is_some_and(|word| word.starts_with('('));
        if !inner {
            directives(&site.block, None, (place, health), saying);
        }
    }
}

/// Options of a block against those it knows, and of the blocks inside.
fn options(block: &[Directive], known: &Known, place: &Place, saying: &mut Saying) {
    for option in block {
        let name = option.words.first().map_or("", String::as_str);
        if name.contains('{') || name.starts_with('@') {
            continue;
        }
        if !known.names.contains(&name) {
            let hint = near(name, known.names)
                .map_or_else(String::new, |name| format!(", did you mean `{name}`?"));
            let message = format!("{} has no `{name}`{hint}", known.block);
            saying.say(place, option.line, &CADDYFILE_UNKNOWN_OPTION, message);
        }
        inside(option, name, place, saying);
    }
}

fn inside(option: &Directive, name: &str, place: &Place, saying: &mut Saying) {
    let known = match name {
        "frankenphp" => &FRANKENPHP,
        "worker" => &WORKER,
        "php_server" | "php" => &PHP_SERVER,
        "servers" => &SERVERS,
        "log" => &LOG,
        _ => return,
    };
    options(&option.block, known, place, saying);
}

/// The directives of a site, or of a `handle` in it that only gets requests of one path.
fn directives(
    block: &[Directive],
    path: Option<&str>,
    (place, health): (&Place, &HealthPaths),
    saying: &mut Saying,
) {
    options(block, &SITE, place, saying);
    for directive in block {
        let name = directive.words.first().map_or("", String::as_str);
        let matcher = directive.words.get(1).map_or("", String::as_str);
        let own = matched_path(block, matcher);
        let path = own.as_deref().or(path);
        match name {
            "respond" => {
                let answered = path.filter(|path| health.has(path));
                let refused = directive
                    .words
                    .iter()
                    .any(|word| word.starts_with(['4', '5']) && word.len() == 3);
                if let Some(path) = answered.filter(|_| !refused) {
                    let message = format!("Caddy answers `{path}` without asking PHP");
                    saying.say(place, directive.line, &HEALTH_ANSWERED_WITHOUT_PHP, message);
                }
            }
            "handle" | "handle_path" | "route" => {
                directives(&directive.block, path, (place, health), saying);
            }
            _ => {}
        }
    }
}

/// The path that a matcher stands for: written out, or named and defined in the same block.
fn matched_path(block: &[Directive], matcher: &str) -> Option<String> {
    if matcher.starts_with('/') {
        return Some(matcher.trim_end_matches('*').to_owned());
    }
    if !matcher.starts_with('@') {
        return None;
    }
    let definition = block
        .iter()
        .find(|directive| directive.words.first().is_some_and(|word| word == matcher))?;
    let inline = definition.words.windows(2).find(|pair| pair[0] == "path");
    let inner = definition
        .block
        .iter()
        .map(|directive| directive.words.as_slice());
    let inner = inner
        .filter(|words| words.first().is_some_and(|word| word == "path"))
        .find_map(|words| words.get(1));
    inline
        .map(|pair| pair[1].clone())
        .or_else(|| inner.cloned())
}

/// The known name that a word probably means.
fn near(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known
        .iter()
        .map(|name| (strsim::levenshtein(word, name), *name));
    distances
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}
