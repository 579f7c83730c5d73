//! The end of a process: told to stop, killed when its time is over, and its group swept after it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Effect, Event, Moment, State, Step};
use crate::notice::Notice;
use crate::program::{Policy, Reach};

/// A killed process that is still there after this is stuck in the kernel; nobody can wait for it.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A process that was told to stop, or killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopping {
    pub(crate) pid: i32,
    pub(crate) deadline: Moment,
    killed: bool,
}

/// A process group whose leader is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweeping {
    pub(crate) group: i32,
    pub(crate) deadline: Moment,
    pub(crate) killed: bool,
    /// What the process becomes when the last member of its group is gone.
    pub(crate) then: Box<State>,
}

impl Stopping {
    /// Sends the stop signal.
    pub(crate) fn ask(pid: i32, policy: &Policy, now: Moment) -> Step {
        let (signal, wait) = (policy.stop_signal, policy.stop_wait);
        let told = Effect::Tell(Notice::Stopping { signal, wait });
        let reach = policy.stop_reach;
        let stopping = Self {
            pid,
            deadline: now + wait,
            killed: false,
        };
        (
            State::Stopping(stopping),
            vec![told, Effect::Signal { pid, signal, reach }],
        )
    }

    /// Sends SIGKILL, because its time of `after` is over or because nobody waits any longer.
    pub(crate) fn kill(pid: i32, after: Option<Duration>, policy: &Policy, now: Moment) -> Step {
        let stopping = Self {
            pid,
            deadline: now + KILL_WAIT,
            killed: true,
        };
        (
            State::Stopping(stopping),
            kill(pid, policy.kill_reach, after),
        )
    }

    pub(crate) fn step(self, event: Event, policy: &Policy, now: Moment) -> Option<Step> {
        match event {
            Event::Elapsed if self.killed => {
                let stuck = Effect::Tell(Notice::Stuck);
                Some((State::Stopped { killed: true }, vec![stuck]))
            }
            Event::Elapsed => Some(Self::kill(self.pid, Some(policy.stop_wait), policy, now)),
            Event::Kill if !self.killed => Some(Self::kill(self.pid, None, policy, now)),
            Event::Stop | Event::Kill => Some((State::Stopping(self), Vec::new())),
            Event::Ended { ending, group_left } => {
                let stopped = State::Stopped {
                    killed: self.killed,
                };
                let mut effects = vec![Effect::Tell(Notice::Stopped { ending })];
                if !group_left || (self.killed && policy.kill_reach == Reach::Leader) {
                    return Some((stopped, effects));
                }
                if !self.killed && policy.stop_reach == Reach::Leader {
                    effects.extend(tell_group(self.pid, policy));
                }
                let Self {
                    pid: group,
                    deadline,
                    killed,
                } = self;
                let sweeping = Sweeping {
                    group,
                    deadline,
                    killed,
                    then: Box::new(stopped),
                };
                Some((State::Sweeping(sweeping), effects))
            }
            _ => None,
        }
    }
}

impl Sweeping {
    pub(crate) fn step(mut self, event: &Event, policy: &Policy, now: Moment) -> Option<Step> {
        match event {
            Event::GroupGone => Some((self.over(), Vec::new())),
            Event::Elapsed if self.killed => Some((self.over(), vec![Effect::Tell(Notice::Stuck)])),
            Event::Elapsed => {
                let effects = self.kill(Some(policy.stop_wait), now);
                Some((State::Sweeping(self), effects))
            }
            Event::Stop | Event::Kill => {
                // What is lost stays lost; what would have been started again is stopped.
                if !self.then.is_over() {
                    *self.then = State::Stopped { killed: false };
                }
                let effects = match event {
                    Event::Kill if !self.killed => self.kill(None, now),
                    _ => Vec::new(),
                };
                Some((State::Sweeping(self), effects))
            }
            _ => None,
        }
    }

    fn kill(&mut self, after: Option<Duration>, now: Moment) -> Vec<Effect> {
        (self.deadline, self.killed) = (now + KILL_WAIT, true);
        kill(self.group, Reach::Group, after)
    }

    /// What is stopped counts as killed when its group had to be.
    fn over(self) -> State {
        match *self.then {
            State::Stopped { killed } => State::Stopped {
                killed: killed || self.killed,
            },
            other => other,
        }
    }
}

/// Passes the stop signal on to what a leader left behind.
pub(crate) fn tell_group(group: i32, policy: &Policy) -> [Effect; 2] {
    let signal = policy.stop_signal;
    let reach = Reach::Group;
    [
        Effect::Signal {
            pid: group,
            signal,
            reach,
        },
        Effect::Tell(Notice::GroupLeft { signal }),
    ]
}

fn kill(pid: i32, reach: Reach, after: Option<Duration>) -> Vec<Effect> {
    let signal = Signal::SIGKILL;
    vec![
        Effect::Signal { pid, signal, reach },
        Effect::Tell(Notice::Killed { reach, after }),
    ]
}
