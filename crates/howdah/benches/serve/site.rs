//! What is served: the scripts of `site/`, two files, and one php.ini for all.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::process::command;
use crate::services::{Services, run};

/// As in production. Without the JIT: its default is off. An empty directory stands for what Debian would add.
const PHP_INI: &str = "
variables_order = GPCS
post_max_size = 64M
upload_max_filesize = 64M
memory_limit = 128M
display_errors = Off
log_errors = On
expose_php = Off
output_buffering = 4096
session.use_cookies = 0
include_path = .:/usr/share/php
zend_extension = opcache
opcache.enable = 1
opcache.validate_timestamps = 0
opcache.file_update_protection = 0
opcache.memory_consumption = 128
opcache.interned_strings_buffer = 16
opcache.max_accelerated_files = 10000
";
const EXTENSIONS: [&str; 9] = [
    "mbstring",
    "tokenizer",
    "ctype",
    "iconv",
    "fileinfo",
    "pdo",
    "pdo_pgsql",
    "igbinary",
    "redis",
];
/// One application.
pub(crate) struct Site {
    /// `public` and `worker.php` are in it.
    pub(crate) directory: PathBuf,
}

/// All of them.
pub(crate) struct Sites {
    pub(crate) plain: Site,
    pub(crate) laravel: Site,
    pub(crate) php_ini: PathBuf,
    /// Without the extensions.
    pub(crate) static_ini: PathBuf,
    /// An empty one, for `PHP_INI_SCAN_DIR`.
    pub(crate) no_more_ini: PathBuf,
    /// For what servers write.
    pub(crate) scratch: PathBuf,
    /// See [`Services`].
    pub(crate) services: PathBuf,
}

impl Sites {
    pub(crate) fn write(directory: &Path, services: &Services) -> Sites {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/serve/site");
        let site = |name: &str| {
            let directory = directory.join(name);
            copy(&source.join(name), &directory);
            Site { directory }
        };
        let sites = Sites {
            plain: site("plain"),
            laravel: site("laravel"),
            php_ini: directory.join("php.ini"),
            static_ini: directory.join("static.ini"),
            no_more_ini: directory.join("conf.d"),
            scratch: directory.join("scratch"),
            services: services.directory.clone(),
        };
        for made in [&sites.no_more_ini, &sites.scratch] {
            fs_err::create_dir(made).unwrap();
        }
        let extensions = EXTENSIONS.map(|name| format!("extension = {name}\n"));
        fs_err::write(&sites.php_ini, PHP_INI.to_owned() + &extensions.concat()).unwrap();
        fs_err::write(&sites.static_ini, PHP_INI).unwrap();
        let public = sites.plain.public();
        fs_err::write(public.join("1k.bin"), vec![b'x'; 1 << 10]).unwrap();
        fs_err::write(public.join("1m.bin"), vec![b'x'; 1 << 20]).unwrap();
        sites.cache_configuration();
        sites
    }

    fn cache_configuration(&self) {
        let laravel = &self.laravel.directory;
        for made in ["bootstrap/cache", "storage/framework/views"] {
            fs_err::create_dir_all(laravel.join(made)).unwrap();
        }
        let mut php = command("env");
        php.arg("-C").arg(laravel).arg("php");
        php.arg("-c")
            .arg(&self.php_ini)
            .args(["artisan", "config:cache"]);
        run(php.env("PHP_INI_SCAN_DIR", &self.no_more_ini));
    }
}

impl Site {
    pub(crate) fn public(&self) -> PathBuf {
        self.directory.join("public")
    }

    pub(crate) fn worker(&self) -> PathBuf {
        self.directory.join("worker.php")
    }

    pub(crate) fn name(&self) -> &str {
        self.directory.file_name().unwrap().to_str().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn open_to_all(directory: &Path) {
    fs_err::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
}
