//! The life of one process as a pure function: state, event and clock in; new state and effects out.
//!
//! The states are supervisord's (its documentation, "Process States"), and one more: `Sweeping`, while members of the
//! process group outlive the process that led it.

mod stop;
#[cfg(test)]
mod tests;

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::ending::Ending;
use crate::notice::Notice;
use crate::program::{Autorestart, Policy, Reach};
pub(crate) use stop::{Stopping, Sweeping};

/// Time since the supervisor started.
pub(crate) type Moment = Duration;

/// A process that ran this long was no part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// The longest wait before a start is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// Where a process is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started: its turn has not come, or it has no `autostart`.
    Waiting,
    /// Being made.
    Spawning { failed: u32, crashes: u32 },
    /// Up, but not yet for `startsecs`. `failed` starts went before, `crashes` short lives before those.
    Starting {
        pid: i32,
        since: Moment,
        failed: u32,
        crashes: u32,
    },
    /// Up.
    Running {
        pid: i32,
        since: Moment,
        crashes: u32,
    },
    /// Down until the next try.
    Backoff {
        until: Moment,
        failed: u32,
        crashes: u32,
    },
    /// Told to stop, or killed already.
    Stopping(Stopping),
    /// Its leader is gone, members of its group are not.
    Sweeping(Sweeping),
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
    Signal {
        pid: i32,
        signal: Signal,
        reach: Reach,
    },
    Tell(Notice),
}

/// A new state and what it takes to get there.
pub(crate) type Step = (State, Vec<Effect>);

impl State {
    /// When [`Event::Elapsed`] is due.
    pub(crate) fn deadline(&self, policy: &Policy) -> Option<Moment> {
        match self {
            Self::Starting { since, .. } => Some(*since + policy.start_time),
            Self::Backoff { until, .. } => Some(*until),
            Self::Stopping(stopping) => Some(stopping.deadline),
            Self::Sweeping(sweeping) => Some(sweeping.deadline),
            _ => None,
        }
    }

    /// The process that lives, if one does.
    pub(crate) fn pid(&self) -> Option<i32> {
        match self {
            Self::Starting { pid, .. } | Self::Running { pid, .. } => Some(*pid),
            Self::Stopping(stopping) => Some(stopping.pid),
            _ => None,
        }
    }

    /// How it ended for good, also while the rest of its group is swept.
    pub(crate) fn last_ending(&self) -> Option<&Ending> {
        match self {
            Self::Exited { ending } | Self::Fatal { ending } => Some(ending),
            Self::Sweeping(sweeping) => sweeping.then.last_ending(),
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
            Self::Stopping(_) | Self::Sweeping(_) => "STOPPING",
            Self::Exited { .. } => "EXITED",
            Self::Fatal { .. } => "FATAL",
        }
    }

    /// Nothing of it lives and nothing will be started.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::Exited { .. } | Self::Fatal { .. } | Self::Stopped { .. }
        )
    }

    /// The one transition function. `None`: the event has no meaning in this state.
    pub(crate) fn step(self, event: Event, policy: &Policy, now: Moment) -> Option<Step> {
        match self {
            Self::Waiting if event == Event::Start => {
                let spawning = Self::Spawning {
                    failed: 0,
                    crashes: 0,
                };
                Some((spawning, vec![Effect::Spawn]))
            }
            Self::Waiting | Self::Exited { .. } | Self::Fatal { .. } | Self::Stopped { .. } => {
                matches!(event, Event::Stop | Event::Kill).then_some((self, Vec::new()))
            }
            Self::Spawning { failed, crashes } => match event {
                Event::Spawned { pid } => Some(spawned(pid, failed, crashes, policy, now)),
                Event::Ended { ending, .. } => {
                    Some(start_failed(ending, failed, crashes, policy, now))
                }
                Event::Stop | Event::Kill => Some(not_started()),
                _ => None,
            },
            Self::Backoff {
                failed, crashes, ..
            } => match event {
                Event::Elapsed => Some((Self::Spawning { failed, crashes }, vec![Effect::Spawn])),
                Event::Stop | Event::Kill => Some(not_started()),
                _ => None,
            },
            Self::Starting { .. } | Self::Running { .. } => self.step_up(event, policy, now),
            Self::Stopping(stopping) => stopping.step(event, policy, now),
            Self::Sweeping(sweeping) => sweeping.step(&event, policy, now),
        }
    }

    /// The transitions of a process that is up.
    fn step_up(self, event: Event, policy: &Policy, now: Moment) -> Option<Step> {
        let pid = self.pid()?;
        match (self, event) {
            (Self::Starting { since, crashes, .. }, Event::Elapsed) => {
                let told = Effect::Tell(Notice::Running {
                    after: policy.start_time,
                });
                Some((
                    Self::Running {
                        pid,
                        since,
                        crashes,
                    },
                    vec![told],
                ))
            }
            (
                Self::Starting {
                    failed, crashes, ..
                },
                Event::Ended { ending, group_left },
            ) => {
                let step = if finished(&ending, policy) {
                    (
                        Self::Exited {
                            ending: ending.clone(),
                        },
                        vec![Effect::Tell(Notice::Ended { ending })],
                    )
                } else {
                    start_failed(ending, failed, crashes, policy, now)
                };
                Some(sweep(step, pid, group_left, policy, now))
            }
            (Self::Running { since, crashes, .. }, Event::Ended { ending, group_left }) => {
                let step = ended(ending, now.saturating_sub(since), crashes, policy, now);
                Some(sweep(step, pid, group_left, policy, now))
            }
            (_, Event::Stop) => Some(Stopping::ask(pid, policy, now)),
            (_, Event::Kill) => Some(Stopping::kill(pid, None, policy, now)),
            _ => None,
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
        return (
            State::Running {
                pid,
                since: now,
                crashes,
            },
            told,
        );
    }
    (
        State::Starting {
            pid,
            since: now,
            failed,
            crashes,
        },
        told,
    )
}

/// supervisord: the n-th failed start in a row is followed by n seconds of waiting; after `startretries` of them it is lost.
fn start_failed(ending: Ending, failed: u32, crashes: u32, policy: &Policy, now: Moment) -> Step {
    let failed = failed + 1;
    if failed > policy.start_retries {
        let early = !matches!(ending, Ending::NotStarted(_));
        let told = Effect::Tell(Notice::Lost {
            ending: ending.clone(),
            starts: failed,
            early,
        });
        return (State::Fatal { ending }, vec![told]);
    }
    let retry = Duration::from_secs(failed.into()).min(LONGEST_BACKOFF);
    (
        State::Backoff {
            until: now + retry,
            failed,
            crashes,
        },
        vec![Effect::Tell(Notice::EndedEarly { ending, retry })],
    )
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
        return (
            State::Exited {
                ending: ending.clone(),
            },
            vec![Effect::Tell(Notice::Ended { ending })],
        );
    }
    let crashes = if expected || lived >= STEADY {
        0
    } else {
        crashes + 1
    };
    let after = match crashes {
        // At most one start a second, whatever the exit code.
        0 => Duration::from_secs(1).saturating_sub(lived),
        short => Duration::from_secs((short - 1).into()).min(LONGEST_BACKOFF),
    };
    let told = Effect::Tell(Notice::Restarting { ending, after });
    (
        State::Backoff {
            until: now + after,
            failed: 0,
            crashes,
        },
        vec![told],
    )
}

/// What a dead leader left in its group goes before anything else happens; a finished one-shot may leave a daemon behind.
fn sweep(step: Step, group: i32, group_left: bool, policy: &Policy, now: Moment) -> Step {
    let (state, mut effects) = step;
    let may_leave = matches!(&state, State::Exited { ending } if finished(ending, policy));
    if !group_left || may_leave {
        return (state, effects);
    }
    effects.extend(stop::tell_group(group, policy));
    let (deadline, then) = (now + policy.stop_wait, Box::new(state));
    let sweeping = Sweeping {
        group,
        deadline,
        killed: false,
        then,
    };
    (State::Sweeping(sweeping), effects)
}

fn not_started() -> Step {
    (State::Stopped { killed: false }, Vec::new())
}
