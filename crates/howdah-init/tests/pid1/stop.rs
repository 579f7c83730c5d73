//! Asked to stop: the right signal, in the right order, within the budget, and an exit code that tells.

use nix::sys::signal::Signal;

use crate::world::{Mode, PID1, World, process_state};

#[test]
fn term_is_passed_on_and_the_exit_code_is_zero() {
    let text = "[program:a]\ncommand=sh -c 'trap \"echo got TERM; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'\n\
        [program:b]\ncommand=sleep 1000\n";
    let mut world = World::init("s.conf", text);
    world.until("a      | ready");
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
    assert_eq!(world.lines_of("a"), ["ready", "got TERM"]);
    assert!(
        world.said("b: stopped, it was ended by SIGTERM"),
        "{:#?}",
        world.seen
    );
}

#[test]
fn a_queue_program_finishes_the_job_in_hand_exactly_once() {
    let script = "#!/bin/sh\ntrap 'stop=1' TERM\nfor job in 1 2 3; do\n  [ -n \"$stop\" ] && break\n  echo begin $job\n  \
        read line < go & wait $!; kill -0 $! 2>/dev/null && wait $!\n  echo end $job\ndone\necho clean\nexit 0\n";
    let directory = tempfile::tempdir().unwrap();
    script_file(directory.path(), "artisan", script);
    let fifo = directory.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = "[program:worker]\ncommand=artisan queue:work\nautorestart=true\n";
    let mut world = World::start_in(directory, Mode::Init, "s.conf", text, &[]);
    world.until("begin 1");
    world.send(Signal::SIGTERM);
    world.until("stopping with SIGTERM, for up to 60 s");
    // The job ends only now, long after TERM.
    fs_err::write(&fifo, "go\n").unwrap();
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    let jobs: Vec<_> = world
        .seen
        .iter()
        .filter(|line| line.starts_with("begin") || line.starts_with("end"))
        .collect();
    assert_eq!(jobs, ["begin 1", "end 1"]);
    assert!(world.said("clean"));
}

#[test]
fn what_outlives_stopwaitsecs_is_killed_and_told() {
    let text = "[program:deaf]\ncommand=sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'\nstopwaitsecs=1\n\
        [program:other]\ncommand=sleep 1000\n";
    let mut world = World::init("s.conf", text);
    world.until("| ready");
    assert_eq!(world.stop(), 137, "{:#?}", world.seen);
    assert!(
        world
            .said("deaf: still alive after 1 s: killed with SIGKILL, with its whole process group")
    );
}

#[test]
fn the_kill_reaches_grandchildren() {
    // Not as PID 1: there the end of the namespace would do it.
    let text = "[program:deaf]\ncommand=sh -c 'trap \"\" TERM; sh -c \"trap \\\"\\\" TERM; echo grandchild $$; while :; do sleep 0.05; done\" & wait; wait'\n\
        stopwaitsecs=1\n";
    let mut world = World::start(Mode::Plain, "s.conf", text, &[]);
    let line = world.until("grandchild ");
    let grandchild: i32 = line.split_once("grandchild ").unwrap().1.parse().unwrap();
    let leader = crate::world::children(world.pid())[0];
    assert!(process_state(grandchild).is_some());
    assert_eq!(world.stop(), 137, "{:#?}", world.seen);
    assert_eq!(
        (process_state(leader), process_state(grandchild)),
        (None, None)
    );
}

#[test]
fn a_group_that_outlives_its_leader_gets_its_time() {
    let text = "[program:wrapped]\ncommand=sh -c 'sh -c \"trap \\\"echo finished; exit\\\" TERM; echo ready; while :; do sleep 0.05; done\"; true'\n\
        [program:b]\ncommand=sleep 1000\n";
    let mut world = World::init("s.conf", text);
    world.until("| ready");
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
    assert!(world.said("finished"), "{:#?}", world.seen);
}

#[test]
fn processes_in_other_sessions_are_told_before_pid_1_ends() {
    let text = "[program:a]\ncommand=sh -c 'setsid sh -c \"trap \\\"echo straggler told; exit\\\" TERM; echo ready; while :; do sleep 0.05; done\" & exec sleep 1000'\n\
        [program:b]\ncommand=sleep 1000\n";
    let mut world = World::init("s.conf", text);
    world.until("| ready");
    assert_eq!(world.stop(), 0, "{:#?}", world.seen);
    assert!(world.said("straggler told"), "{:#?}", world.seen);
}

#[test]
fn a_signal_storm_is_survived() {
    let text = "[program:a]\ncommand=sh -c 'trap \"\" USR1 USR2 HUP; trap \"echo got TERM; sleep 0.2; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'\n";
    let mut world = World::init("s.conf", text);
    world.until("ready");
    for _ in 0..500 {
        for signal in [
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGHUP,
            Signal::SIGCONT,
            Signal::SIGCHLD,
        ] {
            world.send(signal);
        }
    }
    for _ in 0..20 {
        world.send(Signal::SIGTERM);
    }
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    assert_eq!(
        world.seen.iter().filter(|line| *line == "got TERM").count(),
        1
    );
}

#[test]
fn hup_and_usr1_are_passed_on_to_the_main_process() {
    let text = "[program:a]\ncommand=sh -c 'trap \"echo got HUP\" HUP; trap \"echo got USR1\" USR1; echo ready; while :; do sleep 0.05; done'\n";
    let mut world = World::init("s.conf", text);
    world.until("ready");
    world.send(Signal::SIGHUP);
    world.until("got HUP");
    world.send(Signal::SIGUSR1);
    world.until("got USR1");
    assert_eq!(world.stop(), 0);
}

#[test]
fn a_drain_is_unready_from_its_first_moment() {
    let directory = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&directory.path().join("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = "[program:a]\ncommand=sh -c 'trap \"read x < go; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'\nstartsecs=0\n";
    let mut world = World::start_in(directory, Mode::Init, "s.conf", text, &[]);
    world.until("ready");
    assert!(world.health(None).healthy);
    world.send(Signal::SIGTERM);
    world.until("stopping with");
    let report = world.health(None);
    assert_eq!(
        (
            report.healthy,
            report.state.as_str(),
            report.processes[0].state.as_str()
        ),
        (false, "stopping", "STOPPING")
    );
    fs_err::write(world.path().join("go"), "\n").unwrap();
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
}

#[test]
fn the_second_ctrl_c_at_a_terminal_kills_what_is_left() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    let directory = tempfile::tempdir().unwrap();
    let conf = "[program:deaf]\ncommand=sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'\n";
    fs_err::write(directory.path().join("t.conf"), conf).unwrap();
    let mut script = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            // `exec`: a shell left between would die of the Ctrl-C and hide the exit code.
            &format!("exec {PID1} t.conf t.sock"),
            "/dev/null",
        ])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = script.stdout.take().unwrap();
    let mut seen = String::new();
    let mut until = |text: &str| {
        while !seen.contains(text) {
            let mut buffer = [0; 1024];
            let read = output.read(&mut buffer).unwrap();
            assert!(read > 0, "never said {text}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    until("ready\r\n");
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(b"\x03").unwrap();
    until("stopping with SIGTERM");
    keyboard.write_all(b"\x03").unwrap();
    until("interrupted again: killing what is left");
    until("exit code 137");
    assert_eq!(script.wait().unwrap().code(), Some(137));
}

/// An executable script in the world's PATH.
pub(crate) fn script_file(directory: &std::path::Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(name);
    fs_err::write(&path, text).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
