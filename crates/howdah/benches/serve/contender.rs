//! The servers that are compared, each with its own processes and address.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::WORKERS;
use crate::case::Case;
use crate::process::{Process, command, free_address, listens};
use crate::site::{Site, Sites};

/// A running server. The fields are dropped in their order: the front before PHP.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) front: Process,
    /// PHP-FPM; others start PHP themselves.
    pub(crate) fpm: Option<Process>,
}

/// FrankenPHP's PHP has no client of Redis.
const FRANKENPHP: &str = "FrankenPHP worker";

/// How `howdah serve` runs PHP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Classic,
    Worker,
    Fork,
}

impl Contender {
    /// nginx with files alone.
    pub(crate) fn nginx(sites: &Sites, site: &Site) -> Contender {
        let (front, address) = start_nginx(sites, site, "files", "");
        Contender {
            name: "nginx",
            address,
            front,
            fpm: None,
        }
    }

    pub(crate) fn fpm(sites: &Sites, site: &Site) -> Contender {
        let name = format!("fpm-{}", site.name());
        let (socket, log) = (sites.scratch(&name, "sock"), sites.scratch(&name, "log"));
        let pool = sites.scratch(&name, "conf");
        // A backlog that holds all connections: none may be refused.
        let text = format!(
            "[global]\ndaemonize = no\nerror_log = /dev/stderr\n[www]\nuser = root\ngroup = root\nlisten = {}\n\
             listen.backlog = 4096\npm = static\npm.max_children = {WORKERS}\nclear_env = no\n",
            socket.display()
        );
        fs_err::write(&pool, text).unwrap();
        let mut fpm = command("php-fpm8.2");
        fpm.arg("-R").arg("-y").arg(&pool);
        fpm.arg("-c").arg(&sites.php_ini);
        sites.environment(&mut fpm);
        let mut fpm = Process::start(fpm, &log);
        fpm.wait_until(&log, || socket.exists());
        let location = format!(
            "location / {{ try_files $uri /index.php$is_args$args; }}\n\
             location = /index.php {{ include /etc/nginx/fastcgi_params; \
             fastcgi_param SCRIPT_FILENAME {}/index.php; fastcgi_pass unix:{}; }}\n",
            site.public().display(),
            socket.display()
        );
        let (front, address) = start_nginx(sites, site, &name, &location);
        Contender {
            name: "nginx + FPM",
            address,
            front,
            fpm: Some(fpm),
        }
    }

    pub(crate) fn howdah(sites: &Sites, site: &Site, mode: Mode) -> Contender {
        let (name, mode) = match mode {
            Mode::Classic => ("howdah classic", "classic"),
            Mode::Worker => ("howdah worker", "worker"),
            Mode::Fork => ("howdah fork", "fork"),
        };
        let log = sites.scratch(&format!("{mode}-{}", site.name()), "log");
        let address = free_address();
        let mut front = command(env!("CARGO_BIN_EXE_howdah"));
        front.args(["serve", "--no-access-log", "--no-compression"]);
        front.args(["--mode", mode, "--listen", &address.to_string()]);
        front.args(["--workers", &WORKERS.to_string()]);
        front.arg("--document-root").arg(site.public());
        front.arg("--php-ini").arg(&sites.php_ini);
        front.arg("--php").arg(howdah_php());
        // Laravel needs none: it is served as it is.
        if mode != "classic" && site.name() != "laravel" {
            front.arg("--worker").arg(site.worker());
        }
        sites.environment(&mut front);
        Contender::start(name, front, address, &log)
    }

    /// `frankenphp/main.go` around FrankenPHP's library.
    pub(crate) fn frankenphp(sites: &Sites, site: &Site, program: &Path) -> Contender {
        let log = sites.scratch(&format!("frankenphp-{}", site.name()), "log");
        let address = free_address();
        let mut front = command(program);
        front.args([&address.to_string(), &WORKERS.to_string()]);
        front.arg(site.public()).arg(site.worker());
        sites.environment(&mut front);
        // The same, but for the extensions: that PHP has them built in.
        front.env("PHPRC", &sites.static_ini);
        Contender::start(FRANKENPHP, front, address, &log)
    }

    /// Can it answer a case?
    pub(crate) fn answers(&self, case: &Case) -> bool {
        !case.needs_services || self.name != FRANKENPHP
    }

    fn start(name: &'static str, front: Command, address: SocketAddr, log: &Path) -> Contender {
        let mut front = Process::start(front, log);
        front.wait_until(log, || listens(address));
        Contender {
            name,
            address,
            front,
            fpm: None,
        }
    }
}

impl Sites {
    fn scratch(&self, name: &str, extension: &str) -> PathBuf {
        self.scratch.join(format!("{name}.{extension}"))
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("PHP_INI_SCAN_DIR", &self.no_more_ini)
            .env("BENCH_SERVICES", &self.services);
    }
}

/// Where `make php` puts it.
fn howdah_php() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/php/howdah-php8.2")
}

/// As in production: a worker for each processor, open files kept, no log.
fn start_nginx(sites: &Sites, site: &Site, name: &str, locations: &str) -> (Process, SocketAddr) {
    let address = free_address();
    let scratch = sites.scratch.join(format!("nginx-{name}"));
    fs_err::create_dir_all(&scratch).unwrap();
    let mut text = format!(
        "daemon off; pid {0}/pid; error_log stderr error; user root; worker_processes auto; worker_rlimit_nofile 8192;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; client_max_body_size 64m;\n\
         include /etc/nginx/mime.types; open_file_cache max=1000; client_body_temp_path {0}/body;\n",
        scratch.display()
    );
    for module in ["proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{module}_temp_path {}/{module};", scratch.display()).unwrap();
    }
    write!(
        text,
        "server {{ listen {address} backlog=4096; root {}; {locations} }} }}",
        site.public().display()
    )
    .unwrap();
    let (file, log) = (scratch.join("nginx.conf"), scratch.join("log"));
    fs_err::write(&file, text).unwrap();
    let mut nginx = command("nginx");
    nginx.args(["-e", "stderr", "-c"]).arg(&file);
    let mut nginx = Process::start(nginx, &log);
    nginx.wait_until(&log, || listens(address));
    (nginx, address)
}
