//! Load by wrk, in turns.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use crate::case::Case;
use crate::contender::Contender;
use crate::table::{Figures, Row};

/// Tells what it measured in one line: requests, microseconds, latencies at 50 and 99 percent, faults.
const TELL: &str = "
done = function(summary, latency, requests)
    local e = summary.errors
    print(string.format('told %d %d %d %d %d', summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
";

/// How much is measured.
pub(crate) struct Plan {
    cases: Option<String>,
    connections: Vec<u32>,
    rounds: u32,
    seconds: u32,
}

impl Plan {
    pub(crate) fn from_environment() -> Plan {
        let variable = |name: &str| {
            let value = std::env::var_os(format!("HOWDAH_BENCH_{name}"))?;
            Some(value.into_string().expect("UTF-8"))
        };
        let number = |name: &str, default: u32| {
            variable(name).map_or(default, |text| text.parse().expect(name))
        };
        let connections = variable("CONNECTIONS");
        let connections = connections.as_deref().unwrap_or("1 16 64 512");
        Plan {
            cases: variable("CASES"),
            connections: connections
                .split(' ')
                .map(|number| number.parse().expect("CONNECTIONS"))
                .collect(),
            rounds: number("ROUNDS", 3),
            seconds: number("SECONDS", 1),
        }
    }

    /// Those of the cases that were asked for.
    pub(crate) fn chosen(&self, cases: Vec<Case>) -> Vec<Case> {
        cases
            .into_iter()
            .filter(|case| self.has(case.name))
            .collect()
    }

    /// Was something of this name asked for?
    pub(crate) fn has(&self, name: &str) -> bool {
        let chosen = self.cases.as_deref();
        chosen.is_none_or(|words| words.split(' ').any(|word| name.contains(word)))
    }
}

/// A table of every case with every number of connections.
pub(crate) fn compare(title: &str, plan: &Plan, cases: &[Case], contenders: &[Contender]) {
    let names: Vec<&str> = contenders.iter().map(|one| one.name).collect();
    crate::table::head(title, &names);
    for case in cases {
        let able: Vec<&Contender> = contenders.iter().filter(|one| one.answers(case)).collect();
        check(case, &able);
        for connections in &plan.connections {
            let rounds = (0..plan.rounds).map(|round| {
                eprintln!("{}, {connections} connections, round {round}", case.name);
                let measure =
                    |one: &&Contender| load(one.address, case, *connections, plan.seconds);
                able.iter().map(measure).collect()
            });
            Row {
                case: format!("{}, c{connections}", case.name),
                rounds: rounds.collect(),
            }
            .print();
        }
    }
}

/// All must answer, and alike; and what is loaded at the first request is loaded now.
fn check(case: &Case, contenders: &[&Contender]) {
    let answers: Vec<Vec<u8>> = contenders
        .iter()
        .map(|contender| {
            load(contender.address, case, 8, 1);
            answer(contender, case)
        })
        .collect();
    for (contender, answer) in contenders.iter().zip(&answers) {
        let is_alike = !case.is_constant || *answer == answers[0];
        assert!(
            is_alike,
            "{} answers {} otherwise",
            contender.name, case.name
        );
    }
}

fn answer(contender: &Contender, case: &Case) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--max-time", "30"]);
    let body = tempfile::NamedTempFile::new().unwrap();
    if let Some((content, content_type)) = case.body.content() {
        fs_err::write(body.path(), content).unwrap();
        curl.arg("--data-binary")
            .arg(format!("@{}", body.path().display()));
        curl.args([
            "-H",
            &format!("Content-Type: {content_type}"),
            "-H",
            "Expect:",
        ]);
    }
    let url = format!("http://{}{}", contender.address, case.target);
    let output = curl.arg(url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}, {}: {said}",
        contender.name,
        case.name
    );
    output.stdout
}

/// So many requests as `connections` clients get answered in some seconds.
pub(crate) fn load(address: SocketAddr, case: &Case, connections: u32, seconds: u32) -> Figures {
    let directory = tempfile::tempdir().unwrap();
    let mut script = TELL.to_owned();
    if let Some((content, content_type)) = case.body.content() {
        let body = directory.path().join("body");
        fs_err::write(&body, content).unwrap();
        write!(
            script,
            "wrk.method = 'POST'\nwrk.headers['Content-Type'] = '{content_type}'\n\
             wrk.body = io.open('{}', 'rb'):read('*a')\n",
            body.display()
        )
        .unwrap();
    }
    let file = directory.path().join("wrk.lua");
    fs_err::write(&file, script).unwrap();
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", &connections.min(2).to_string()])
        .args(["-c", &connections.to_string()])
        .args(["-d", &format!("{seconds}s"), "--timeout", "20s", "-s"])
        .arg(&file)
        .arg(format!("http://{address}{}", case.target));
    let output = wrk.output().expect("wrk is installed: make bench-serve");
    Figures::read(&String::from_utf8_lossy(&output.stdout))
}
