//! Every arrow of the life of a process, on a clock of our own.

use super::*;

const PID: i32 = 42;

fn seconds(count: u64) -> Moment {
    Duration::from_secs(count)
}

fn step(state: State, event: Event, policy: &Policy, now: u64) -> Step {
    let told = format!("{event:?} in {state:?}");
    state
        .step(event, policy, seconds(now))
        .unwrap_or_else(|| panic!("no answer to {told}"))
}

fn exited(code: i32) -> Event {
    Event::Ended {
        ending: Ending::Exited(code),
        group_left: false,
    }
}

fn running(since: u64) -> State {
    State::Running {
        pid: PID,
        since: seconds(since),
        crashes: 0,
    }
}

fn signals(effects: &[Effect]) -> Vec<(Signal, Reach)> {
    let signal = |effect: &Effect| match effect {
        Effect::Signal {
            pid: PID,
            signal,
            reach,
        } => Some((*signal, *reach)),
        _ => None,
    };
    effects.iter().filter_map(signal).collect()
}

#[test]
fn a_start_counts_after_startsecs() {
    let policy = Policy {
        start_time: seconds(3),
        ..Policy::default()
    };
    let (state, effects) = step(State::Waiting, Event::Start, &policy, 0);
    assert_eq!(effects, [Effect::Spawn]);
    let (state, _) = step(state, Event::Spawned { pid: PID }, &policy, 0);
    assert_eq!(
        (state.label(), state.deadline(&policy)),
        ("STARTING", Some(seconds(3)))
    );
    let (state, _) = step(state, Event::Elapsed, &policy, 3);
    assert_eq!(state, running(0));
    assert_eq!(state.deadline(&policy), None);
}

#[test]
fn without_startsecs_it_runs_at_once() {
    let policy = Policy {
        start_time: Duration::ZERO,
        ..Policy::default()
    };
    let (state, _) = step(
        State::Spawning {
            failed: 0,
            crashes: 0,
        },
        Event::Spawned { pid: PID },
        &policy,
        5,
    );
    assert_eq!(state, running(5));
}

#[test]
fn failed_starts_wait_longer_each_time_and_end_in_fatal() {
    let policy = Policy {
        start_retries: 2,
        ..Policy::default()
    };
    let mut state = State::Spawning {
        failed: 0,
        crashes: 0,
    };
    let mut waits = Vec::new();
    loop {
        let (starting, _) = step(state, Event::Spawned { pid: PID }, &policy, 100);
        let (next, effects) = step(starting, exited(7), &policy, 100);
        let State::Backoff { until, .. } = next else {
            assert_eq!(
                next,
                State::Fatal {
                    ending: Ending::Exited(7)
                }
            );
            let lost = Notice::Lost {
                ending: Ending::Exited(7),
                starts: 3,
                early: true,
            };
            assert_eq!(effects, [Effect::Tell(lost)]);
            break;
        };
        waits.push(until.as_secs() - 100);
        (state, _) = step(next, Event::Elapsed, &policy, 101);
    }
    assert_eq!(waits, [1, 2]);
}

#[test]
fn what_cannot_be_started_is_tried_again_too() {
    let policy = Policy {
        start_retries: 0,
        ..Policy::default()
    };
    let ending = Ending::NotStarted("no such file".to_owned());
    let event = Event::Ended {
        ending: ending.clone(),
        group_left: false,
    };
    let (state, _) = step(
        State::Spawning {
            failed: 0,
            crashes: 0,
        },
        event,
        &policy,
        0,
    );
    assert_eq!((state, ending.code()), (State::Fatal { ending }, 127));
}

#[test]
fn autorestart_decides_by_the_exit_code() {
    let cases = [
        (Autorestart::Always, 0, "BACKOFF"),
        (Autorestart::Always, 1, "BACKOFF"),
        (Autorestart::Unexpected, 2, "EXITED"),
        (Autorestart::Unexpected, 1, "BACKOFF"),
        (Autorestart::Never, 1, "EXITED"),
    ];
    for (autorestart, code, expected) in cases {
        let policy = Policy {
            autorestart,
            exit_codes: vec![0, 2],
            ..Policy::default()
        };
        let (state, _) = step(running(0), exited(code), &policy, 100);
        assert_eq!(state.label(), expected, "{autorestart:?} {code}");
    }
}

#[test]
fn a_signal_is_never_an_expected_end() {
    let event = Event::Ended {
        ending: Ending::Signalled(11),
        group_left: false,
    };
    let (state, _) = step(running(0), event, &Policy::default(), 100);
    assert_eq!(state.label(), "BACKOFF");
    assert_eq!(Ending::Signalled(11).code(), 139);
    assert_eq!(Ending::Signalled(40).to_string(), "was ended by signal 40");
}

#[test]
fn a_one_shot_may_finish_before_startsecs() {
    let policy = Policy {
        autorestart: Autorestart::Never,
        ..Policy::default()
    };
    let starting = State::Starting {
        pid: PID,
        since: seconds(0),
        failed: 0,
        crashes: 0,
    };
    let (state, _) = step(starting.clone(), exited(0), &policy, 0);
    assert_eq!(
        state,
        State::Exited {
            ending: Ending::Exited(0)
        }
    );
    let (state, _) = step(starting, exited(1), &policy, 0);
    assert_eq!(state.label(), "BACKOFF");
}

#[test]
fn a_crash_loop_slows_down_and_a_long_life_forgives_it() {
    let policy = Policy {
        autorestart: Autorestart::Always,
        ..Policy::default()
    };
    let wait = |state: State, now: u64| match step(state, exited(1), &policy, now).0 {
        State::Backoff { until, crashes, .. } => (until.as_secs() - now, crashes),
        other => panic!("{other:?}"),
    };
    let crashed = |crashes| State::Running {
        pid: PID,
        since: seconds(0),
        crashes,
    };
    assert_eq!(wait(crashed(0), 2), (0, 1));
    assert_eq!(wait(crashed(1), 2), (1, 2));
    assert_eq!(wait(crashed(5), 2), (5, 6));
    assert_eq!(wait(crashed(500), 2), (60, 501));
    assert_eq!(wait(crashed(5), 10), (0, 0));
}

#[test]
fn an_expected_end_is_restarted_at_most_once_a_second() {
    let policy = Policy {
        autorestart: Autorestart::Always,
        start_time: Duration::ZERO,
        ..Policy::default()
    };
    let state = State::Running {
        pid: PID,
        since: seconds(5),
        crashes: 3,
    };
    let (state, _) = step(state, exited(0), &policy, 5);
    assert_eq!(
        state,
        State::Backoff {
            until: seconds(6),
            failed: 0,
            crashes: 0
        }
    );
}

#[test]
fn a_stop_sends_the_programs_own_signal_then_kills_the_group() {
    let policy = Policy {
        stop_signal: Signal::SIGQUIT,
        ..Policy::default()
    };
    let (state, effects) = step(running(0), Event::Stop, &policy, 100);
    assert_eq!(signals(&effects), [(Signal::SIGQUIT, Reach::Leader)]);
    assert_eq!(state.deadline(&policy), Some(seconds(110)));
    let (state, effects) = step(state, Event::Stop, &policy, 101);
    assert_eq!(
        (signals(&effects), state.deadline(&policy)),
        (Vec::new(), Some(seconds(110)))
    );
    let (state, effects) = step(state, Event::Elapsed, &policy, 110);
    assert_eq!(signals(&effects), [(Signal::SIGKILL, Reach::Group)]);
    let event = Event::Ended {
        ending: Ending::Signalled(9),
        group_left: false,
    };
    assert_eq!(
        step(state, event, &policy, 110).0,
        State::Stopped { killed: true }
    );
}

#[test]
fn a_stop_reaches_what_is_starting_and_ends_what_waits() {
    let policy = Policy {
        stop_reach: Reach::Group,
        ..Policy::default()
    };
    let starting = State::Starting {
        pid: PID,
        since: seconds(0),
        failed: 0,
        crashes: 0,
    };
    let (_, effects) = step(starting, Event::Stop, &policy, 0);
    assert_eq!(signals(&effects), [(Signal::SIGTERM, Reach::Group)]);
    let backoff = State::Backoff {
        until: seconds(9),
        failed: 1,
        crashes: 0,
    };
    assert_eq!(
        step(backoff, Event::Stop, &policy, 0).0,
        State::Stopped { killed: false }
    );
    assert_eq!(
        step(State::Waiting, Event::Stop, &policy, 0).0,
        State::Waiting
    );
}

#[test]
fn a_group_that_outlives_its_leader_is_waited_for() {
    let policy = Policy::default();
    let (stopping, _) = step(running(0), Event::Stop, &policy, 100);
    let left = Event::Ended {
        ending: Ending::Exited(0),
        group_left: true,
    };
    let (state, effects) = step(stopping, left, &policy, 102);
    assert_eq!(signals(&effects), [(Signal::SIGTERM, Reach::Group)]);
    assert_eq!(state.deadline(&policy), Some(seconds(110)));
    assert_eq!(
        step(state.clone(), Event::GroupGone, &policy, 105).0,
        State::Stopped { killed: false }
    );
    let (state, effects) = step(state, Event::Elapsed, &policy, 110);
    assert_eq!(signals(&effects), [(Signal::SIGKILL, Reach::Group)]);
    assert_eq!(
        step(state, Event::GroupGone, &policy, 110).0,
        State::Stopped { killed: true }
    );
}

#[test]
fn a_crash_is_swept_before_the_restart() {
    let policy = Policy {
        autorestart: Autorestart::Always,
        ..Policy::default()
    };
    let left = Event::Ended {
        ending: Ending::Exited(1),
        group_left: true,
    };
    let (state, effects) = step(running(0), left, &policy, 100);
    assert_eq!(signals(&effects), [(Signal::SIGTERM, Reach::Group)]);
    assert_eq!(
        step(state.clone(), Event::GroupGone, &policy, 101)
            .0
            .label(),
        "BACKOFF"
    );
    let (state, _) = step(state, Event::Stop, &policy, 101);
    assert_eq!(
        step(state, Event::GroupGone, &policy, 102).0,
        State::Stopped { killed: false }
    );
}

#[test]
fn a_kill_while_sweeping_leaves_nothing_to_restart() {
    let policy = Policy {
        autorestart: Autorestart::Always,
        ..Policy::default()
    };
    let left = Event::Ended {
        ending: Ending::Exited(1),
        group_left: true,
    };
    let (state, _) = step(running(0), left, &policy, 100);
    let (state, effects) = step(state, Event::Kill, &policy, 101);
    assert_eq!(signals(&effects), [(Signal::SIGKILL, Reach::Group)]);
    assert_eq!(
        step(state, Event::GroupGone, &policy, 102).0,
        State::Stopped { killed: true }
    );
}

#[test]
fn a_finished_one_shot_may_leave_a_daemon() {
    let policy = Policy {
        autorestart: Autorestart::Never,
        ..Policy::default()
    };
    let left = Event::Ended {
        ending: Ending::Exited(0),
        group_left: true,
    };
    let (state, effects) = step(running(0), left, &policy, 100);
    assert_eq!((state.label(), signals(&effects)), ("EXITED", Vec::new()));
}

#[test]
fn what_survives_sigkill_is_not_waited_for() {
    let policy = Policy::default();
    let (state, _) = step(running(0), Event::Kill, &policy, 100);
    assert_eq!(state.deadline(&policy), Some(seconds(105)));
    let (state, effects) = step(state, Event::Elapsed, &policy, 105);
    assert_eq!(
        (state, effects),
        (
            State::Stopped { killed: true },
            vec![Effect::Tell(Notice::Stuck)]
        )
    );
}

#[test]
fn killasgroup_false_kills_only_the_leader() {
    let policy = Policy {
        kill_reach: Reach::Leader,
        ..Policy::default()
    };
    let (state, effects) = step(running(0), Event::Kill, &policy, 0);
    assert_eq!(signals(&effects), [(Signal::SIGKILL, Reach::Leader)]);
    let left = Event::Ended {
        ending: Ending::Signalled(9),
        group_left: true,
    };
    assert_eq!(
        step(state, left, &policy, 0).0,
        State::Stopped { killed: true }
    );
}

#[test]
fn events_without_a_meaning_are_refused() {
    let policy = Policy::default();
    assert!(
        State::Waiting
            .step(Event::Elapsed, &policy, seconds(0))
            .is_none()
    );
    assert!(running(0).step(Event::Start, &policy, seconds(0)).is_none());
    assert!(
        running(0)
            .step(Event::GroupGone, &policy, seconds(0))
            .is_none()
    );
}
