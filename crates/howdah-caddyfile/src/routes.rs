//! The steps of a block: which directive means which, in which order.

use crate::error::{CaddyfileError, Fault};
use crate::matchers::{self, Matcher, MatcherSet};
use crate::model::{Handler, Route};
use crate::php;
use crate::site::Compiler;
use crate::tree::Directive;

/// The order in which directives of a block come, whatever order they are written in: Caddy's, with FrankenPHP's put in.
pub(crate) const ORDER: [&str; 33] = [
    "tracing",
    "map",
    "vars",
    "root",
    "log_skip",
    "header",
    "copy_response_headers",
    "request_body",
    "redir",
    "method",
    "rewrite",
    "uri",
    "try_files",
    "basic_auth",
    "request_header",
    "encode",
    "mercure",
    "vulcain",
    "push",
    "intercept",
    "templates",
    "invoke",
    "handle",
    "route",
    "abort",
    "error",
    "respond",
    "metrics",
    "reverse_proxy",
    "php",
    "php_server",
    "file_server",
    "acme_server",
];
/// Of these only the first one that matches is taken.
const EXCLUSIVE: [&[&str]; 3] = [&["root"], &["rewrite"], &["handle", "handle_path"]];
const KNOWN: &str = "abort, basic_auth, bind, encode, error, file_server, handle, handle_errors, handle_path, header, import, intercept, \
                     log, log_skip, method, metrics, php, php_server, redir, request_body, request_header, respond, reverse_proxy, \
                     rewrite, root, route, tls, try_files, uri and vars";

/// A route with the directive that it came from.
struct Sorted {
    directive: String,
    route: Route,
}

impl Compiler<'_> {
    /// The routes of a block; with `sorted` in Caddy's order. What stands in the block for the site as a whole is kept.
    pub(crate) fn routes(&mut self, directives: &[Directive], sorted: bool) -> Vec<Route> {
        let outer = self.site.matchers.clone();
        for directive in directives {
            if let Some(name) = directive.name.strip_prefix('@') {
                self.define_matcher(name, directive);
            }
        }
        let mut routes = Vec::new();
        for directive in directives {
            if directive.name.starts_with('@') {
                continue;
            }
            match self.directive(directive) {
                Ok(Some(route)) => routes.push(Sorted {
                    directive: directive.name.clone(),
                    route,
                }),
                Ok(None) => {}
                Err(fault) => self.faults.push(fault),
            }
        }
        self.site.matchers = outer;
        if sorted {
            // Stable: what is equal stays as it is written.
            let order = &self.order;
            routes.sort_by_key(|sorted| (place(order, &sorted.directive), specificity(sorted)));
        }
        self.group(&mut routes);
        routes.into_iter().map(|sorted| sorted.route).collect()
    }

    /// `@name { ... }` or `@name path /a`.
    fn define_matcher(&mut self, name: &str, directive: &Directive) {
        let inline;
        let conditions = match (directive.of_arguments(), &directive.block) {
            // An expression needs no name.
            (Some(_), None) if directive.quoted[0] => {
                inline = Some(Directive {
                    name: "expression".to_owned(),
                    ..directive.clone()
                });
                inline.as_slice()
            }
            (Some(matcher), _) => {
                inline = Some(matcher);
                inline.as_slice()
            }
            (None, Some(block)) => block.as_slice(),
            (None, None) => {
                self.faults.push(directive.usage("@NAME MATCHER VALUE..."));
                return;
            }
        };
        match matchers::set(conditions, self.variable) {
            Ok(set) => {
                self.site.matchers.insert(name.to_owned(), set);
            }
            Err(fault) => self.faults.push(fault),
        }
    }

    fn directive(&mut self, directive: &Directive) -> Result<Option<Route>, CaddyfileError> {
        if self.site_directive(directive)? {
            return Ok(None);
        }
        let (matcher, rest) = self.matcher(directive)?;
        let handler = match rest.name.as_str() {
            "php_server" => {
                let server = php::Server::read(self, &rest)?;
                Handler::Subroute(server.routes())
            }
            "php" => php::Server::read(self, &rest)?.handler(),
            "handle" => Handler::Subroute(self.routes(rest.inner(), true)),
            "route" => Handler::Subroute(self.routes(rest.inner(), false)),
            "handle_path" => self.handle_path(matcher.as_ref(), &rest)?,
            "mercure" => {
                self.warn(directive, "no Mercure hub is built in, and mercure_publish() throws; run the hub as a service of its own");
                return Ok(None);
            }
            "vulcain" => {
                self.warn(
                    directive,
                    "resources are not preloaded; answers are the same",
                );
                return Ok(None);
            }
            _ => match self.handler(&rest)? {
                Some(handler) => handler,
                None => return Err(unknown(&rest)),
            },
        };
        Ok(Some(Route {
            matcher,
            group: None,
            handler,
        }))
    }

    /// Takes the matcher off the arguments. A directive whose only argument could be either has no matcher.
    fn matcher(
        &self,
        directive: &Directive,
    ) -> Result<(Option<MatcherSet>, Directive), CaddyfileError> {
        const NEEDS_MORE: [&str; 6] = [
            "root",
            "redir",
            "rewrite",
            "method",
            "request_header",
            "error",
        ];
        let mut rest = directive.clone();
        let Some(first) = directive.arguments.first() else {
            return Ok((None, rest));
        };
        let is_alone = directive.arguments.len() == 1;
        let is_value = is_alone && NEEDS_MORE.contains(&directive.name.as_str());
        let set = if first == "*" {
            None
        } else if let Some(name) = first.strip_prefix('@') {
            let set = self.site.matchers.get(name);
            Some(
                set.cloned()
                    .ok_or_else(|| directive.fault(Fault::NoMatcher(first.clone())))?,
            )
        } else if first.starts_with('/') && !is_value && directive.name != "try_files" {
            Some(vec![Matcher::Path(vec![matchers::path(first)])])
        } else {
            return Ok((None, rest));
        };
        rest.arguments.remove(0);
        rest.quoted.remove(0);
        Ok((set, rest))
    }

    /// `handle_path /prefix/* { ... }`: goes on without the prefix.
    fn handle_path(
        &mut self,
        matcher: Option<&MatcherSet>,
        directive: &Directive,
    ) -> Result<Handler, CaddyfileError> {
        let Some([Matcher::Path(paths)]) = matcher.map(Vec::as_slice) else {
            return Err(directive.usage("handle_path /PREFIX/* { ... }"));
        };
        let prefix = paths[0].trim_end_matches('*').trim_end_matches('/');
        let mut routes = vec![Route {
            matcher: None,
            group: None,
            handler: Handler::StripPrefix(prefix.to_owned()),
        }];
        routes.extend(self.routes(directive.inner(), true));
        Ok(Handler::Subroute(routes))
    }

    fn group(&mut self, routes: &mut [Sorted]) {
        for names in EXCLUSIVE {
            let is_one = |sorted: &&mut Sorted| names.contains(&sorted.directive.as_str());
            if routes.iter_mut().filter(is_one).count() > 1 {
                self.groups += 1;
                for sorted in routes.iter_mut().filter(is_one) {
                    sorted.route.group = Some(self.groups);
                }
            }
        }
    }
}

/// What to do about a directive that is none of ours.
fn unknown(directive: &Directive) -> CaddyfileError {
    let instead = match directive.name.as_str() {
        "php_fastcgi" => "use php_server, or `howdah serve --mode fastcgi` for an existing PHP-FPM",
        "forward_auth" => "let the application, or a proxy in front, ask who it is",
        "templates"
        | "map"
        | "push"
        | "invoke"
        | "acme_server"
        | "tracing"
        | "fs"
        | "copy_response"
        | "copy_response_headers"
        | "log_append"
        | "log_name" => "leave it out, or let PHP do it",
        _ => return directive.unknown("a site", KNOWN),
    };
    directive.unsupported(instead)
}

fn place(order: &[String], directive: &str) -> usize {
    // Only their matchers decide which of the two comes first.
    let directive = match directive {
        "handle_path" => "handle",
        "skip_log" => "log_skip",
        "basicauth" => "basic_auth",
        other => other,
    };
    let place = order.iter().position(|name| name == directive);
    place.unwrap_or(order.len())
}

/// Those with the longest path come first, then those with another matcher, then the others.
fn specificity(sorted: &Sorted) -> (u8, std::cmp::Reverse<usize>) {
    match sorted.route.matcher.as_deref() {
        Some([Matcher::Path(paths)]) if paths.len() == 1 => {
            (0, std::cmp::Reverse(paths[0].trim_end_matches('*').len()))
        }
        Some(_) => (1, std::cmp::Reverse(0)),
        None => (2, std::cmp::Reverse(0)),
    }
}
