//! The HTTP server of a PHP application: HTTP/1.1, 2 and 3, static files, TLS, and PHP by processes of their own.
//!
//! A request goes through [`server`] (connections), [`http`] (what is allowed, who asked), and [`handler`], which answers it
//! with a file of the document root or has PHP do it.

pub mod admin;
mod backend;
pub mod cgi;
pub mod config;
mod descriptor;
pub mod fastcgi;
mod files;
mod handler;
pub mod http;
pub mod log;
mod metrics;
mod php;
pub mod pool;
pub mod routes;
pub mod server;
pub mod sites;
pub mod tls;
mod watch;
mod websocket;

pub use backend::Backend;
pub use config::ServeConfig;
pub use files::lookup::Script;
pub use server::{Order, Report, ServeError, Server, Sockets};
