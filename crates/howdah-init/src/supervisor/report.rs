//! What `howdah health` is told: each process, whether it is as it should be, and why not.

use std::time::Duration;

use super::checks::Checks;
use crate::control::{ProcessReport, Report};
use crate::fleet::{Fleet, Id, Member, Phase};
use crate::lifecycle::{Moment, State, finished};

/// The report about `ids`, as JSON. One that names no process is not healthy: the name was wrong.
pub(crate) fn write(fleet: &Fleet, checks: &Checks, ids: &[Id], now: Moment) -> Vec<u8> {
    let state = match fleet.phase() {
        Phase::Rising { .. } => "starting",
        Phase::Steady => "running",
        Phase::Draining { .. } | Phase::Over { .. } => "stopping",
    };
    let members = ids
        .iter()
        .filter_map(|id| Some((*id, fleet.members().get(*id)?)));
    let processes: Vec<_> = members
        .map(|(id, member)| process(id, member, checks, now))
        .collect();
    // Asked about everything, only what is essential counts; asked about one program, it does.
    let everything = ids.len() == fleet.members().len();
    let well = processes
        .iter()
        .all(|process| process.healthy || (everything && !process.essential));
    let report = Report {
        state: state.to_owned(),
        healthy: well && state != "stopping" && !ids.is_empty(),
        processes,
    };
    // Strings, numbers and truth values cannot fail to serialise.
    serde_json::to_vec(&report).unwrap_or_default()
}

fn process(id: Id, member: &Member, checks: &Checks, now: Moment) -> ProcessReport {
    let policy = &member.program.policy;
    let answer = checks.answer(id);
    let (healthy, detail) = match &member.state {
        State::Running { .. } => match answer {
            Some(Err(reason)) => (false, Some(reason.clone())),
            _ => (true, None),
        },
        State::Exited { ending } => (finished(ending, policy), Some(ending.to_string())),
        State::Fatal { ending } => (false, Some(ending.to_string())),
        State::Waiting if !policy.autostart => {
            (true, Some("not started with the supervisor".to_owned()))
        }
        State::Waiting => (false, Some("its turn has not come".to_owned())),
        State::Backoff { until, .. } => {
            let left = until
                .saturating_sub(now)
                .max(Duration::from_secs(1))
                .as_secs();
            (false, Some(format!("next try in {left} s")))
        }
        _ => (false, None),
    };
    ProcessReport {
        name: member.program.name.clone(),
        program: member.program.group.clone(),
        state: member.state.label().to_owned(),
        pid: member.state.pid(),
        seconds: now.saturating_sub(member.changed).as_secs(),
        restarts: member.restarts,
        essential: policy.essential,
        healthy,
        detail,
    }
}
