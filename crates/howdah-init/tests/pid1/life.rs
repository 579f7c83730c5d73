//! Started, ended, restarted, lost.

use crate::stop::script_file;
use crate::world::{Mode, World, children, process_state};

#[test]
fn a_hundred_orphans_leave_no_zombie() {
    let text = "[program:a]\ncommand=sh -c 'for i in $(seq 100); do (sh -c \"exit 3\" &); done; echo spawned; exec sleep 1000'\n\
        [program:b]\ncommand=sleep 1000\n";
    let mut world = World::init("s.conf", text);
    world.until("| spawned");
    let init = world.pid();
    world.health_until(|_| children(init).len() == 2);
    assert!(
        children(init)
            .into_iter()
            .all(|pid| process_state(pid) != Some('Z'))
    );
    assert_eq!(world.stop(), 0);
}

#[test]
fn a_plain_supervisor_reaps_orphans_too() {
    let text = "a: (sh -c 'exit 1' &); (setsid sh -c 'exit 2' &); echo spawned; exec sleep 1000\n";
    let mut world = World::start(Mode::Plain, "Procfile", text, &[]);
    world.until("spawned");
    let supervisor = world.pid();
    world.health_until(|_| children(supervisor).len() == 1);
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
}

#[test]
fn failed_starts_end_in_the_programs_exit_code() {
    let text = "[program:bad]\ncommand=sh -c 'echo try; exit 3'\nstartretries=1\n\
        [program:good]\ncommand=sh -c 'trap \"echo asked; exit 0\" TERM; while :; do sleep 0.05; done'\n";
    let mut world = World::init("s.conf", text);
    assert_eq!(world.end(), 3, "{:#?}", world.seen);
    assert_eq!(world.lines_of("bad"), ["try", "try"]);
    assert_eq!(world.lines_of("good"), ["asked"]);
    assert!(world.said("bad: exited with code 3 before it was up; next try in 1 s"));
    assert!(world.said("bad: exited with code 3; given up after 2 starts"));
    assert!(world.said("essential program bad is lost"));
}

#[test]
fn what_cannot_be_executed_is_127() {
    let mut world = World::init("Procfile", "a: no-such-program --x\n");
    // A Procfile has startretries 3: after 1, 2 and 3 seconds it is given up.
    assert_eq!(world.end(), 127, "{:#?}", world.seen);
    assert!(world.said("`no-such-program`: No such file or directory"));
}

#[test]
fn a_daemon_that_goes_to_the_background_is_told_so() {
    let mut world = World::init("s.conf", "[program:fpm]\ncommand=true\nstartretries=0\n");
    assert_eq!(world.end(), 1);
    assert!(
        world.said("must stay in the foreground"),
        "{:#?}",
        world.seen
    );
}

#[test]
fn unexpected_exit_codes_are_restarted_and_expected_ones_are_not() {
    let script = "#!/bin/sh\nif [ -e again ]; then echo second; exit 7; fi\ntouch again; echo first; exit 1\n";
    let directory = tempfile::tempdir().unwrap();
    script_file(directory.path(), "program", script);
    let text = "[program:a]\ncommand=program\nexitcodes=0,7\nstartsecs=0\nessential=false\n[program:b]\ncommand=sleep 1000\n";
    let mut world = World::start_in(directory, Mode::Init, "s.conf", text, &[]);
    world.until("a: exited with code 1; starting it again");
    world.until("a: exited with code 7");
    let report = world.health(None);
    let [a, b] = &report.processes[..] else {
        panic!("{report:?}")
    };
    assert_eq!(
        (a.state.as_str(), a.restarts, a.healthy),
        ("EXITED", 1, false)
    );
    assert_eq!((b.restarts, report.processes.len()), (0, 2));
    assert_eq!(world.stop(), 0);
    assert_eq!(world.lines_of("a"), ["first", "second"]);
}

#[test]
fn numprocs_makes_as_many_processes_with_their_numbers() {
    let text = "[program:w]\ncommand=sh -c 'echo number %(process_num)d; exec sleep 1000'\nnumprocs=3\n\
        process_name=%(program_name)s_%(process_num)02d\nstartsecs=0\n";
    let mut world = World::init("s.conf", text);
    for _ in 0..3 {
        world.until("number");
    }
    for number in 0..3 {
        assert_eq!(
            world.lines_of(&format!("w_{number:02}")),
            [format!("number {number}")]
        );
    }
    assert_eq!(world.health(Some("w")).processes.len(), 3);
    assert_eq!(world.health(Some("w_01")).processes.len(), 1);
    assert!(!world.health(Some("x")).healthy);
    assert_eq!(world.stop(), 0);
}

#[test]
fn one_shots_run_first_and_the_end_of_all_work_is_success() {
    let text = "[programs.migrate]\ncommand = 'echo migrated'\nautorestart = false\npriority = 1\n\
        [programs.job]\ncommand = 'echo worked'\nautorestart = false\n";
    let mut world = World::init("howdah.toml", text);
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    let at = |text: &str| {
        world
            .seen
            .iter()
            .position(|line| line.contains(text))
            .unwrap()
    };
    assert!(at("| migrated") < at("job: started"));
}

#[test]
fn seed_a_starts_php_fpm_first_and_stops_it_last_with_quit() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["php-fpm8.2", "nginx"] {
        let script = format!(
            "#!/bin/sh\ntrap 'echo {name} drained; exit 0' QUIT\ntrap 'echo {name} cut off; exit 1' TERM\necho {name} \"$*\"\nwhile :; do sleep 0.05; done\n"
        );
        script_file(directory.path(), name, &script);
    }
    let text = "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=/tmp/supervisord.pid\n\n\
        [program:php-fpm]\ncommand=php-fpm8.2 -F\npriority=5\nautostart=true\nautorestart=true\nstdout_logfile=/dev/stdout\n\
        stdout_logfile_maxbytes=0\nstderr_logfile=/dev/stderr\nstderr_logfile_maxbytes=0\n\n\
        [program:nginx]\ncommand=nginx -g 'daemon off;'\npriority=10\nautorestart=true\nstdout_logfile=/dev/stdout\n\
        stdout_logfile_maxbytes=0\nredirect_stderr=true\n";
    let mut world = World::start_in(directory, Mode::Init, "supervisord.conf", text, &[]);
    world.until("all programs are up");
    assert!(world.health(None).healthy);
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
    let output: Vec<_> = world
        .seen
        .iter()
        .filter(|line| !line.starts_with("howdah"))
        .collect();
    assert_eq!(
        output,
        [
            "php-fpm | php-fpm8.2 -F",
            "nginx   | nginx -g daemon off;",
            "nginx   | nginx drained",
            "php-fpm | php-fpm8.2 drained"
        ]
    );
    assert!(world.said("warning: supervisord.conf:1: [supervisord]: no effect here: logfile, logfile_maxbytes, pidfile"));
}
