//! FrankenPHP's own part: the `frankenphp` option, `php_server`, `php` and `worker`.

use crate::error::{CaddyfileError, Fault};
use crate::matchers::{self, FileMatcher, Matcher};
use crate::model::{FileServer, Handler, Php, PhpOptions, Route, Worker};
use crate::options::{duration, number};
use crate::site::Compiler;
use crate::template::Template;
use crate::tree::Directive;

/// What FrankenPHP watches when no pattern is given.
const WATCHED: &str = "./**/*.{env,php,twig,yaml,yml}";

/// `frankenphp { ... }` of the global options.
pub(crate) fn options(
    options: &mut PhpOptions,
    directive: &Directive,
) -> Result<(), CaddyfileError> {
    const KNOWN: &str =
        "num_threads, max_threads, max_wait_time, max_idle_time, max_requests, php_ini and worker";
    for option in directive.inner() {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("num_threads", [count]) => options.num_threads = Some(number(count, option)?),
            ("max_threads", ["auto"]) => options.max_threads = None,
            ("max_threads", [count]) => options.max_threads = Some(number(count, option)?),
            ("max_wait_time", [time]) => options.max_wait_time = Some(duration(time, option)?),
            // Checked; processes that have nothing to do end after half a minute.
            ("max_idle_time", [time]) => drop(duration(time, option)?),
            ("max_requests", [count]) => {
                options.max_requests = Some(number(count, option)?).filter(|count| *count > 0);
            }
            ("php_ini", [name, value]) => {
                options.php_ini.push(((*name).into(), (*value).into()));
            }
            ("php_ini", []) => {
                for entry in option.inner() {
                    let value = entry.one("php_ini { NAME VALUE }")?.to_owned();
                    options.php_ini.push((entry.name.clone(), value));
                }
            }
            ("worker", _) => {
                let (worker, matched) = worker(option)?;
                if !matched.is_empty() {
                    return Err(option.unsupported("`match` is for workers of a `php_server`"));
                }
                add_worker(options, worker, option)?;
            }
            _ => return Err(option.unknown("frankenphp", KNOWN)),
        }
    }
    Ok(())
}

fn add_worker(
    options: &mut PhpOptions,
    worker: Worker,
    directive: &Directive,
) -> Result<usize, CaddyfileError> {
    let is_same = |other: &Worker| {
        other.file_name == worker.file_name || (other.name.is_some() && other.name == worker.name)
    };
    if options.workers.iter().any(is_same) {
        return Err(directive.fault(Fault::Twice(worker.file_name)));
    }
    options.workers.push(worker);
    Ok(options.workers.len() - 1)
}

/// `worker FILE [NUMBER|watch]` or `worker { ... }`, and the paths that it answers.
fn worker(directive: &Directive) -> Result<(Worker, Vec<String>), CaddyfileError> {
    const KNOWN: &str =
        "name, file, num, max_threads, env, watch, match and max_consecutive_failures";
    let mut worker = Worker::default();
    let mut matched = Vec::new();
    match directive.words().as_slice() {
        [] => {}
        [file] => worker.file_name = String::from(*file),
        [file, "watch"] => {
            worker.file_name = String::from(*file);
            worker.watch.push(WATCHED.to_owned());
        }
        [file, count] => {
            worker.file_name = String::from(*file);
            worker.num = positive(number(count, directive)?);
        }
        _ => return Err(directive.usage("worker FILE [COUNT]")),
    }
    for option in directive.inner() {
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("name", [name]) => worker.name = Some((*name).to_owned()),
            ("file", [file]) => worker.file_name = String::from(*file),
            ("num", [count]) => worker.num = positive(number(count, option)?),
            ("max_threads", [count]) => worker.max_threads = positive(number(count, option)?),
            ("env", [name, value]) => worker.env.push(((*name).into(), (*value).into())),
            ("watch", []) => worker.watch.push(WATCHED.to_owned()),
            ("watch", [pattern]) => worker.watch.push((*pattern).to_owned()),
            ("match", patterns @ [_, ..]) => {
                matched.extend(patterns.iter().map(|pattern| matchers::path(pattern)));
            }
            ("max_consecutive_failures", [count]) => {
                worker.max_consecutive_failures = Some(number(count, option)?);
            }
            _ => return Err(option.unknown("worker", KNOWN)),
        }
    }
    if worker.file_name.is_empty() {
        return Err(directive.usage("worker FILE [COUNT], or worker { file FILE }"));
    }
    Ok((worker, matched))
}

/// 0 is as many as the machine has processors for.
fn positive(count: usize) -> Option<usize> {
    Some(count).filter(|count| *count > 0)
}

/// `php_server` with its options.
#[derive(Debug)]
pub(crate) struct Server {
    php: Php,
    /// None: no index, and every path is itself.
    index: Option<String>,
    try_files: Vec<Template>,
    has_files: bool,
    /// Paths and the worker that answers them.
    workers: Vec<(Vec<String>, usize)>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            php: Php {
                split_path: vec![".php".into()],
                resolve_root_symlink: true,
                ..Php::default()
            },
            index: Some("index.php".into()),
            try_files: Vec::new(),
            has_files: true,
            workers: Vec::new(),
        }
    }
}

impl Server {
    /// Of `php_server` or of `php`, which is the same without files and index.
    pub(crate) fn read(
        compiler: &mut Compiler<'_>,
        directive: &Directive,
    ) -> Result<Server, CaddyfileError> {
        let mut server = Server::default();
        if let Some(first) = directive.arguments.first().filter(|word| !word.is_empty()) {
            let expected = "an option: they stand in a block behind php_server";
            return Err(directive.fault(Fault::value(first, expected)));
        }
        let mut workers = Vec::new();
        for option in directive.inner() {
            if option.name == "worker" {
                workers.push((worker(option)?, option));
            } else {
                server.option(compiler, option)?;
            }
        }
        for ((mut worker, matched), option) in workers {
            server.inherit(&mut worker);
            let index = add_worker(&mut compiler.php, worker, option)?;
            if !matched.is_empty() {
                server.workers.push((matched, index));
            }
        }
        Ok(server)
    }

    /// A worker of a `php_server` has its environment, and its file is below its root.
    fn inherit(&self, worker: &mut Worker) {
        for (name, value) in &self.php.env {
            let is_own = worker.env.iter().any(|(own, _)| own == name);
            if let Some(value) = value.constant().filter(|_| !is_own) {
                worker.env.push((name.clone(), value));
            }
        }
        let root = self.php.root.as_ref().and_then(Template::constant);
        if let Some(root) = root.filter(|_| !worker.file_name.starts_with('/')) {
            worker.file_name = format!("{}/{}", root.trim_end_matches('/'), worker.file_name);
        }
    }

    fn option(
        &mut self,
        compiler: &mut Compiler<'_>,
        option: &Directive,
    ) -> Result<(), CaddyfileError> {
        const KNOWN: &str = "env, file_server, hot_reload, index, name, request_body_timeout, resolve_root_symlink, root, split, \
                             try_files and worker";
        let words = option.words();
        match (option.name.as_str(), words.as_slice()) {
            ("root", [root]) => self.php.root = Some(compiler.template(root)),
            ("index", ["off"]) => self.index = None,
            ("index", [index]) => self.index = Some((*index).to_owned()),
            ("try_files", words @ [_, ..]) => {
                self.try_files = words.iter().map(|word| compiler.template(word)).collect();
            }
            ("file_server", ["off"]) => self.has_files = false,
            ("split" | "split_path", words @ [_, ..]) => {
                self.php.split_path = words.iter().map(|word| word.to_lowercase()).collect();
            }
            ("env", [name, value]) => {
                self.php
                    .env
                    .push(((*name).into(), compiler.template(value)));
            }
            ("resolve_root_symlink", []) => self.php.resolve_root_symlink = true,
            ("resolve_root_symlink", [value]) => {
                self.php.resolve_root_symlink = value
                    .parse()
                    .map_err(|_| option.fault(Fault::value(value, "true or false")))?;
            }
            ("request_body_timeout", [time]) => {
                self.php.body_timeout = Some(duration(time, option)?);
            }
            ("name", [_]) => {}
            ("hot_reload", _) => {
                compiler.warn(option, "pages are not reloaded in the browser; `watch` of a worker reloads the application");
            }
            _ => return Err(option.unknown("php_server", KNOWN)),
        }
        Ok(())
    }

    /// `php` alone.
    pub(crate) fn handler(self) -> Handler {
        Handler::Php(self.php)
    }

    /// What FrankenPHP has a `php_server` stand for (its `caddy/module.go`): add a missing slash, try files, run scripts, send
    /// files.
    pub(crate) fn routes(self) -> Vec<Route> {
        let mut routes = self.worker_routes();
        let file_server = self.file_server();
        if let Some(index) = &self.index {
            let of_directory = Template::parse(&format!("{{path}}/{index}"), &|_| None);
            let is_usual = self.try_files.is_empty();
            if is_usual || self.try_files.contains(&of_directory) {
                routes.push(self.add_slash(of_directory.clone()));
            }
            routes.push(self.try_files(of_directory, index));
        }
        let ends = self.php.split_path.iter();
        let scripts = ends.flat_map(|end| [format!("*{end}"), format!("*{end}/*")]);
        routes.push(Route {
            matcher: Some(vec![Matcher::Path(scripts.collect())]),
            group: None,
            handler: Handler::Php(self.php),
        });
        routes.extend(file_server);
        routes
    }

    fn file_server(&self) -> Option<Route> {
        self.has_files.then(|| Route {
            matcher: None,
            group: None,
            handler: Handler::FileServer(FileServer {
                root: self.php.root.clone(),
                index: vec!["index.html".into(), "index.txt".into()],
                ..FileServer::default()
            }),
        })
    }

    /// Paths of workers, unless a file is there.
    fn worker_routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        if self.workers.is_empty() {
            return routes;
        }
        if let Some(files) = self.file_server() {
            let scripts = Matcher::Not(vec![vec![Matcher::Path(vec!["*.php".into()])]]);
            let is_file = self.file_matcher(vec![Template::parse("{path}", &|_| None)]);
            routes.push(Route {
                matcher: Some(vec![is_file, scripts]),
                ..files
            });
        }
        for (paths, index) in &self.workers {
            routes.push(Route {
                matcher: Some(vec![Matcher::Path(paths.clone())]),
                group: None,
                handler: Handler::Php(Php {
                    worker: Some(*index),
                    ..self.php.clone()
                }),
            });
        }
        routes
    }

    fn file_matcher(&self, try_files: Vec<Template>) -> Matcher {
        Matcher::File(FileMatcher {
            root: self.php.root.clone(),
            try_files,
            ..FileMatcher::default()
        })
    }

    fn add_slash(&self, of_directory: Template) -> Route {
        let has_slash = Matcher::Path(vec!["*/".into()]);
        Route {
            matcher: Some(vec![
                self.file_matcher(vec![of_directory]),
                Matcher::Not(vec![vec![has_slash]]),
            ]),
            group: None,
            handler: Handler::Redirect {
                to: Template::parse("{orig_path}/{?query}", &|_| None),
                status: 308,
            },
        }
    }

    fn try_files(&self, of_directory: Template, index: &str) -> Route {
        let index = Template::text(index);
        let (try_files, has_fallback) = if self.try_files.is_empty() {
            let path = Template::parse("{path}", &|_| None);
            let path = self.has_files.then_some(path);
            (
                path.into_iter().chain([of_directory, index]).collect(),
                true,
            )
        } else {
            let last = self.try_files.last().map(Template::source);
            let mut ends = self.php.split_path.iter();
            let is_script = last.is_some_and(|last| ends.any(|end| last.ends_with(end.as_str())));
            (self.try_files.clone(), is_script)
        };
        Route {
            matcher: None,
            group: None,
            handler: Handler::TryFiles(FileMatcher {
                root: self.php.root.clone(),
                try_files,
                has_fallback,
                split_path: self.php.split_path.clone(),
            }),
        }
    }
}
