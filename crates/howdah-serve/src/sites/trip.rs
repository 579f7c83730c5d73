//! A request on its way: what the steps so far have made of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use howdah_caddyfile::{Part, Placeholder, Template};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::headers::Change;
use super::{Failure, Sites, uri};
use crate::handler::{Asked, Handler};
use crate::http::access::Exchange;
use crate::http::client::Client;
use crate::http::interim::Interim;
use crate::http::request_body::Bounded;
use crate::pool::Tls;

/// See the module's head.
pub(super) struct Trip<'a> {
    pub(super) server: &'a Handler,
    pub(super) sites: &'a Sites,
    /// The request; its target is as the client sent it.
    pub(super) parts: Parts,
    pub(super) client: Client,
    listener: usize,
    interim: Option<Interim>,
    tls: Option<Tls>,
    pub(super) exchange: &'a mut Exchange,
    /// Until somebody reads it.
    pub(super) body: Option<Bounded>,
    /// The path that the steps go by, with its percent codes.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) root: PathBuf,
    pub(super) variables: BTreeMap<String, String>,
    /// What regular expressions found: by name and group.
    pub(super) captures: BTreeMap<(String, String), String>,
    /// What the last `file` matcher found: the file as a path, and what follows it.
    pub(super) matched: Option<(String, String)>,
    /// What is to be done with the response's header.
    pub(super) changes: Vec<Change>,
    pub(super) encodes: bool,
    pub(super) closes: bool,
    /// The server that is asked, as host and port.
    pub(super) upstream: Option<String>,
    /// What is being handled.
    pub(super) failure: Option<Failure>,
    /// The response that is intercepted.
    pub(super) response: Option<(StatusCode, HeaderMap)>,
}

impl<'a> Trip<'a> {
    pub(super) fn new(
        server: &'a Handler,
        sites: &'a Sites,
        asked: Asked,
        exchange: &'a mut Exchange,
    ) -> Trip<'a> {
        Trip {
            server,
            sites,
            path: asked.parts.uri.path().to_owned(),
            query: asked.parts.uri.query().map(str::to_owned),
            parts: asked.parts,
            client: asked.client,
            listener: asked.listener,
            interim: asked.interim,
            tls: asked.tls,
            exchange,
            body: Some(asked.body),
            root: sites.directory.clone(),
            variables: BTreeMap::new(),
            captures: BTreeMap::new(),
            matched: None,
            changes: Vec::new(),
            encodes: false,
            closes: false,
            upstream: None,
            failure: None,
            response: None,
        }
    }

    /// The request for whoever reads its body, if nobody has.
    pub(super) fn take(&mut self) -> Option<Asked> {
        let body = self.body.take()?;
        let mut parts = http::Request::new(()).into_parts().0;
        parts.method = self.parts.method.clone();
        parts.uri = self.parts.uri.clone();
        parts.version = self.parts.version;
        parts.headers = self.parts.headers.clone();
        Some(Asked {
            parts,
            body,
            client: self.client,
            listener: self.listener,
            interim: self.interim.take(),
            tls: self.tls.take(),
        })
    }

    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.sites.directory.join(path)
    }

    /// A template's text for this request.
    pub(super) fn fill(&self, template: &Template) -> String {
        let mut text = String::new();
        for part in template.parts() {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Value(placeholder) => text.push_str(&self.value(placeholder)),
            }
        }
        text
    }

    fn value(&self, placeholder: &Placeholder) -> String {
        use Placeholder as P;
        let file = || self.path.rsplit('/').next().unwrap_or_default();
        let stem = || file().rsplit_once('.').unwrap_or((file(), ""));
        let host = || uri::host(&self.parts);
        match placeholder {
            P::Uri => self.target(),
            P::Path => self.path.clone(),
            P::Directory => self.path[..=self.path.rfind('/').unwrap_or(0)].to_owned(),
            P::File => file().to_owned(),
            P::FileBase => stem().0.to_owned(),
            P::FileExtension => match stem() {
                (_, "") => String::new(),
                (_, extension) => format!(".{extension}"),
            },
            P::PathSegment(index) => {
                let mut segments = self.path.trim_start_matches('/').split('/');
                segments.nth(*index).unwrap_or_default().to_owned()
            }
            P::Query => self.query.clone().unwrap_or_default(),
            P::PrefixedQuery => self
                .query
                .as_ref()
                .map(|query| format!("?{query}"))
                .unwrap_or_default(),
            P::QueryValue(name) => uri::parameter(self.query.as_deref(), name).unwrap_or_default(),
            P::OriginalUri => crate::cgi::target(&self.parts.uri).to_owned(),
            P::OriginalPath => self.parts.uri.path().to_owned(),
            P::OriginalQuery => self.parts.uri.query().unwrap_or_default().to_owned(),
            P::Host => uri::without_port(host()).to_owned(),
            P::HostPort => host().to_owned(),
            P::Port => self.port().to_owned(),
            P::Scheme => if self.client.is_https {
                "https"
            } else {
                "http"
            }
            .to_owned(),
            P::Method => self.parts.method.to_string(),
            P::ClientAddress => self.client.address.ip().to_string(),
            P::ClientPort => self.client.address.port().to_string(),
            P::Client => self.client.address.to_string(),
            P::HostLabel(index) => {
                let labels = uri::without_port(host()).rsplit('.').nth(*index);
                labels.unwrap_or_default().to_owned()
            }
            P::Upstream => self.upstream.clone().unwrap_or_default(),
            P::Header(name) => all(&self.parts.headers, name),
            P::Cookie(name) => uri::cookie(&self.parts.headers, name).unwrap_or_default(),
            P::Variable(name) if name == "root" => self.root.display().to_string(),
            P::Variable(name) => self.variables.get(name).cloned().unwrap_or_default(),
            P::Capture(name, group) => {
                let key = (name.clone(), group.clone());
                self.captures.get(&key).cloned().unwrap_or_default()
            }
            P::MatchedFile => self
                .matched
                .as_ref()
                .map(|(file, _)| file.clone())
                .unwrap_or_default(),
            P::MatchedRemainder => {
                let rest = self.matched.as_ref().map(|(_, rest)| rest.clone());
                rest.unwrap_or_default()
            }
            P::ErrorStatus => self.of_failure(|failure| failure.status.as_u16().to_string()),
            P::ErrorText => self
                .of_failure(|failure| failure.status.canonical_reason().unwrap_or_default().into()),
            P::ErrorMessage => self.of_failure(|failure| failure.message.clone()),
            P::ResponseHeader(name) => {
                let response = self.response.as_ref();
                response
                    .map(|(_, headers)| all(headers, name))
                    .unwrap_or_default()
            }
            P::ResponseStatus => {
                let response = self.response.as_ref();
                response
                    .map(|(status, _)| status.as_u16().to_string())
                    .unwrap_or_default()
            }
        }
    }

    fn of_failure(&self, read: impl Fn(&Failure) -> String) -> String {
        self.failure.as_ref().map(read).unwrap_or_default()
    }

    /// Path and query that the steps go by.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn port(&self) -> &str {
        let host = uri::host(&self.parts);
        let port = host.strip_prefix(uri::without_port(host));
        match port.map(|port| port.trim_start_matches([']', ':'])) {
            Some(port) if !port.is_empty() => port,
            _ if self.client.is_https => "443",
            _ => "80",
        }
    }
}

/// All values of a field.
fn all(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(", ")
}
