//! What a Caddyfile says, typed: global options, and sites with their routes.

use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::error::Place;
use crate::matchers::{FileMatcher, MatcherSet, Pattern};
use crate::template::Template;

/// A whole Caddyfile.
#[derive(Debug, Clone)]
pub struct Caddyfile {
    /// What holds for all sites.
    pub options: Options,
    /// In the order of the file.
    pub sites: Vec<Site>,
    /// What was understood and has no effect here.
    pub warnings: Vec<Warning>,
}

/// Something without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What, and what it means.
    pub message: String,
}

/// Global options.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the admin API is, as `host:port` or `unix/PATH`; none with `admin off`.
    pub admin: Option<String>,
    /// Hosts that the admin API takes requests for besides its own.
    pub admin_origins: Vec<String>,
    /// Everything is logged.
    pub debug: bool,
    /// The port of plain HTTP.
    pub http_port: u16,
    /// The port of HTTPS.
    pub https_port: u16,
    /// What is done about HTTPS without being asked.
    pub auto_https: AutoHttps,
    /// Certificates come from an authority of our own.
    pub local_certificates: bool,
    /// The account's address at an authority.
    pub email: Option<String>,
    /// The directory of an ACME authority.
    pub acme_directory: Option<String>,
    /// PEM of the authorities that the ACME directory's own certificate may be from.
    pub acme_root: Option<String>,
    /// Addresses of the machine at which sites without `bind` are served; without any all.
    pub default_bind: Vec<String>,
    /// For what is in flight when the server stops.
    pub grace_period: Option<Duration>,
    /// From the moment that the server knows it will stop to the moment it begins to.
    pub shutdown_delay: Option<Duration>,
    /// Who is believed about clients.
    pub trusted_proxies: Vec<IpNet>,
    /// Fields in which they tell the client's address, the first that is there; without any the usual ones.
    pub client_fields: Vec<String>,
    /// For a request's head.
    pub head_timeout: Option<Duration>,
    /// Between two pieces of a request's body.
    pub body_timeout: Option<Duration>,
    /// The most bytes of a request's head.
    pub max_header_bytes: Option<usize>,
    /// The server's own log.
    pub log: LogOptions,
    /// PHP.
    pub php: PhpOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            admin: Some("localhost:2019".into()),
            admin_origins: Vec::new(),
            debug: false,
            http_port: 80,
            https_port: 443,
            auto_https: AutoHttps::On,
            local_certificates: false,
            email: None,
            acme_directory: None,
            acme_root: None,
            default_bind: Vec::new(),
            grace_period: None,
            shutdown_delay: None,
            trusted_proxies: Vec::new(),
            client_fields: Vec::new(),
            head_timeout: None,
            body_timeout: None,
            max_header_bytes: None,
            log: LogOptions::default(),
            php: PhpOptions::default(),
        }
    }
}

/// What is done about HTTPS without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoHttps {
    /// Named sites have it, and plain HTTP leads there.
    #[default]
    On,
    /// Named sites have it.
    WithoutRedirects,
    /// Nothing.
    Off,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// What matters less is left out.
    pub level: Option<LogLevel>,
    /// Nothing is written at all.
    pub is_discarded: bool,
    /// Parameters of the query that are replaced, or with none removed.
    pub redactions: Vec<(String, Option<String>)>,
    /// Fields of a line that are changed: the names that lead there, and what becomes of it.
    pub fields: Vec<(Vec<String>, FieldChange)>,
}

/// What becomes of a field of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldChange {
    /// It is left out.
    Delete,
    /// It has this value.
    Replace(String),
    /// Of addresses so many bits are kept: of IPv4, and of IPv6.
    Mask(u8, u8),
}

/// How much a line matters at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// The course of things.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// The `frankenphp` option.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PhpOptions {
    /// Processes altogether.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_threads: Option<usize>,
    /// To which their number may grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_threads: Option<usize>,
    /// How long a request waits for one.
    #[serde(skip)]
    pub max_wait_time: Option<Duration>,
    /// After so many requests one is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u64>,
    /// Settings of PHP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub php_ini: Vec<(String, String)>,
    /// Worker scripts, of all sites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<Worker>,
}

/// A worker script.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// What it is called in the log and in metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The script.
    pub file_name: String,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num: Option<usize>,
    /// To which their number may grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_threads: Option<usize>,
    /// Added to its environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Changed files of these patterns replace the workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
    /// Starts that may fail one after the other; -1 for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consecutive_failures: Option<i32>,
}

/// One site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where it is; at least one.
    pub addresses: Vec<Address>,
    /// Addresses of the machine that it is served at; without any all.
    pub bind: Vec<String>,
    /// Its certificate.
    pub tls: Option<Tls>,
    /// Its access log, if it has one.
    pub log: Option<LogOptions>,
    /// What is done with a request.
    pub routes: Vec<Route>,
    /// What is done with a request that failed.
    pub errors: Vec<ErrorRoutes>,
    /// For messages.
    pub place: Place,
}

/// An address of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Is it https? None: by port and host.
    pub is_https: Option<bool>,
    /// In lower case; empty for every host, `*.` for every one below.
    pub host: String,
    /// The port, if it is written.
    pub port: Option<u16>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// From an authority of our own.
    Internal,
    /// From files.
    Files {
        /// The certificate and what leads to its authority, PEM.
        chain: String,
        /// Its key, PEM.
        key: String,
    },
    /// From an ACME authority, with this address of the account.
    Acme(String),
}

/// Routes for errors.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorRoutes {
    /// Statuses, from and to; empty for all.
    pub statuses: Vec<(u16, u16)>,
    /// What is done.
    pub routes: Vec<Route>,
}

/// One step: when, and what.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// Without one always.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matcher: Option<MatcherSet>,
    /// Of those of a group only the first one that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// What is done.
    pub handler: Handler,
}

/// What a step does.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handler {
    /// Sets the document root.
    Root(Template),
    /// Sets variables.
    Vars(Vec<(String, Template)>),
    /// Changes the response's header.
    Header(Vec<HeaderChange>),
    /// Changes the request's header.
    RequestHeader(Vec<HeaderChange>),
    /// Answers with another place.
    Redirect {
        /// Where.
        to: Template,
        /// How.
        status: u16,
    },
    /// Goes on with another path, or query, or both.
    Rewrite(Template),
    /// Goes on without the beginning of the path.
    StripPrefix(String),
    /// Goes on without the end of the path.
    StripSuffix(String),
    /// Goes on with parts of path and query replaced.
    ReplaceInUri {
        /// What.
        find: String,
        /// By what.
        replace: String,
    },
    /// Goes on with parts of the path replaced.
    ReplaceInPath {
        /// What.
        find: Pattern,
        /// By what; `$1` is a group.
        replace: Template,
    },
    /// Goes on with another query.
    Query(Vec<QueryChange>),
    /// Asks who it is.
    BasicAuth(BasicAuth),
    /// Writes no line of the access log.
    SkipLog,
    /// Answers with the server's metrics.
    Metrics,
    /// Goes on with the first of these files that is there.
    TryFiles(FileMatcher),
    /// Goes on with another method.
    Method(String),
    /// Answers.
    Respond {
        /// The content.
        body: Template,
        /// The status; with placeholders in it, those of an error.
        status: Template,
        /// Ends the connection.
        close: bool,
    },
    /// Fails with this status.
    Error(u16, Template),
    /// Compresses the response.
    Encode,
    /// Limits the request's body, to bytes.
    RequestBody(u64),
    /// Steps of their own.
    Subroute(Vec<Route>),
    /// Looks at the response of the steps that follow.
    Intercept(Vec<Interception>),
    /// Answers with a file of the document root.
    FileServer(FileServer),
    /// Has PHP answer.
    Php(Php),
    /// Has another server answer.
    ReverseProxy(Box<ReverseProxy>),
}

/// A change of the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryChange {
    /// A parameter has this value and no other.
    Set(String, Template),
    /// It has this value, too.
    Add(String, Template),
    /// It is not there.
    Delete(String),
    /// It has another name.
    Rename(String, String),
}

/// Users and their passwords (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BasicAuth {
    /// What the browser says the password is for.
    pub realm: String,
    /// Names, and the hashes of passwords by bcrypt.
    #[serde(skip)]
    pub users: Vec<(String, String)>,
}

/// Another server, or several that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ReverseProxy {
    /// `http://HOST:PORT`; one that cannot be reached is passed over.
    pub upstreams: Vec<Template>,
    /// The first one that can be reached is asked, not each in its turn.
    pub in_order: bool,
    /// Another path and query for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Template>,
    /// Changes of what it is asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<HeaderChange>,
    /// Changes of what it answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response: Vec<HeaderChange>,
    /// For it to begin its answer.
    #[serde(skip)]
    pub patience: Option<Duration>,
}

/// A change of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderChange {
    /// The field; `*` at its end with [`HeaderAction::Remove`] for all that begin so.
    pub name: String,
    /// What is done with it.
    pub action: HeaderAction,
    /// After the response was made, not before.
    pub late: bool,
}

/// What is done with a field of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderAction {
    /// This value and no other.
    Set(Template),
    /// This value, too.
    Add(Template),
    /// This value if there is none.
    Default(Template),
    /// None.
    Remove,
    /// Parts of the values are replaced.
    Replace {
        /// What.
        find: Pattern,
        /// By what; `$1` is a group.
        replace: Template,
    },
}

/// Responses that are replaced.
#[derive(Debug, Clone, Serialize)]
pub struct Interception {
    /// Those with one of these statuses, from and to; empty for all.
    pub statuses: Vec<(u16, u16)>,
    /// And these fields: the name, and the value, in which `*` is anything.
    pub headers: Vec<(String, String)>,
    /// What is done instead.
    pub routes: Vec<Route>,
}

/// Answers with files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct FileServer {
    /// Another document root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Template>,
    /// Looked for in directories; the first one is taken.
    pub index: Vec<String>,
    /// Patterns of names and paths that are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<String>,
    /// What is not there is left to the steps that follow.
    pub pass_thru: bool,
}

/// Answers by PHP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Php {
    /// Another document root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Template>,
    /// Ends of a script's name, in lower case.
    pub split_path: Vec<String>,
    /// Added to `$_SERVER`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, Template)>,
    /// Symbolic links in the document root are followed, so that scripts see the directory itself.
    pub resolve_root_symlink: bool,
    /// The worker, of [`PhpOptions::workers`], that answers whatever the path is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// Time for a piece of the request's body.
    #[serde(skip)]
    pub body_timeout: Option<Duration>,
}
