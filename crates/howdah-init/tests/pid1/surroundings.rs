//! What a program finds when it starts: signals, descriptors, session, user, environment.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{Mode, PID1, World};

#[test]
fn a_program_starts_with_clean_signals_and_no_descriptor_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[program:a]\ncommand=sh -c 'grep -E \"^Sig(Blk|Ign|Cgt)\" /proc/self/status; ls /proc/self/fd; cut -d\" \" -f1,5,6 /proc/self/stat; readlink /proc/self/fd/0'\nautorestart=false\n\
        [program:b]\ncommand=true\nautorestart=false\n";
    fs_err::write(directory.path().join("s.conf"), text).unwrap();
    // Started as nohup would, and with a descriptor that was forgotten to be closed.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' HUP USR2; exec \"$0\" s.conf s.sock 7</dev/null",
        ])
        .arg(PID1)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("a      | "))
        .collect();
    let zero = "\t0000000000000000";
    assert_eq!(
        lines[..2],
        [format!("SigBlk:{zero}"), format!("SigIgn:{zero}")],
        "{output}"
    );
    // 3 is the directory that ls reads.
    assert_eq!(lines[3..7], ["0", "1", "2", "3"], "{output}");
    let ids: Vec<_> = lines[7].split(' ').collect();
    assert!(
        ids[1] == ids[2] && ids[0] != ids[1],
        "cut is in the session and group of its shell: {output}"
    );
    assert_eq!(lines[8], "/dev/null");
}

#[test]
fn user_directory_umask_and_environment_are_set() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[supervisord]\nenvironment=SHARED=yes\n\
        [program:a]\ncommand=sh -c 'id -u; id -g; id -G; pwd; umask; echo $A $SHARED $SUPERVISOR_PROCESS_NAME; echo reopened > /dev/stdout'\n\
        user=33\ndirectory=/usr\numask=027\nenvironment=A=\"b c\"\nautorestart=false\n[program:b]\ncommand=true\nautorestart=false\n";
    let mut world = World::start_in(directory, Mode::Init, "s.conf", text, &[]);
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    assert_eq!(
        world.lines_of("a"),
        ["33", "33", "33", "/usr", "0027", "b c yes a", "reopened"]
    );
}

#[test]
fn programs_of_a_killed_supervisor_are_told_to_stop() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("told");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = "[program:a]\ncommand=sh -c 'trap \"echo QUIT > told; exit\" QUIT; echo ready; while :; do sleep 0.05; done'\nstopsignal=QUIT\n";
    let mut world = World::start_in(directory, Mode::Plain, "s.conf", text, &[]);
    world.until("ready");
    world.send(Signal::SIGKILL);
    assert_eq!(fs_err::read_to_string(&fifo).unwrap(), "QUIT\n");
}

#[test]
fn an_unprivileged_user_in_a_read_only_place_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("pid1");
    fs_err::copy(PID1, &copy).unwrap();
    fs_err::write(directory.path().join("s.conf"), "[program:a]\ncommand=sh -c 'id -u; exec sleep 1000'\nuser=root\n[program:b]\ncommand=sleep 1000\n").unwrap();
    fs_err::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut child = Command::new(copy)
        .args(["s.conf", "/proc/nowhere/s.sock"])
        .current_dir(directory.path())
        .uid(1000)
        .gid(1000)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "a      | 1000");
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains(
            "`howdah health` cannot be answered: cannot listen at `/proc/nowhere/s.sock`"
        ),
        "{told}"
    );
    assert!(told.contains("only root can change users"), "{told}");
}
