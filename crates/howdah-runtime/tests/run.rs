//! Attached containers: what they see, what they leave, how they end.
#![allow(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "all of this file is a test"
)]

mod support;

use std::io::Write;

use howdah_runtime::{Mount, RuntimeError, Stdio};
use support::{Lab, bind, eventually, text};

#[test]
fn output_and_exit_code_come_back_and_nothing_stays() {
    let lab = Lab::new();
    let outcome = lab
        .run(&lab.shell("one", "echo out; echo err >&2; exit 3"))
        .unwrap();
    assert_eq!(
        (
            outcome.stdout.as_str(),
            outcome.stderr.as_str(),
            outcome.exit.code
        ),
        ("out\n", "err\n", 3)
    );
    assert!(outcome.exit.usage.peak_memory_bytes > 0);
    assert!(outcome.exit.finished >= outcome.exit.started);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
    assert_eq!(lab.changes("one"), Vec::<String>::new());
}

#[test]
fn a_signal_is_told_as_a_shell_tells_it() {
    let lab = Lab::new();
    assert_eq!(
        lab.run(&lab.shell("one", "sh -c 'kill -SEGV $$'; exit $?"))
            .unwrap()
            .exit
            .code,
        128 + 11
    );
    let mut running = lab
        .runtime
        .run(&lab.spec("two", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    running.kill(9).unwrap();
    assert_eq!(running.wait().unwrap().code, 137);
    running.kill(9).unwrap();
}

#[test]
fn a_command_that_cannot_be_executed_is_told_apart() {
    let lab = Lab::new();
    let missing = lab.run(&lab.spec("one", &["no-such-command"])).unwrap_err();
    assert!(
        matches!(missing, RuntimeError::CommandNotFound { .. }),
        "{missing}"
    );
    assert_eq!(missing.exit_code(), 127);
    fs_err::write(lab.path("base/bin/text"), "not a program").unwrap();
    for command in ["text", "/etc/passwd", "/etc"] {
        let refused = lab.run(&lab.spec("one", &[command])).unwrap_err();
        assert_eq!(refused.exit_code(), 126, "{refused}");
    }
    fs_err::write(lab.path("base/bin/script"), "#!/no/interpreter\n").unwrap();
    lab.sh("true");
    let status = std::process::Command::new("chmod")
        .args(["755", lab.path("base/bin/script").to_str().unwrap()])
        .status();
    assert!(status.unwrap().success());
    let refused = lab.run(&lab.spec("one", &["script"])).unwrap_err();
    assert!(refused.to_string().contains("interpreter"), "{refused}");
    assert_eq!(lab.run(&lab.spec("one", &[])).unwrap_err().exit_code(), 125);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn standard_input_is_copied_to_its_end() {
    let lab = Lab::new();
    let mut spec = lab.spec("one", &["wc", "-c"]);
    spec.stdin = true;
    let mut running = lab.runtime.run(&spec, Stdio::Piped).unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&vec![b'x'; 1_000_000]).unwrap());
    writer.join().unwrap();
    assert_eq!(text(running.stdout.take().unwrap()).trim(), "1000000");
    assert_eq!(running.wait().unwrap().code, 0);
    // Without it, input is at its end from the start.
    assert_eq!(lab.sh("cat | wc -c").trim(), "0");
}

#[test]
fn much_output_arrives_whole() {
    let lab = Lab::new();
    let outcome = lab
        .run(&lab.shell("one", "yes | head -c 20000000; yes | head -c 3000000 >&2"))
        .unwrap();
    assert_eq!(
        (outcome.stdout.len(), outcome.stderr.len()),
        (20_000_000, 3_000_000)
    );
}

#[test]
fn the_environment_is_the_specifications_and_defaults() {
    let lab = Lab::new();
    let mut spec = lab.shell("one", "env | grep -v -e SHLVL -e PWD; pwd; id -u; id -G");
    spec.env = vec!["GREETING=hello world".to_owned()];
    spec.user = "app".to_owned();
    spec.cwd = "/made/for/it".to_owned();
    spec.hostname = "box".to_owned();
    spec.groups = vec!["77".to_owned()];
    let output = lab.run_ok(&spec);
    for line in [
        "GREETING=hello world",
        "HOME=/home/app",
        "HOSTNAME=box",
        "/made/for/it",
        "1000",
        "1000 77 1234",
    ] {
        assert!(
            output.lines().any(|found| found == line),
            "{line} in {output}"
        );
    }
    assert!(output.contains("PATH=/usr/local/sbin:"));
    assert_eq!(lab.changes("one"), ["made", "made/for", "made/for/it"]);
}

#[test]
fn wrong_users_and_directories_are_told() {
    let lab = Lab::new();
    let mut spec = lab.spec("one", &["true"]);
    spec.user = "nobody".to_owned();
    assert!(
        lab.run(&spec)
            .unwrap_err()
            .to_string()
            .contains("/etc/passwd")
    );
    spec.user = String::new();
    spec.cwd = "/etc/passwd".to_owned();
    assert!(
        lab.run(&spec)
            .unwrap_err()
            .to_string()
            .contains("working directory")
    );
    spec.cwd = "relative".to_owned();
    assert!(lab.run(&spec).unwrap_err().to_string().contains("absolute"));
    spec.cwd = String::new();
    spec.id = "../up".to_owned();
    assert!(lab.run(&spec).is_err());
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn an_image_of_one_program_runs() {
    let lab = Lab::new();
    let mut spec = lab.spec(
        "one",
        &["/busybox", "sh", "-c", "ls / /dev; cat /etc/hostname"],
    );
    spec.rootfs.lowers = vec![lab.path("lower")];
    fs_err::create_dir(lab.path("lower")).unwrap();
    fs_err::copy("/bin/busybox", lab.path("lower/busybox")).unwrap();
    let output = lab.run_ok(&spec);
    for name in [
        "dev", "etc", "proc", "sys", "busybox", "null", "pts", "shm", "stdout", "one",
    ] {
        assert!(
            output.lines().any(|line| line == name),
            "{name} in {output}"
        );
    }
    // As runc leaves them.
    assert_eq!(lab.changes("one"), ["dev", "proc", "sys"]);
}

#[test]
fn mount_points_go_and_what_the_program_wrote_stays() {
    let lab = Lab::new();
    fs_err::create_dir(lab.path("data")).unwrap();
    fs_err::write(lab.path("data/file"), "bound").unwrap();
    let mut spec = lab.shell(
        "one",
        "cat /deep/er/data/file; touch /etc/own /deep/own; mkdir /deep/er/other",
    );
    spec.mounts = vec![
        bind(&lab.path("data"), "/deep/er/data", false),
        bind(&lab.path("data/file"), "/opt/file", true),
        Mount::Tmpfs {
            target: "/run/cache".into(),
            size_bytes: Some(65536),
            mode: Some(0o700),
            read_only: false,
        },
    ];
    assert_eq!(lab.run_ok(&spec), "bound");
    assert_eq!(
        lab.changes("one"),
        [
            "deep",
            "deep/er",
            "deep/er/other",
            "deep/own",
            "etc",
            "etc/own"
        ]
    );
    assert_eq!(
        fs_err::read_to_string(lab.path("data/file")).unwrap(),
        "bound"
    );
}

#[test]
fn read_only_binds_are_read_only_below_too() {
    let lab = Lab::new();
    fs_err::create_dir_all(lab.path("data/below")).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "none"])
        .arg(lab.path("data/below"))
        .status();
    assert!(mounted.unwrap().success());
    let mut spec = lab.shell(
        "one",
        "touch /data/x; echo $?; touch /data/below/x; echo $?; touch /data/rw/x; echo $?",
    );
    fs_err::create_dir_all(lab.path("data/rw")).unwrap();
    fs_err::create_dir_all(lab.path("writable")).unwrap();
    spec.mounts = vec![
        bind(&lab.path("writable"), "/data/rw", false),
        bind(&lab.path("data"), "/data", true),
    ];
    let output = lab.run(&spec);
    let unmounted = std::process::Command::new("umount")
        .arg(lab.path("data/below"))
        .status();
    assert!(unmounted.unwrap().success());
    assert_eq!(output.unwrap().stdout, "1\n1\n0\n");
    assert!(lab.path("writable/x").exists());
}

#[test]
fn a_read_only_root_can_still_have_writable_mounts() {
    let lab = Lab::new();
    let mut spec = lab.shell("one", "touch /x; echo $?; touch /tmp/x; echo $?");
    spec.read_only = true;
    spec.mounts = vec![Mount::Tmpfs {
        target: "/tmp".into(),
        size_bytes: None,
        mode: None,
        read_only: false,
    }];
    assert_eq!(lab.run_ok(&spec), "1\n0\n");
}

#[test]
fn a_terminal_is_given_and_resized() {
    let lab = Lab::new();
    let mut spec = lab.shell(
        "one",
        "tty; stat -c %u $(tty); read line; stty size; echo got $line",
    );
    spec.stdin = true;
    spec.user = "app".to_owned();
    let mut running = lab.runtime.run(&spec, Stdio::Terminal).unwrap();
    running.resize(33, 111).unwrap();
    let mut terminal: std::fs::File = running
        .terminal
        .as_ref()
        .unwrap()
        .try_clone()
        .unwrap()
        .into();
    terminal.write_all(b"hello\n").unwrap();
    let mut output = Vec::new();
    // The last user's exit is told as EIO.
    std::io::Read::read_to_end(&mut terminal, &mut output).ok();
    let output = String::from_utf8(output).unwrap();
    assert_eq!(running.wait().unwrap().code, 0);
    for part in ["/dev/pts/0", "1000", "33 111", "got hello"] {
        assert!(output.contains(part), "{part} in {output}");
    }
}

#[test]
fn the_container_dies_with_its_helper_and_with_its_caller() {
    let lab = Lab::new();
    let running = lab
        .runtime
        .run(&lab.spec("one", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    assert!(lab.is_running("one"));
    drop(running);
    assert_eq!(lab.leftovers(), Vec::<String>::new());

    let mut running = lab
        .runtime
        .run(&lab.spec("two", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    let howdah_runtime::State::Running { pid, .. } = lab.runtime.state("two").unwrap() else {
        panic!("not running")
    };
    let helper = parent_of(pid);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(helper).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert!(matches!(
        running.wait(),
        Err(RuntimeError::HelperDied { .. })
    ));
    eventually("the container's death", || {
        (!std::path::Path::new(&format!("/proc/{pid}/exe")).exists()).then_some(())
    });
    drop(running);
    assert_eq!(lab.runtime.reap().unwrap(), ["two"]);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn a_reaper_forwards_signals_and_gives_the_programs_code() {
    let lab = Lab::new();
    let mut spec = lab.shell(
        "one",
        "trap 'exit 7' TERM; echo $$; (sleep 0.01 &); sleep 1000 & wait",
    );
    spec.init = true;
    spec.user = "app".to_owned();
    let mut running = lab.runtime.run(&spec, Stdio::Piped).unwrap();
    let mut stdout = running.stdout.take().unwrap();
    let mut line = [0; 2];
    std::io::Read::read_exact(&mut stdout, &mut line).unwrap();
    assert_eq!(&line, b"2\n");
    running.kill(15).unwrap();
    assert_eq!(running.wait().unwrap().code, 7);
    let mut spec = lab.spec("two", &["no-such-command"]);
    spec.init = true;
    assert_eq!(lab.run(&spec).unwrap_err().exit_code(), 127);
}

#[test]
fn two_containers_of_one_name_do_not_run_at_once() {
    let lab = Lab::new();
    let running = lab
        .runtime
        .run(&lab.spec("one", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    assert!(matches!(
        lab.run(&lab.spec("one", &["true"])),
        Err(RuntimeError::AlreadyRunning { .. })
    ));
    assert!(lab.is_running("one"));
    drop(running);
    lab.run(&lab.spec("one", &["true"])).unwrap();
}

#[test]
fn a_helper_that_was_started_ahead_serves_the_next_container_only() {
    let lab = Lab::new();
    lab.runtime.prepare().unwrap();
    let [spare] = children()[..] else {
        panic!("{:?}", children());
    };
    let mut running = lab
        .runtime
        .run(&lab.spec("one", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    assert_eq!(children(), [spare]);
    let other = lab
        .runtime
        .run(&lab.spec("two", &["sleep", "1000"]), Stdio::Null)
        .unwrap();
    assert_eq!(children().len(), 2);
    running.kill(9).unwrap();
    assert_eq!(running.end().unwrap().code, 137);
    drop((running, other));
    assert_eq!(lab.leftovers(), Vec::<String>::new());
    assert_eq!(children(), [0; 0]);
}

#[test]
fn a_helper_that_died_waiting_is_replaced() {
    let lab = Lab::new();
    lab.runtime.prepare().unwrap();
    let [spare] = children()[..] else {
        panic!("{:?}", children());
    };
    let spare = rustix::process::Pid::from_raw(spare).unwrap();
    rustix::process::kill_process(spare, rustix::process::Signal::KILL).unwrap();
    let ended = rustix::process::pidfd_open(spare, rustix::process::PidfdFlags::empty()).unwrap();
    let ended = rustix::event::PollFd::new(&ended, rustix::event::PollFlags::IN);
    rustix::event::poll(&mut [ended], None).unwrap();
    assert_eq!(lab.run_ok(&lab.shell("one", "echo here")), "here\n");
    lab.runtime.prepare().unwrap();
    assert_eq!(children().len(), 1);
    drop(lab);
    assert_eq!(children(), [0; 0]);
}

/// The processes that the calling thread has started.
fn children() -> Vec<i32> {
    let children = fs_err::read_to_string("/proc/thread-self/children").unwrap();
    let numbers = children.split_ascii_whitespace();
    numbers.map(|number| number.parse().unwrap()).collect()
}

fn parent_of(pid: u32) -> i32 {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')')
        .next()
        .unwrap()
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
