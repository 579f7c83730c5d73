//! Whole files in, programs or faults out.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;
use crate::program::{Autorestart, Probe, Reach, Sink};

fn surroundings() -> Surroundings {
    Surroundings {
        directory: PathBuf::from("/app"),
        environment: BTreeMap::from([("QUEUE".to_owned(), "high".to_owned())]),
        host_name: "box".to_owned(),
        user: Uid::from_raw(0),
    }
}

fn read(file: &str, text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new(file), text, &surroundings())
}

fn faults(file: &str, text: &str) -> Vec<String> {
    match read(file, text) {
        Err(ConfigError::Invalid { faults }) => faults.0.iter().map(Fault::to_string).collect(),
        other => panic!("no faults: {other:?}"),
    }
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(Fault::to_string).collect()
}

/// The web container of the first drawn system, as its project writes it.
const WEB: &str = r"
[supervisord]
nodaemon=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile=/tmp/supervisord.pid

[unix_http_server]
file=/tmp/supervisor.sock

[program:php-fpm]
command=php-fpm8.2 -F --fpm-config %(here)s/php-fpm.conf
priority=5
autostart=true
autorestart=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
stderr_logfile=/dev/stderr
stderr_logfile_maxbytes=0

[program:nginx]
command=nginx -g 'daemon off;'   ; stays in the foreground
priority=10
autorestart=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
redirect_stderr=true
";

#[test]
fn the_web_container_of_seed_a() {
    let config = read("/etc/supervisor/supervisord.conf", WEB).unwrap();
    let [fpm, nginx] = &config.programs[..] else {
        panic!("{config:?}")
    };
    assert_eq!(
        fpm.command,
        [
            "php-fpm8.2",
            "-F",
            "--fpm-config",
            "/etc/supervisor/php-fpm.conf"
        ]
    );
    assert_eq!(fpm.policy.stop_signal, Signal::SIGQUIT);
    assert_eq!(
        (fpm.policy.priority, fpm.policy.autorestart),
        (5, Autorestart::Always)
    );
    assert_eq!((&fpm.stdout, &fpm.stderr), (&Sink::Stdout, &Sink::Stderr));
    assert_eq!(nginx.command, ["nginx", "-g", "daemon off;"]);
    assert_eq!(
        (&nginx.stdout, &nginx.stderr),
        (&Sink::Stdout, &Sink::Stdout)
    );
    assert_eq!(nginx.policy.stop_wait, Duration::from_secs(10));
    assert!(nginx.policy.essential);
    assert_eq!(
        warnings(&config),
        [
            "/etc/supervisor/supervisord.conf:2: [supervisord]: no effect here: user, logfile, logfile_maxbytes, pidfile",
            "/etc/supervisor/supervisord.conf:9: [unix_http_server] has no effect here",
        ]
    );
}

#[test]
fn the_worker_container_of_seed_a() {
    let text = "[program:laravel-worker]\nprocess_name=%(program_name)s_%(process_num)02d\n\
        command=php /var/www/artisan queue:work --queue=%(ENV_QUEUE)s --sleep=3 --tries=3 --max-time=3600\n\
        autostart=true\nautorestart=true\nstopasgroup=true\nkillasgroup=true\nuser=0\nnumprocs=2\nexitcodes=0,12\n\
        environment=A=\"%(process_num)s\",\n  B=x\ndirectory=/var/www\numask=022\nstopsignal=int\n";
    let config = read("s.conf", text).unwrap();
    let names: Vec<_> = config
        .programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    assert_eq!(names, ["laravel-worker_00", "laravel-worker_01"]);
    let worker = &config.programs[1];
    assert!(worker.command.contains(&"--queue=high".to_owned()));
    assert_eq!(
        worker.environment,
        [
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "x".to_owned())
        ]
    );
    assert_eq!(
        (worker.policy.stop_wait, worker.policy.stop_signal),
        (Duration::from_mins(1), Signal::SIGINT)
    );
    assert_eq!(
        (worker.policy.stop_reach, worker.policy.exit_codes.clone()),
        (Reach::Group, vec![0, 12])
    );
    assert_eq!((worker.umask, worker.identity.clone()), (Some(0o22), None));
    assert_eq!(worker.directory, Some(PathBuf::from("/var/www")));
}

#[test]
fn howdah_toml_says_the_same() {
    let text = r#"
[serve]
unknown_to_us = 1

[programs.web]
command = ["nginx", "-g", "daemon off;"]
health = "http://127.0.0.1:8080/health"
stopwaitsecs = 20
environment = { A = "1", B = 2 }
umask = 0o27

[programs.worker]
command = "php artisan queue:work"
numprocs = 2
exitcodes = [0, 12]
health = ["php", "artisan", "queue:health"]
health_timeout = 9
essential = false
stderr = "NONE"
"#;
    let config = read("howdah.toml", text).unwrap();
    let [web, worker, second] = &config.programs[..] else {
        panic!("{config:?}")
    };
    assert_eq!(
        web.check.as_ref().unwrap().probe,
        Probe::Address("http://127.0.0.1:8080/health".to_owned())
    );
    assert_eq!(
        (web.policy.stop_wait, web.umask),
        (Duration::from_secs(20), Some(0o27))
    );
    assert_eq!(web.environment[1], ("B".to_owned(), "2".to_owned()));
    assert_eq!(
        (worker.name.as_str(), second.name.as_str()),
        ("worker_00", "worker_01")
    );
    assert_eq!(
        worker.check.as_ref().unwrap().timeout,
        Duration::from_secs(9)
    );
    assert_eq!(
        (worker.policy.essential, &worker.stderr),
        (false, &Sink::Discard)
    );
    assert_eq!(warnings(&config), [""; 0]);
}

#[test]
fn all_faults_are_told_at_once_with_their_lines() {
    let text = "[program:web]\ncommand=nginx -g 'daemon off;\nstopsignl=QUIT\nstopsignal=QIUT\nnumprocs=0\n\
        autorestart=maybe\n[program:worker]\nautostart=perhaps\n[programs:x]\n[program:a b]\ncommand=x\n";
    assert_eq!(
        faults("s.conf", text),
        [
            "s.conf:9: unknown section [programs:x] (did you mean `program`?)",
            "s.conf:3: unknown key `stopsignl` in program `web` (did you mean `stopsignal`?)",
            "s.conf:5: `numprocs` of program `web` must be a whole number of at least 1, not `0`",
            "s.conf:2: `command` of program `web` has a ' that is never closed",
            "s.conf:6: `autorestart` of program `web` must be true, false or unexpected, not `maybe`",
            "s.conf:4: `stopsignal` of program `web` must be a signal such as TERM or QUIT, not `QIUT`",
            "s.conf:7: program `worker` has no `command`",
            "s.conf:8: `autostart` of program `worker` must be true or false, not `perhaps`",
            "s.conf:10: program name `a b` may not be empty or contain blanks, `:` or `/`",
        ]
    );
}

#[test]
fn toml_faults_have_lines_too() {
    let told = faults(
        "howdah.toml",
        "[programs.web]\ncommand = \"nginx\"\nhealth = \"ftp://x\"\nuser = 1.5\n\n[programs.x\n",
    );
    assert!(
        told.iter()
            .any(|fault| fault.starts_with("howdah.toml:6: ")),
        "{told:?}"
    );
    let told = faults("howdah.toml", "programs = 3\n");
    assert!(
        told[0].starts_with("howdah.toml:1: `programs` must be a table"),
        "{told:?}"
    );
    let told = faults(
        "howdah.toml",
        "[programs.web]\ncommand = 'a'\ndirectory = ['x']\nuser = 1.5\nhealth = 'tcp://x'\n",
    );
    assert_eq!(
        told.iter().map(|fault| &fault[..14]).collect::<Vec<_>>(),
        ["howdah.toml:4:", "howdah.toml:3:", "howdah.toml:5:"]
    );
}

#[test]
fn process_names_must_differ() {
    let told = faults(
        "s.conf",
        "[program:a]\ncommand=x\nnumprocs=2\nprocess_name=one\n",
    );
    assert!(told[0].contains("must contain %(process_num)"), "{told:?}");
    let told = faults(
        "s.conf",
        "[program:a]\ncommand=x\n[program:b]\nprocess_name=a\ncommand=x\n",
    );
    assert_eq!(
        told,
        ["s.conf:3: programs `a` and `b` both have a process named `a`"]
    );
}

#[test]
fn keys_without_effect_are_named() {
    let config = read("s.conf", "[program:a]\ncommand=x\nstdout_logfile_backups=3\nstdout_events_enabled=true\nautostart=false\n").unwrap();
    assert_eq!(
        warnings(&config),
        [
            "s.conf:1: program `a`: no effect here: stdout_logfile_backups, stdout_events_enabled",
            "s.conf:5: `autostart` of program `a` is false: nothing starts it, there is no start command yet",
        ]
    );
}

#[test]
fn only_root_can_change_users() {
    let text = "[program:a]\ncommand=x\nuser=0\n";
    let somebody = Surroundings {
        user: Uid::from_raw(1000),
        ..surroundings()
    };
    let config = Config::parse(Path::new("s.conf"), text, &somebody).unwrap();
    assert_eq!(config.programs[0].identity, None);
    assert!(
        warnings(&config)[0].contains("only root can change users"),
        "{:?}",
        config.warnings
    );
    assert!(
        faults("s.conf", "[program:a]\ncommand=x\nuser=no-such-user\n")[0].contains("no-such-user")
    );
}

#[test]
fn a_procfile_is_enough() {
    let config = read(
        "Procfile",
        "web: php-fpm -F\nworker: php artisan queue:work | cat\n",
    )
    .unwrap();
    assert_eq!(config.programs[0].command, ["php-fpm", "-F"]);
    assert_eq!(config.programs[0].policy.autorestart, Autorestart::Always);
    assert_eq!(
        config.programs[1].command,
        ["/bin/sh", "-c", "php artisan queue:work | cat"]
    );
    assert_eq!(config.programs[1].policy.stop_wait, Duration::from_mins(1));
    assert_eq!(
        faults("Procfile", "# nothing\n"),
        ["Procfile:1: has no program to run"]
    );
}

#[test]
fn included_files_are_read_with_their_own_names() {
    let directory = tempfile::tempdir().unwrap();
    let etc = directory.path();
    fs_err::create_dir(etc.join("conf.d")).unwrap();
    fs_err::write(
        etc.join("conf.d/web.conf"),
        "[program:web]\ncommand=%(here)s/run\n",
    )
    .unwrap();
    fs_err::write(etc.join("conf.d/bad.conf.off"), "nonsense").unwrap();
    fs_err::write(
        etc.join("supervisord.conf"),
        "[supervisord]\nenvironment=A=1\n[include]\nfiles = conf.d/*.conf\n",
    )
    .unwrap();
    let config = Config::read(&etc.join("supervisord.conf"), &surroundings()).unwrap();
    assert_eq!(
        config.programs[0].command,
        [etc.join("conf.d/run").to_str().unwrap()]
    );
    assert_eq!(
        config.programs[0].environment,
        [("A".to_owned(), "1".to_owned())]
    );
}

#[test]
fn the_first_file_with_programs_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let here = Surroundings {
        directory: directory.path().to_owned(),
        ..surroundings()
    };
    fs_err::write(
        directory.path().join("howdah.toml"),
        "[serve]\nworkers = 2\n",
    )
    .unwrap();
    fs_err::write(
        directory.path().join("supervisord.conf"),
        "[program:a]\ncommand=x\n",
    )
    .unwrap();
    assert_eq!(
        Config::find(&here).unwrap().file,
        directory.path().join("supervisord.conf")
    );
    fs_err::write(
        directory.path().join("howdah.toml"),
        "[programs.b]\ncommand = 'x'\n",
    )
    .unwrap();
    assert_eq!(Config::find(&here).unwrap().programs[0].name, "b");
}

#[test]
fn hostile_input_is_refused_not_followed() {
    for text in [
        "[",
        "[]",
        "=",
        "[program:]",
        "[program:a]\ncommand=\\",
        "[program:a]\nnumprocs=4000000000\ncommand=x",
        "\u{0}",
        "[program:a]\ncommand=%(",
        "%",
    ] {
        assert!(!faults("s.conf", text).is_empty(), "{text:?}");
    }
    for text in [
        "[programs.a]\ncommand = []",
        "[programs.a]\ncommand = [1, [2]]",
        "[[programs]]",
        "[programs.\"a/b\"]",
        "programs.a.command = ''",
    ] {
        assert!(!faults("howdah.toml", text).is_empty(), "{text:?}");
    }
}
