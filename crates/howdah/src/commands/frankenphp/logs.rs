//! What a Caddyfile says of the log: which lines are left out, and which parameters of a query.

use std::net::IpAddr;

use howdah_caddyfile::{Caddyfile, FieldChange, LogLevel, LogOptions};
use howdah_serve::log::{Level, Line};
use ipnet::IpNet;
use serde_json::{Map, Value};

/// The logger of lines that tell of requests.
const ACCESS: &str = "http.log.access";

/// Decides about lines. The access logs of all sites are one.
#[derive(Debug)]
pub(super) struct Filter {
    server: LogOptions,
    access: Vec<LogOptions>,
}

impl Filter {
    pub(super) fn new(caddyfile: &Caddyfile) -> Self {
        let mut server = caddyfile.options.log.clone();
        if caddyfile.options.debug {
            server.level = Some(LogLevel::Debug);
        }
        Self {
            server,
            access: caddyfile
                .sites
                .iter()
                .filter_map(|site| site.log.clone())
                .collect(),
        }
    }

    /// The line as it is to be written.
    pub(super) fn pass(&self, mut line: Line) -> Option<Line> {
        let is_access = line.logger == ACCESS;
        let logs = if is_access {
            self.access.as_slice()
        } else {
            std::slice::from_ref(&self.server)
        };
        let passes = |log: &&LogOptions| {
            let least = log.level.map_or(Level::Info, level);
            !log.is_discarded && line.level >= least
        };
        if !logs.iter().any(|log| passes(&log)) {
            return None;
        }
        if is_access {
            let redactions = logs.iter().flat_map(|log| &log.redactions);
            let uri = line
                .fields
                .get_mut("request")
                .and_then(|request| request.get_mut("uri"));
            if let Some(Value::String(uri)) = uri {
                for (name, value) in redactions {
                    *uri = redact(uri, name, value.as_deref());
                }
            }
        }
        for (path, change) in logs.iter().flat_map(|log| &log.fields) {
            edit(&mut line.fields, path, change);
        }
        Some(line)
    }
}

/// A field that is not there stays away.
fn edit(fields: &mut Map<String, Value>, path: &[String], change: &FieldChange) {
    match path {
        [] => {}
        [name] if *change == FieldChange::Delete => drop(fields.shift_remove(name)),
        [name] => {
            if let Some(field) = fields.get_mut(name) {
                replace(field, change);
            }
        }
        [name, rest @ ..] => {
            if let Some(Value::Object(inner)) = fields.get_mut(name) {
                edit(inner, rest, change);
            }
        }
    }
}

fn replace(field: &mut Value, change: &FieldChange) {
    match change {
        FieldChange::Delete => {}
        FieldChange::Replace(text) => *field = Value::String(text.clone()),
        FieldChange::Mask(four, six) => {
            let address = field.as_str().and_then(|text| text.parse::<IpAddr>().ok());
            let bits = |address: IpAddr| if address.is_ipv4() { *four } else { *six };
            let network = address.and_then(|address| IpNet::new(address, bits(address)).ok());
            if let Some(network) = network {
                *field = Value::String(network.network().to_string());
            }
        }
    }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    }
}

/// Another value for a parameter of the query, or none of it at all.
fn redact(uri: &str, name: &str, value: Option<&str>) -> String {
    let Some((path, query)) = uri.split_once('?') else {
        return uri.to_owned();
    };
    let pairs = query.split('&').filter_map(|pair| {
        let is_it = pair.split('=').next() == Some(name);
        match value {
            _ if !is_it => Some(pair.to_owned()),
            Some(value) => Some(format!("{name}={value}")),
            None => None,
        }
    });
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_changed_where_they_are() {
        let request = serde_json::json!({ "client_ip": "192.0.2.77", "host": "a" });
        let mut fields = Map::from_iter([("request".into(), request), ("size".into(), 1.into())]);
        let path = |text: &str| text.split('>').map(str::to_owned).collect::<Vec<_>>();
        let replace = FieldChange::Replace("X".into());
        for (field, change) in [
            ("request>client_ip", FieldChange::Mask(16, 32)),
            ("request>host", replace.clone()),
            ("size", FieldChange::Delete),
            ("request>tls", FieldChange::Delete),
            ("none>none", replace),
        ] {
            edit(&mut fields, &path(field), &change);
        }
        let expected = serde_json::json!({ "request": { "client_ip": "192.0.0.0", "host": "X" } });
        assert_eq!(Value::Object(fields), expected);
    }

    #[test]
    fn parameters_are_hidden() {
        assert_eq!(redact("/a?b=1&c=2", "b", Some("X")), "/a?b=X&c=2");
        assert_eq!(redact("/a?b=1", "b", None), "/a");
        assert_eq!(redact("/a?bc=1", "b", None), "/a?bc=1");
        assert_eq!(redact("/a", "b", None), "/a");
    }
}
