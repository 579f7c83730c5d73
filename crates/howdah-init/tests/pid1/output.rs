//! What the programs print arrives whole, in lines, and never holds anybody up.

use std::io::Write;

use crate::world::{Mode, World};

#[test]
fn the_last_line_may_have_no_end() {
    let text = "[program:a]\ncommand=printf 'one\\ntwo'\nautorestart=false\n[program:bb]\ncommand=sh -c 'printf three >&2'\nautorestart=false\n";
    let mut world = World::init("s.conf", text);
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    assert_eq!(world.lines_of("a"), ["one", "two"]);
    assert_eq!(world.lines_of("bb"), ["three"]);
}

#[test]
fn a_single_program_keeps_the_streams_for_itself() {
    let mut world = World::init(
        "s.conf",
        "[program:a]\ncommand=printf 'raw\\nbytes\\n'\nautorestart=false\n",
    );
    assert_eq!(world.end(), 0);
    assert!(
        world.seen.contains(&"raw".to_owned()) && world.seen.contains(&"bytes".to_owned()),
        "{:#?}",
        world.seen
    );
}

#[test]
fn json_lines_name_program_and_stream() {
    let text = "[program:a]\ncommand=sh -c 'echo \"say \\\"hi\\\"\" >&2; printf \"\\377tail\"'\nautorestart=false\n";
    let mut world = World::start(Mode::Init, "s.conf", text, &["--json"]);
    assert_eq!(world.end(), 0, "{:#?}", world.seen);
    let records: Vec<serde_json::Value> = world
        .seen
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_a = |stream: &str| {
        let mut of_a = records
            .iter()
            .filter(|record| record["program"] == "a" && record["stream"] == stream);
        of_a.next().unwrap()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (of_a("stderr").as_str(), of_a("stdout").as_str()),
        ("say \"hi\"", "\u{fffd}tail")
    );
    assert!(
        records
            .iter()
            .all(|record| record["time"].as_str().unwrap().ends_with('Z'))
    );
}

#[test]
fn a_reader_who_does_not_read_delays_nothing_else_and_loses_nothing() {
    let text = "[program:loud]\ncommand=sh -c 'seq 200000; echo loud done; exec sleep 1000'\nstartsecs=0\n\
        [program:quiet]\ncommand=sh -c 'exit 5'\nautorestart=true\nstartsecs=0\nessential=false\n";
    let mut world = World::init("s.conf", text);
    world.until("quiet: started");
    // Nobody reads: the pipes and our queue are full, and still the other program is restarted and questions are answered.
    let report = world.health_until(|report| report.processes[1].restarts >= 2);
    assert_eq!(report.processes[0].state, "RUNNING");
    world.until("loud done");
    assert_eq!(world.stop(), 0);
    let numbers: Vec<usize> = world
        .lines_of("loud")
        .iter()
        .filter_map(|line| line.parse().ok())
        .collect();
    assert_eq!(numbers.len(), 200_000);
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(at, number)| at + 1 == *number)
    );
}

#[test]
fn lines_of_two_programs_are_never_torn() {
    let line = "x".repeat(6000);
    let text = format!(
        "[program:a]\ncommand=sh -c 'for i in $(seq 300); do echo {line}; done'\nautorestart=false\n\
         [program:b]\ncommand=sh -c 'for i in $(seq 300); do echo {line} >&2; done'\nautorestart=false\n"
    );
    let mut world = World::init("s.conf", &text);
    assert_eq!(world.end(), 0);
    for program in ["a", "b"] {
        assert_eq!(world.lines_of(program), vec![line.as_str(); 300]);
    }
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let text = "[program:a]\ncommand=sh -c 'head -c 300000 /dev/zero | tr \"\\\\0\" z'\nautorestart=false\n[program:b]\ncommand=true\nautorestart=false\n";
    let mut world = World::init("s.conf", text);
    assert_eq!(world.end(), 0, "{:#?}", world.seen.len());
    let lines = world.lines_of("a");
    assert_eq!(lines.iter().map(|line| line.len()).sum::<usize>(), 300_000);
    assert!(lines.len() > 3);
}

#[test]
fn a_log_file_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = fs_err::File::create(directory.path().join("a.log")).unwrap();
    file.write_all(b"before\n").unwrap();
    let text = "[program:a]\ncommand=echo after\nautorestart=false\nstdout_logfile=a.log\n[program:b]\ncommand=echo gone\nautorestart=false\nstdout_logfile=NONE\n";
    let mut world = World::start_in(directory, Mode::Init, "s.conf", text, &[]);
    assert_eq!(world.end(), 0);
    assert_eq!(
        fs_err::read_to_string(world.path().join("a.log")).unwrap(),
        "before\nafter\n"
    );
    assert!(!world.said("gone"));
}
