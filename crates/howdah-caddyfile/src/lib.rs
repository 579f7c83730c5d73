//! The part of the Caddyfile that FrankenPHP's users write: text in, typed routes out. Nothing here reads a file or the
//! environment by itself, and nothing that is not understood is passed over: it is an error with its line, or, where it has no
//! effect on what is answered, a warning.
//!
//! [`lexer`] makes words, [`expand`] puts imports in, [`tree`] makes blocks; [`options`], [`site`] and [`routes`] know what they mean.

mod error;
mod expand;
mod expression;
mod handlers;
mod lexer;
mod matchers;
mod model;
mod options;
mod php;
mod proxy;
mod routes;
mod site;
mod template;
mod tree;

pub use error::{CaddyfileError, Fault, Place};
pub use expression::{Comparison, Expression};
pub use matchers::{FileMatcher, Matcher, MatcherSet, Pattern};
pub use model::{
    Address, AutoHttps, BasicAuth, Caddyfile, ErrorRoutes, FieldChange, FileServer, Handler,
    HeaderAction, HeaderChange, Interception, LogLevel, LogOptions, Options, Php, PhpOptions,
    QueryChange, ReverseProxy, Route, Site, Tls, Warning, Worker,
};
pub use template::{Part, Placeholder, Template};

/// What a Caddyfile refers to outside of itself.
pub trait Surroundings {
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// The files that `import NAME` in the file `from` means, in order; a pattern that matches nothing is no fault. The text of
    /// a failure is for the user.
    fn import(&self, name: &str, from: &str) -> Result<Vec<File>, String>;
}

/// A file's name and content.
#[derive(Debug, Clone)]
pub struct File {
    /// As messages name it.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Reads a Caddyfile. All faults that can be told apart are reported, in the order of the file.
pub fn parse(
    file: &File,
    surroundings: &dyn Surroundings,
) -> Result<Caddyfile, Vec<CaddyfileError>> {
    let variable = |name: &str| surroundings.variable(name);
    let blocks = lexer::tokens(&file.text, &file.name, &variable)
        .and_then(|tokens| expand::Expander::new(surroundings).run(tokens))
        .and_then(tree::blocks)
        .map_err(|error| vec![error])?;
    site::compile(blocks, &variable)
}

/// The route that FrankenPHP's `php_server` directive without options stands for.
pub fn php_server() -> Vec<Route> {
    php::Server::default().routes()
}

/// The route from plain HTTP to HTTPS at this port.
pub fn to_https(port: u16) -> Route {
    let to = match port {
        443 => "https://{host}{uri}".to_owned(),
        port => format!("https://{{host}}:{port}{{uri}}"),
    };
    Route {
        matcher: None,
        group: None,
        handler: Handler::Redirect {
            to: Template::parse(&to, &|_| None),
            status: 308,
        },
    }
}
