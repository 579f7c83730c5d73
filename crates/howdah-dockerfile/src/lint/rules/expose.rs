//! `EXPOSE`.

use crate::Command;
use crate::lint::rule::{EXPOSE_INVALID_FORMAT, EXPOSE_PROTO_CASING};
use crate::lint::sink::{Sink, Site};

/// The ports of an expanded instruction.
pub(in crate::lint) fn check(site: &Site, command: &Command, sink: &mut Sink) {
    let Command::Expose(expose) = command else {
        return;
    };
    for port in &expose.ports {
        let text = port.text.as_str();
        let (host, container) = text.rsplit_once(':').unwrap_or(("", text));
        let protocol = container
            .split_once('/')
            .map_or("", |(_, protocol)| protocol);
        if protocol.chars().any(char::is_uppercase) {
            let message = format!("the protocol of `{text}` is in upper case");
            sink.report(site, &EXPOSE_PROTO_CASING, message);
        }
        if !host.is_empty() && host != ":" {
            let message = format!("`{text}` has an address or a port of the host");
            sink.report(site, &EXPOSE_INVALID_FORMAT, message);
        }
    }
}
