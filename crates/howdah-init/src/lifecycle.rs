//! The life of one process as a pure function: state, event and clock in; new state and effects out.
//!
//! The states are supervisord's (its documentation, "Process States"), and one more: `Sweeping`, while members of the
//! process group outlive the process that led it.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::program::{Autorestart, Policy, Reach};

/// Time since the supervisor started.
pub(crate) type Moment = Duration;

/// A process that ran this long was no part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// The longest wait before a start is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A killed process that is still there after this is stuck in the kernel; nobody can wait for it.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It could not be started.
    NotStarted(String),
}

impl Ending {
    /// The exit code as a shell has it: 128 + n for a signal, 127 for what cannot be executed.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(*code).unwrap_or(u8::MAX),
            Self::Signalled(signal) => 128_u8.saturating_add(u8::try_from(*signal).unwrap_or(0)),
            Self::NotStarted(_) => 127,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with code {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(formatter, "was ended by {signal}"),
                Err(_) => write!(formatter, "was ended by signal {number}"),
            },
            Self::NotStarted(reason) => write!(formatter, "cannot start: {reason}"),
        }
    }
}

/// Where a process is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started: its turn has not come, or it has no `autostart`.
    Waiting,
    /// Being made.
    Spawning { failed: u32, crashes: u32 },
    /// Up, but not yet for `startsecs`. `failed` starts went before, `crashes` short lives before those.
    Starting { pid: i32, since: Moment, failed: u32, crashes: u32 },
    /// Up.
    Running { pid: i32, since: Moment, crashes: u32 },
    /// Down until the next try.
    Backoff { until: Moment, failed: u32, crashes: u32 },
    /// Told to stop, or killed already.
    Stopping { pid: i32, deadline: Moment, killed: bool },
    /// Its leader is gone, members of its group are not; `then` is what it becomes when they are.
    Sweeping { group: i32, deadline: Moment, killed: bool, then: Box<State> },
    /// It ended and is not started again.
    Exited { ending: Ending },
    /// Its starts failed too often.
    Fatal { ending: Ending },
    /// We stopped it.
    Stopped { killed: bool },
}

/// What happens to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its turn has come.
    Start,
    /// The system made it.
    Spawned { pid: i32 },
    /// It ended; `group_left` when others of its group live.
    Ended { ending: Ending, group_left: bool },
    /// The last member of its group is gone.
    GroupGone,
    /// The deadline of its state has passed.
    Elapsed,
    /// Stop it gracefully.
    Stop,
    /// Stop waiting for it.
    Kill,
}

/// What is to be done to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Spawn,
    /// A signal to a process, or to the group it leads.
    Signal { pid: i32, signal: Signal, reach: Reach },
    Tell(Notice),
}

/// What is told about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Started { pid: i32 },
    Running { after: Duration },
    EndedEarly { ending: Ending, retry: Duration },
    Restarting { ending: Ending, after: Duration },
    Ended { ending: Ending },
    Lost { ending: Ending, starts: u32, early: bool },
    Stopping { signal: Signal, wait: Duration },
    Stopped { ending: Ending },
    Killed { reach: Reach, after: Option<Duration> },
    GroupLeft { signal: Signal },
    Stuck,
    /// The transition function has no answer: a bug of ours, told and survived.
    Unexpected { event: String },
}

/// A new state and what it takes to get there.
pub(crate) type Step = (State, Vec<Effect>);

impl State {
    /// When [`Event::Elapsed`] is due.
    pub(crate) fn deadline(&self, policy: &Policy) -> Option<Moment> {
        match self {
            Self::Starting { since, .. } => Some(*since + policy.start_time),
            Self::Backoff { until, .. } => Some(*until),
            Self::Stopping { deadline, .. } | Self::Sweeping { deadline, .. } => Some(*deadline),
            _ => None,
        }
    }

    /// The process that lives, if one does.
    pub(crate) fn pid(&self) -> Option<i32> {
        match self {
            Self::Starting { pid, .. } | Self::Running { pid, .. } | Self::Stopping { pid, .. } => Some(*pid),
            _ => None,
        }
    }

    /// How it ended for good, also while the rest of its group is swept.
    pub(crate) fn last_ending(&self) -> Option<&Ending> {
        match self {
            Self::Exited { ending } | Self::Fatal { ending } => Some(ending),
            Self::Sweeping { then, .. } => then.last_ending(),
            _ => None,
        }
    }

    /// supervisord's name of the state; what is swept is still stopping.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Waiting | Self::Stopped { .. } => "STOPPED",
            Self::Spawning { .. } | Self::Starting { .. } => "STARTING",
            Self::Running { .. } => "RUNNING",
            Self::Backoff { .. } => "BACKOFF",
            Self::Stopping { .. } | Self::Sweeping { .. } => "STOPPING",
            Self::Exited { .. } => "EXITED",
            Self::Fatal { .. } => "FATAL",
        }
    }

    /// Nothing of it lives and nothing will be started.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Waiting | Self::Exited { .. } | Self::Fatal { .. } | Self::Stopped { .. })
    }

    /// The one transition function. `None`: the event has no meaning in this state.
    pub(crate) fn step(self, event: Event, policy: &Policy, now: Moment) -> Option<Step> {
        match (self, event) {
            (Self::Waiting, Event::Start) => Some((Self::Spawning { failed: 0, crashes: 0 }, vec![Effect::Spawn])),
            (Self::Backoff { failed, crashes, .. }, Event::Elapsed) => {
                Some((Self::Spawning { failed, crashes }, vec![Effect::Spawn]))
            }
            (Self::Spawning { failed, crashes }, Event::Spawned { pid }) => Some(spawned(pid, failed, crashes, policy, now)),
            (Self::Spawning { failed, crashes }, Event::Ended { ending, .. }) => {
                Some(start_failed(ending, failed, crashes, policy, now))
            }
            (Self::Starting { pid, since, crashes, .. }, Event::Elapsed) => {
                let told = Effect::Tell(Notice::Running { after: policy.start_time });
                Some((Self::Running { pid, since, crashes }, vec![told]))
            }
            (Self::Starting { pid, failed, crashes, .. }, Event::Ended { ending, group_left }) => {
                let step = if finished(&ending, policy) {
                    (Self::Exited { ending: ending.clone() }, vec![Effect::Tell(Notice::Ended { ending })])
                } else {
                    start_failed(ending, failed, crashes, policy, now)
                };
                Some(sweep(step, pid, group_left, policy, now))
            }
            (Self::Running { pid, since, crashes }, Event::Ended { ending, group_left }) => {
                let step = ended(ending, now - since, crashes, policy, now);
                Some(sweep(step, pid, group_left, policy, now))
            }
            (state, Event::Stop | Event::Kill) if state.is_over() => Some((state, Vec::new())),
            (Self::Backoff { .. } | Self::Spawning { .. }, Event::Stop | Event::Kill) => Some((Self::Stopped { killed: false }, Vec::new())),
            (Self::Starting { pid, .. } | Self::Running { pid, .. }, Event::Stop) => Some(stop(pid, policy, now)),
            (state @ Self::Stopping { .. }, Event::Stop) => Some((state, Vec::new())),
            (Self::Sweeping { group, deadline, killed, then }, Event::Stop) => {
                let then = if then.is_over() { then } else { Box::new(Self::Stopped { killed: false }) };
                Some((Self::Sweeping { group, deadline, killed, then }, Vec::new()))
            }
            (Self::Starting { pid, .. } | Self::Running { pid, .. }, Event::Kill) => Some(kill(pid, None, policy, now)),
            (state @ (Self::Stopping { .. } | Self::Sweeping { .. }), event) => state.step_while_ending(event, policy, now),
            _ => None,
        }
    }

    /// The transitions of `Stopping` and `Sweeping`.
    fn step_while_ending(self, event: Event, policy: &Policy, now: Moment) -> Option<Step> {
        match (self, event) {
            (Self::Stopping { pid, killed: false, .. }, Event::Elapsed) => Some(kill(pid, Some(policy.stop_wait), policy, now)),
            (Self::Stopping { pid, killed: false, .. }, Event::Kill) => Some(kill(pid, None, policy, now)),
            (Self::Stopping { killed: true, .. }, Event::Elapsed) => {
                Some((Self::Stopped { killed: true }, vec![Effect::Tell(Notice::Stuck)]))
            }
            (Self::Stopping { pid, deadline, killed }, Event::Ended { ending, group_left }) => {
                let stopped = Self::Stopped { killed };
                let mut effects = vec![Effect::Tell(Notice::Stopped { ending })];
                if !group_left || (killed && policy.kill_reach == Reach::Leader) {
                    return Some((stopped, effects));
                }
                if !killed && policy.stop_reach == Reach::Leader {
                    effects.extend(tell_group(pid, policy));
                }
                Some((Self::Sweeping { group: pid, deadline, killed, then: Box::new(stopped) }, effects))
            }
            (Self::Sweeping { then, killed, .. }, Event::GroupGone) => Some((then.after_sweep(killed), Vec::new())),
            (Self::Sweeping { group, then, killed: false, .. }, event @ (Event::Elapsed | Event::Kill)) => {
                let after = (event == Event::Elapsed).then_some(policy.stop_wait);
                let effects = vec![
                    Effect::Signal { pid: group, signal: Signal::SIGKILL, reach: Reach::Group },
                    Effect::Tell(Notice::Killed { reach: Reach::Group, after }),
                ];
                Some((Self::Sweeping { group, deadline: now + KILL_WAIT, killed: true, then }, effects))
            }
            (Self::Sweeping { then, killed: true, .. }, Event::Elapsed) => {
                Some((then.after_sweep(true), vec![Effect::Tell(Notice::Stuck)]))
            }
            (state, Event::Kill) => Some((state, Vec::new())),
            _ => None,
        }
    }

    /// What is stopped counts as killed when its group had to be.
    fn after_sweep(self, group_killed: bool) -> Self {
        match self {
            Self::Stopped { killed } => Self::Stopped { killed: killed || group_killed },
            other => other,
        }
    }
}

/// A one-shot that did its work: nothing restarts it, and its code is an expected one.
pub(crate) fn finished(ending: &Ending, policy: &Policy) -> bool {
    policy.autorestart == Autorestart::Never && is_expected(ending, policy)
}

pub(crate) fn is_expected(ending: &Ending, policy: &Policy) -> bool {
    matches!(ending, Ending::Exited(code) if policy.exit_codes.contains(code))
}

fn spawned(pid: i32, failed: u32, crashes: u32, policy: &Policy, now: Moment) -> Step {
    let told = vec![Effect::Tell(Notice::Started { pid })];
    if policy.start_time.is_zero() {
        return (State::Running { pid, since: now, crashes }, told);
    }
    (State::Starting { pid, since: now, failed, crashes }, told)
}

/// supervisord: the n-th failed start in a row is followed by n seconds of waiting; after `startretries` of them it is lost.
fn start_failed(ending: Ending, failed: u32, crashes: u32, policy: &Policy, now: Moment) -> Step {
    let failed = failed + 1;
    if failed > policy.start_retries {
        let early = !matches!(ending, Ending::NotStarted(_));
        let told = Effect::Tell(Notice::Lost { ending: ending.clone(), starts: failed, early });
        return (State::Fatal { ending }, vec![told]);
    }
    let retry = Duration::from_secs(failed.into()).min(LONGEST_BACKOFF);
    (State::Backoff { until: now + retry, failed, crashes }, vec![Effect::Tell(Notice::EndedEarly { ending, retry })])
}

/// The end of a process that was up.
///
/// supervisord starts it again at once, for ever; here a process that keeps ending within [`STEADY`] waits longer each time.
fn ended(ending: Ending, lived: Duration, crashes: u32, policy: &Policy, now: Moment) -> Step {
    let expected = is_expected(&ending, policy);
    let restart = match policy.autorestart {
        Autorestart::Always => true,
        Autorestart::Unexpected => !expected,
        Autorestart::Never => false,
    };
    if !restart {
        return (State::Exited { ending: ending.clone() }, vec![Effect::Tell(Notice::Ended { ending })]);
    }
    let crashes = if expected || lived >= STEADY { 0 } else { crashes + 1 };
    let after = match crashes {
        // At most one start a second, whatever the exit code.
        0 => Duration::from_secs(1).saturating_sub(lived),
        short => Duration::from_secs((short - 1).into()).min(LONGEST_BACKOFF),
    };
    let told = Effect::Tell(Notice::Restarting { ending, after });
    (State::Backoff { until: now + after, failed: 0, crashes }, vec![told])
}

/// What a dead leader left in its group goes before anything else happens; a finished one-shot may leave a daemon behind.
fn sweep((state, mut effects): Step, group: i32, group_left: bool, policy: &Policy, now: Moment) -> Step {
    let may_leave = matches!(&state, State::Exited { ending } if finished(ending, policy));
    if !group_left || may_leave {
        return (state, effects);
    }
    effects.extend(tell_group(group, policy));
    let deadline = now + policy.stop_wait;
    (State::Sweeping { group, deadline, killed: false, then: Box::new(state) }, effects)
}

fn tell_group(group: i32, policy: &Policy) -> [Effect; 2] {
    let signal = policy.stop_signal;
    [
        Effect::Signal { pid: group, signal, reach: Reach::Group },
        Effect::Tell(Notice::GroupLeft { signal }),
    ]
}

fn stop(pid: i32, policy: &Policy, now: Moment) -> Step {
    let (signal, wait) = (policy.stop_signal, policy.stop_wait);
    let effects = vec![
        Effect::Tell(Notice::Stopping { signal, wait }),
        Effect::Signal { pid, signal, reach: policy.stop_reach },
    ];
    (State::Stopping { pid, deadline: now + wait, killed: false }, effects)
}

fn kill(pid: i32, after: Option<Duration>, policy: &Policy, now: Moment) -> Step {
    let reach = policy.kill_reach;
    let effects = vec![
        Effect::Signal { pid, signal: Signal::SIGKILL, reach },
        Effect::Tell(Notice::Killed { reach, after }),
    ];
    (State::Stopping { pid, deadline: now + KILL_WAIT, killed: true }, effects)
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
