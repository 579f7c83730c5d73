//! Directives that are one step.

use crate::error::{CaddyfileError, Fault};
use crate::matchers::{self, FileMatcher};
use crate::model::{
    BasicAuth, FileServer, Handler, HeaderAction, HeaderChange, Interception, QueryChange,
};
use crate::options::bytes;
use crate::site::{Compiler, statuses};
use crate::template::Template;
use crate::tree::Directive;

impl Compiler<'_> {
    /// None if the directive is none of these. Its matcher is not among the arguments any more.
    pub(crate) fn handler(
        &mut self,
        directive: &Directive,
    ) -> Result<Option<Handler>, CaddyfileError> {
        let words = directive.words();
        Ok(Some(match (directive.name.as_str(), words.as_slice()) {
            ("root", [root]) => Handler::Root(self.template(root)),
            ("vars", _) => Handler::Vars(self.pairs(directive)?),
            ("header", _) => Handler::Header(self.header(directive, false)?),
            ("request_header", _) => Handler::RequestHeader(self.header(directive, true)?),
            ("redir", [to]) => self.redirect(to, "302", directive)?,
            ("redir", [to, status]) => self.redirect(to, status, directive)?,
            ("rewrite", [to]) => Handler::Rewrite(self.template(to)),
            ("uri", words) => self.uri(words, directive)?,
            ("basic_auth" | "basicauth", words) => self.basic_auth(words, directive)?,
            ("log_skip" | "skip_log", []) => Handler::SkipLog,
            ("metrics", []) => Handler::Metrics,
            ("abort", []) => {
                self.warn(directive, "answers 403 and ends the connection");
                Handler::Respond {
                    body: Template::text(""),
                    status: Template::text("403"),
                    close: true,
                }
            }
            ("reverse_proxy", _) => self.reverse_proxy(directive)?,
            ("method", [method]) => Handler::Method(method.to_uppercase()),
            ("try_files", words @ [_, ..]) => Handler::TryFiles(FileMatcher {
                try_files: words.iter().map(|word| self.template(word)).collect(),
                ..FileMatcher::default()
            }),
            ("request_body", []) => request_body(directive)?,
            ("encode", words) => self.encode(words, directive)?,
            ("respond", words) => self.respond(words, directive)?,
            ("error", words) => self.error(words, directive)?,
            ("intercept", []) => self.intercept(directive)?,
            ("file_server", words) => self.file_server(words, directive)?,
            ("root" | "redir" | "rewrite" | "method" | "try_files", _) => {
                return Err(directive.usage("NAME [MATCHER] VALUE"));
            }
            _ => return Ok(None),
        }))
    }

    fn pairs(&self, directive: &Directive) -> Result<Vec<(String, Template)>, CaddyfileError> {
        const USAGE: &str = "vars NAME VALUE, or vars { NAME VALUE }";
        let mut pairs = Vec::new();
        if let [name, value] = directive.words().as_slice() {
            pairs.push(((*name).to_owned(), self.template(value)));
        }
        for pair in directive.inner() {
            pairs.push((pair.name.clone(), self.template(pair.one(USAGE)?)));
        }
        if pairs.is_empty() {
            return Err(directive.usage(USAGE));
        }
        Ok(pairs)
    }

    /// `header [+|-|?|>]FIELD [VALUE]`, or such lines in a block.
    fn header(
        &self,
        directive: &Directive,
        of_request: bool,
    ) -> Result<Vec<HeaderChange>, CaddyfileError> {
        let mut changes = Vec::new();
        if !directive.arguments.is_empty() {
            changes.push(self.header_change(&directive.words(), directive)?);
        }
        let mut is_late = false;
        for line in directive.inner() {
            match line.name.as_str() {
                "defer" => is_late = true,
                "match" => {
                    return Err(line.unsupported("use `intercept` to look at the response"));
                }
                name => {
                    let words: Vec<&str> = std::iter::once(name).chain(line.words()).collect();
                    changes.push(self.header_change(&words, line)?);
                }
            }
        }
        if changes.is_empty() {
            return Err(directive.usage("header [+|-|?|>]FIELD [VALUE]"));
        }
        for change in &mut changes {
            change.late = !of_request && (change.late || is_late);
        }
        Ok(changes)
    }

    pub(crate) fn header_change(
        &self,
        words: &[&str],
        directive: &Directive,
    ) -> Result<HeaderChange, CaddyfileError> {
        let Some((field, rest)) = words.split_first() else {
            return Err(directive.usage("header FIELD VALUE"));
        };
        let (sign, name) = match field.chars().next() {
            Some(sign @ ('+' | '-' | '?' | '>')) => (sign, &field[1..]),
            _ => ('=', *field),
        };
        let name = name.trim_end_matches(':').to_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(directive.fault(Fault::value(field, "the name of a header field")));
        }
        let (action, late) = match (sign, rest) {
            ('-', []) => (HeaderAction::Remove, true),
            ('+', [value]) => (HeaderAction::Add(self.template(value)), false),
            ('?', [value]) => (HeaderAction::Default(self.template(value)), true),
            ('=', [value]) => (HeaderAction::Set(self.template(value)), false),
            ('>', [value]) => (HeaderAction::Set(self.template(value)), true),
            ('=' | '>', [find, replace]) => {
                let find = matchers::pattern(find, directive)?;
                let replace = self.template(replace);
                (HeaderAction::Replace { find, replace }, true)
            }
            _ => return Err(directive.usage("header [+|-|?|>]FIELD [VALUE|FIND REPLACE]")),
        };
        Ok(HeaderChange { name, action, late })
    }

    fn uri(&self, words: &[&str], directive: &Directive) -> Result<Handler, CaddyfileError> {
        const USAGE: &str = "uri strip_prefix PREFIX, strip_suffix SUFFIX, replace FIND REPLACE, path_regexp FIND REPLACE or query { ... }";
        Ok(match words {
            ["strip_prefix", prefix] => {
                Handler::StripPrefix(format!("/{}", prefix.trim_start_matches('/')))
            }
            ["strip_suffix", suffix] => Handler::StripSuffix((*suffix).to_owned()),
            ["replace", find, replace] | ["replace", find, replace, _] => Handler::ReplaceInUri {
                find: (*find).to_owned(),
                replace: (*replace).to_owned(),
            },
            ["path_regexp", find, replace] => Handler::ReplaceInPath {
                find: matchers::pattern(find, directive)?,
                replace: self.template(replace),
            },
            ["query", words @ ..] => {
                let mut changes = Vec::new();
                if !words.is_empty() {
                    changes.push(self.query_change(words, directive)?);
                }
                for line in directive.inner() {
                    let name = std::iter::once(line.name.as_str());
                    let words: Vec<&str> = name.chain(line.words()).collect();
                    changes.push(self.query_change(&words, line)?);
                }
                Handler::Query(changes)
            }
            _ => return Err(directive.usage(USAGE)),
        })
    }

    /// `-NAME`, `+NAME VALUE`, `NAME VALUE` or `NAME>NEW`.
    fn query_change(
        &self,
        words: &[&str],
        directive: &Directive,
    ) -> Result<QueryChange, CaddyfileError> {
        let change = match words {
            [name] => match (name.strip_prefix('-'), name.split_once('>')) {
                (Some(name), _) => Some(QueryChange::Delete(name.to_owned())),
                (None, Some((old, new))) => Some(QueryChange::Rename(old.into(), new.into())),
                (None, None) => None,
            },
            [name, value] => Some(match name.strip_prefix('+') {
                Some(name) => QueryChange::Add(name.to_owned(), self.template(value)),
                None => QueryChange::Set((*name).to_owned(), self.template(value)),
            }),
            _ => None,
        };
        change
            .ok_or_else(|| directive.usage("uri query -NAME, +NAME VALUE, NAME VALUE or NAME>NEW"))
    }

    /// `basic_auth [bcrypt] [REALM] { NAME HASH }`. Hashes of other kinds are refused here, not when somebody wants in.
    fn basic_auth(&self, words: &[&str], directive: &Directive) -> Result<Handler, CaddyfileError> {
        const USAGE: &str = "basic_auth [MATCHER] [bcrypt [REALM]] { NAME HASH }";
        let realm = match words {
            [] | ["bcrypt"] => "restricted",
            ["bcrypt", realm] => realm,
            [_, ..] => return Err(directive.unsupported("hash passwords with bcrypt")),
        };
        let mut users = Vec::new();
        for user in directive.inner() {
            let hash = self.template(user.one(USAGE)?).constant();
            let hash = hash.filter(|hash| hash.starts_with("$2") && hash.len() == 60);
            let fault = || {
                let expected =
                    "a name with a hash by bcrypt, which `frankenphp hash-password` makes";
                user.fault(Fault::value(&user.name, expected))
            };
            users.push((user.name.clone(), hash.ok_or_else(fault)?));
        }
        if users.is_empty() {
            return Err(directive.usage(USAGE));
        }
        let realm = realm.replace(['"', '\\'], "");
        Ok(Handler::BasicAuth(BasicAuth { realm, users }))
    }

    fn redirect(
        &self,
        to: &str,
        status: &str,
        directive: &Directive,
    ) -> Result<Handler, CaddyfileError> {
        let status = match status {
            "permanent" => 301,
            "temporary" => 302,
            "html" => return Err(directive.unsupported("use a status from 300 to 399")),
            status => status
                .parse()
                .ok()
                .filter(|status| (300..400).contains(status) || *status == 401)
                .ok_or_else(|| {
                    directive.fault(Fault::value(
                        status,
                        "permanent, temporary or a status from 300 to 399",
                    ))
                })?,
        };
        Ok(Handler::Redirect {
            to: self.template(to),
            status,
        })
    }

    /// Codings and their options are our own choice; what is written must be known.
    fn encode(&mut self, words: &[&str], directive: &Directive) -> Result<Handler, CaddyfileError> {
        let names = words.iter().copied();
        let inner = directive.inner().iter().map(|option| option.name.as_str());
        for name in names.chain(inner) {
            if !["zstd", "br", "gzip", "minimum_length", "match", "prefer"].contains(&name) {
                return Err(directive.fault(Fault::value(name, "zstd, br or gzip")));
            }
        }
        if let Some(option) = directive
            .inner()
            .iter()
            .find(|option| option.name == "match")
        {
            self.warn(
                option,
                "what becomes smaller is compressed: text, JSON, XML, SVG and the like",
            );
        }
        Ok(Handler::Encode)
    }

    /// `respond [BODY] [STATUS]`; a number alone is the status.
    fn respond(
        &mut self,
        words: &[&str],
        directive: &Directive,
    ) -> Result<Handler, CaddyfileError> {
        const USAGE: &str = "respond [MATCHER] STATUS|BODY [STATUS] { body TEXT; close }";
        let is_status = |word: &str| statuses(word).is_some() && word.len() == 3;
        let (mut body, status) = match words {
            [] => ("", "200"),
            [status] if is_status(status) => ("", *status),
            [body] => (*body, "200"),
            [body, status] => (*body, *status),
            _ => return Err(directive.usage(USAGE)),
        };
        let mut close = false;
        for option in directive.inner() {
            match option.name.as_str() {
                "body" => body = option.one(USAGE)?,
                "close" => close = true,
                _ => return Err(option.unknown("respond", "body and close")),
            }
        }
        let status = self.template(status);
        if status.constant().is_some_and(|status| !is_status(&status)) {
            return Err(directive.fault(Fault::value(status.source(), "a status")));
        }
        Ok(Handler::Respond {
            body: self.template(body),
            status,
            close,
        })
    }

    /// `error [MESSAGE] [STATUS]`.
    fn error(&mut self, words: &[&str], directive: &Directive) -> Result<Handler, CaddyfileError> {
        let (message, status) = match words {
            [] => ("", "500"),
            [status] if statuses(status).is_some() => ("", *status),
            [message] => (*message, "500"),
            [message, status] => (*message, *status),
            _ => return Err(directive.usage("error [MATCHER] [MESSAGE] [STATUS]")),
        };
        let number = status
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status));
        let number = number
            .ok_or_else(|| directive.fault(Fault::value(status, "a status from 400 to 599")))?;
        Ok(Handler::Error(number, self.template(message)))
    }

    /// `@name { status 404; header FIELD VALUE }` and `handle_response @name { ... }`.
    fn intercept(&mut self, directive: &Directive) -> Result<Handler, CaddyfileError> {
        const USAGE: &str = "intercept { @NAME header FIELD VALUE; handle_response @NAME { ... } }";
        let mut matchers: Vec<(&str, Interception)> = Vec::new();
        let mut interceptions = Vec::new();
        for option in directive.inner() {
            if let Some(name) = option.name.strip_prefix('@') {
                matchers.push((name, response_matcher(option)?));
                continue;
            }
            let mut interception = match (option.name.as_str(), option.words().as_slice()) {
                ("handle_response", []) => Interception {
                    statuses: Vec::new(),
                    headers: Vec::new(),
                    routes: Vec::new(),
                },
                ("handle_response", [name]) => {
                    let named = matchers
                        .iter()
                        .find(|(one, _)| name.strip_prefix('@') == Some(one));
                    let fault = || option.fault(Fault::NoMatcher((*name).to_owned()));
                    named.ok_or_else(fault)?.1.clone()
                }
                _ => return Err(option.usage(USAGE)),
            };
            interception.routes = self.routes(option.inner(), true);
            interceptions.push(interception);
        }
        Ok(Handler::Intercept(interceptions))
    }

    fn file_server(
        &mut self,
        words: &[&str],
        directive: &Directive,
    ) -> Result<Handler, CaddyfileError> {
        const KNOWN: &str =
            "root, index, hide, precompressed, pass_thru, status and disable_canonical_uris";
        const BROWSE: &str = "directories are not listed";
        match words {
            [] => {}
            ["browse"] => return Err(directive.unsupported(BROWSE)),
            _ => return Err(directive.usage("file_server [MATCHER] { ... }")),
        }
        let mut server = FileServer {
            index: vec!["index.html".into(), "index.txt".into()],
            ..FileServer::default()
        };
        for option in directive.inner() {
            let words = option.words();
            match (option.name.as_str(), words.as_slice()) {
                ("root", [root]) => server.root = Some(self.template(root)),
                ("index", words @ [_, ..]) => {
                    server.index = words.iter().map(|word| (*word).to_owned()).collect();
                }
                ("hide", words @ [_, ..]) => {
                    server
                        .hide
                        .extend(words.iter().map(|word| (*word).to_owned()));
                }
                ("pass_thru", []) => server.pass_thru = true,
                // Compressed files beside a file are always served.
                ("precompressed" | "disable_canonical_uris", _) => {}
                ("browse", _) => return Err(option.unsupported(BROWSE)),
                ("status" | "etag_file_extensions" | "fs", _) => {
                    return Err(option.unsupported("use `handle_errors` for another status"));
                }
                _ => return Err(option.unknown("file_server", KNOWN)),
            }
        }
        Ok(Handler::FileServer(server))
    }
}

fn request_body(directive: &Directive) -> Result<Handler, CaddyfileError> {
    let mut limit = None;
    for option in directive.inner() {
        match (option.name.as_str(), option.words().as_slice()) {
            ("max_size", [size]) => limit = Some(bytes(size, option)?),
            ("read_timeout" | "write_timeout", _) => {
                return Err(option.unsupported("set `servers { timeouts { read_body TIME } }`"));
            }
            _ => return Err(option.unknown("request_body", "max_size")),
        }
    }
    limit
        .map(Handler::RequestBody)
        .ok_or_else(|| directive.usage("request_body { max_size SIZE }"))
}

fn response_matcher(directive: &Directive) -> Result<Interception, CaddyfileError> {
    let inline = directive.of_arguments();
    let conditions = match &inline {
        Some(_) => inline.as_slice(),
        None => directive.inner(),
    };
    let mut interception = Interception {
        statuses: Vec::new(),
        headers: Vec::new(),
        routes: Vec::new(),
    };
    for condition in conditions {
        match (condition.name.as_str(), condition.words().as_slice()) {
            ("status", codes @ [_, ..]) => {
                for code in codes {
                    let range = statuses(code);
                    let fault =
                        || condition.fault(Fault::value(code, "a status such as 404 or 5xx"));
                    interception.statuses.push(range.ok_or_else(fault)?);
                }
            }
            ("header", [name]) => interception.headers.push((name.to_lowercase(), "*".into())),
            ("header", [name, value]) => {
                interception
                    .headers
                    .push((name.to_lowercase(), (*value).into()));
            }
            _ => return Err(condition.unknown("a response matcher", "status and header")),
        }
    }
    Ok(interception)
}
