//! Detached containers: start, log, state, exec, kill, delete, and what is left when helpers die.
#![allow(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "all of this file is a test"
)]

mod support;

use howdah_runtime::{ExecSpec, LogLimits, RuntimeError, State, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::{Lab, eventually, text};

fn wait(lab: &Lab, id: &str) -> howdah_runtime::Exit {
    let watch = lab.runtime.watch(id).unwrap();
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&limit)).unwrap(),
        1,
        "{id} did not end"
    );
    match lab.runtime.state(id).unwrap() {
        State::Exited(exit) => exit,
        state => panic!("{id} is {state:?}"),
    }
}

fn log_lines(lab: &Lab) -> Vec<String> {
    let log = fs_err::read_to_string(lab.path("log")).unwrap();
    log.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{}:{}",
                line["stream"].as_str().unwrap(),
                line["log"].as_str().unwrap().trim_end()
            )
        })
        .collect()
}

fn exec(lab: &Lab, id: &str, process: &ExecSpec) -> Result<(String, i32), RuntimeError> {
    let mut running = lab.runtime.exec(id, process, Stdio::Piped)?;
    let output = text(running.stdout.take().unwrap());
    Ok((output, running.wait()?.code))
}

fn command(script: &str) -> ExecSpec {
    ExecSpec {
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..ExecSpec::default()
    }
}

#[test]
fn a_container_is_logged_to_its_end_and_its_exit_is_kept() {
    let lab = Lab::new();
    let spec = lab.shell("one", "echo first; echo bad >&2; echo -n last; exit 4");
    lab.runtime.start(&spec, &lab.path("log")).unwrap();
    let exit = wait(&lab, "one");
    assert_eq!(exit.code, 4);
    let mut lines = log_lines(&lab);
    lines.sort();
    assert_eq!(lines, ["stderr:bad", "stdout:first", "stdout:last"]);
    assert_eq!(
        lab.runtime.list().unwrap(),
        [("one".to_owned(), State::Exited(exit))]
    );
    assert_eq!(lab.runtime.reap().unwrap(), Vec::<String>::new());
    // The record of an ended container is replaced.
    lab.runtime
        .start(&lab.spec("one", &["true"]), &lab.path("log"))
        .unwrap();
    assert_eq!(wait(&lab, "one").code, 0);
    lab.runtime.kill("one", 15).unwrap();
    lab.runtime.delete("one").unwrap();
    lab.runtime.delete("one").unwrap();
    assert_eq!(lab.runtime.state("one").unwrap(), State::Absent);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn a_failed_start_leaves_nothing() {
    let lab = Lab::new();
    let error = lab
        .runtime
        .start(&lab.spec("one", &["no-such-command"]), &lab.path("log"))
        .unwrap_err();
    assert_eq!(error.exit_code(), 127);
    assert_eq!(lab.runtime.state("one").unwrap(), State::Absent);
    assert!(matches!(
        lab.runtime.kill("one", 15),
        Err(RuntimeError::NotRunning { .. })
    ));
    assert!(lab.runtime.watch("one").is_err());
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn a_container_stops_on_a_signal_it_handles() {
    let lab = Lab::new();
    let spec = lab.shell(
        "one",
        "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.02; done",
    );
    lab.runtime.start(&spec, &lab.path("log")).unwrap();
    assert!(matches!(
        lab.runtime.start(&spec, &lab.path("log")),
        Err(RuntimeError::AlreadyRunning { .. })
    ));
    eventually("the first line", || {
        (!log_lines(&lab).is_empty()).then_some(())
    });
    lab.runtime.kill("one", 15).unwrap();
    assert_eq!(wait(&lab, "one").code, 0);
    assert_eq!(log_lines(&lab), ["stdout:ready", "stdout:bye"]);
}

#[test]
fn much_output_is_rotated_not_lost() {
    let lab = Lab::new();
    let mut spec = lab.shell(
        "one",
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done",
    );
    spec.log = LogLimits {
        max_bytes: 100_000,
        max_files: 10,
    };
    lab.runtime.start(&spec, &lab.path("log")).unwrap();
    wait(&lab, "one");
    let mut count = 0;
    for name in ["log", "log.1", "log.2", "log.3"] {
        let Ok(file) = fs_err::read_to_string(lab.path(name)) else {
            continue;
        };
        assert!(file.len() <= 100_000);
        count += file.lines().count();
    }
    assert_eq!(count, 3000);
    assert_eq!(log_lines(&lab).last().unwrap(), "stdout:line 2999");
}

#[test]
fn processes_are_executed_as_the_container_is_confined() {
    let lab = Lab::new();
    let mut spec = lab.spec("one", &["sleep", "1000"]);
    spec.env = vec!["A=1".to_owned(), "B=2".to_owned()];
    spec.cwd = "/tmp".to_owned();
    spec.user = "app".to_owned();
    lab.runtime.start(&spec, &lab.path("log")).unwrap();
    let (output, code) = exec(&lab, "one", &command("echo $A $B; pwd; id -u; id -G; hostname; grep -e Seccomp: -e CapBnd /proc/self/status; exit 5")).unwrap();
    assert_eq!(code, 5);
    assert_eq!(
        output,
        "1 2\n/tmp\n1000\n1000 1234\none\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n"
    );
    let process = ExecSpec {
        env: vec!["A=3".to_owned()],
        cwd: Some("/etc".to_owned()),
        user: Some("0".to_owned()),
        ..command("echo $A $B; pwd; id -u; ls /proc/self/fd | wc -l")
    };
    assert_eq!(exec(&lab, "one", &process).unwrap().0, "3 2\n/etc\n0\n4\n");
    let leftovers: Vec<_> = lab.leftovers();
    assert_eq!(leftovers.len(), 1, "{leftovers:?}");
    let directory = lab.path("run/containers/one");
    let scratch = fs_err::read_dir(directory).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("exec-")
    });
    assert_eq!(scratch.count(), 0);
}

#[test]
fn an_executed_process_fails_clearly_and_dies_with_its_caller() {
    let lab = Lab::new();
    lab.runtime
        .start(&lab.spec("one", &["sleep", "1000"]), &lab.path("log"))
        .unwrap();
    let missing = ExecSpec {
        args: vec!["no-such-command".to_owned()],
        ..ExecSpec::default()
    };
    assert_eq!(exec(&lab, "one", &missing).unwrap_err().exit_code(), 127);
    let nowhere = ExecSpec {
        cwd: Some("/nowhere".to_owned()),
        ..command("true")
    };
    assert!(
        exec(&lab, "one", &nowhere)
            .unwrap_err()
            .to_string()
            .contains("/nowhere")
    );
    assert!(matches!(
        exec(&lab, "two", &command("true")),
        Err(RuntimeError::NotRunning { .. })
    ));
    let running = lab
        .runtime
        .exec("one", &command("sleep 2000"), Stdio::Null)
        .unwrap();
    drop(running);
    eventually("its death", || {
        (!exec(&lab, "one", &command("ps"))
            .unwrap()
            .0
            .contains("sleep 2000"))
        .then_some(())
    });
    // A process still running when the container ends is told as killed.
    let mut running = lab
        .runtime
        .exec("one", &command("sleep 2000"), Stdio::Null)
        .unwrap();
    lab.runtime.kill("one", 9).unwrap();
    assert_eq!(running.wait().unwrap().code, 137);
    assert_eq!(wait(&lab, "one").code, 137);
    assert!(matches!(
        exec(&lab, "one", &command("true")),
        Err(RuntimeError::NotRunning { .. })
    ));
}

#[test]
fn an_executed_process_gets_a_terminal() {
    let lab = Lab::new();
    lab.runtime
        .start(&lab.spec("one", &["sleep", "1000"]), &lab.path("log"))
        .unwrap();
    let process = ExecSpec {
        terminal: true,
        stdin: true,
        ..command("tty; read line; echo got $line")
    };
    let mut running = lab.runtime.exec("one", &process, Stdio::Inherit).unwrap();
    let mut terminal: std::fs::File = running
        .terminal
        .as_ref()
        .unwrap()
        .try_clone()
        .unwrap()
        .into();
    std::io::Write::write_all(&mut terminal, b"hello\n").unwrap();
    let mut output = Vec::new();
    std::io::Read::read_to_end(&mut terminal, &mut output).ok();
    assert!(String::from_utf8_lossy(&output).contains("got hello"));
    assert_eq!(running.wait().unwrap().code, 0);
}

#[test]
fn a_terminals_output_is_logged_too() {
    let lab = Lab::new();
    let mut spec = lab.shell("one", "tty; exit 2");
    spec.terminal = true;
    lab.runtime.start(&spec, &lab.path("log")).unwrap();
    assert_eq!(wait(&lab, "one").code, 2);
    assert_eq!(log_lines(&lab), ["stdout:/dev/pts/0"]);
}

#[test]
fn a_killed_helper_is_noticed_and_cleared_away() {
    let lab = Lab::new();
    lab.runtime
        .start(&lab.spec("one", &["sleep", "1000"]), &lab.path("log"))
        .unwrap();
    let State::Running { pid, .. } = lab.runtime.state("one").unwrap() else {
        panic!("not running")
    };
    let record = fs_err::read_to_string(lab.path("run/containers/one/record.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let helper = i32::try_from(record["helper"]["pid"].as_i64().unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(helper).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(wait(&lab, "one").code, 137);
    assert!(
        fs_err::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .is_empty()
    );
    lab.runtime.delete("one").unwrap();
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn many_threads_may_run_containers_at_once() {
    let lab = Lab::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let lab = &lab;
            scope.spawn(move || {
                for round in 0..3 {
                    let id = format!("c{number}-{round}");
                    assert_eq!(lab.run_ok(&lab.spec(&id, &["echo", &id])).trim(), id);
                }
            });
        }
    });
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}
