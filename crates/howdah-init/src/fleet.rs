//! All processes together, still without a system: start in order of priority, lose an essential one, stop in reverse order.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lifecycle::{Effect, Event, Moment, State, finished, is_expected};
use crate::notice::{Cause, FleetNotice, Notice};
use crate::program::Program;

/// The exit code of a stop in which something had to be killed: 128 + SIGKILL.
const KILLED: u8 = 137;

/// A process of the fleet, by its place.
pub(crate) type Id = usize;

/// One process with its state.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) program: Program,
    pub(crate) state: State,
    /// When the state last changed.
    pub(crate) changed: Moment,
    /// How often it was started after the first time.
    pub(crate) restarts: u32,
    started: bool,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An effect on, or about, one process.
    Process(Id, Effect),
    /// Something to tell about all.
    Tell(FleetNotice),
}

/// Where the fleet is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The levels below this one are up, this one is starting.
    Rising { level: usize },
    /// All were started.
    Steady,
    /// Readiness has failed; from `from` on the levels stop, those from `level` on have been told.
    Draining {
        cause: Cause,
        from: Moment,
        level: usize,
    },
    /// Nothing lives.
    Over { code: u8 },
}

/// The processes and their common phase.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    /// The distinct priorities, lowest first.
    levels: Vec<i32>,
    phase: Phase,
    drain_delay: Duration,
}

impl Fleet {
    /// A fleet of which nothing runs yet.
    pub(crate) fn new(programs: Vec<Program>, drain_delay: Duration) -> Self {
        let mut levels: Vec<_> = programs
            .iter()
            .map(|program| program.policy.priority)
            .collect();
        levels.sort_unstable();
        levels.dedup();
        let member = |program| Member {
            program,
            state: State::Waiting,
            changed: Moment::ZERO,
            restarts: 0,
            started: false,
        };
        Self {
            members: programs.into_iter().map(member).collect(),
            levels,
            phase: Phase::Rising { level: 0 },
            drain_delay,
        }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The most a stop can take: each level as long as its slowest program.
    pub(crate) fn stop_budget(&self) -> Duration {
        let slowest = |level: &i32| {
            let members = self
                .members
                .iter()
                .filter(|member| member.program.policy.priority == *level);
            members
                .map(|member| member.program.policy.stop_wait)
                .max()
                .unwrap_or_default()
        };
        self.levels.iter().map(slowest).sum::<Duration>() + self.drain_delay
    }

    /// Starts the first level.
    pub(crate) fn begin(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        self.start_level(0, now, &mut orders);
        self.advance(now, &mut orders);
        orders
    }

    /// One event of one process.
    pub(crate) fn on(&mut self, id: Id, event: Event, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        self.apply(id, event, now, &mut orders);
        self.advance(now, &mut orders);
        orders
    }

    /// The clock has moved.
    pub(crate) fn tick(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        for id in 0..self.members.len() {
            if self.due(id).is_some_and(|deadline| deadline <= now) {
                self.apply(id, Event::Elapsed, now, &mut orders);
            }
        }
        self.advance(now, &mut orders);
        orders
    }

    /// A graceful stop was asked for; a second one changes nothing.
    pub(crate) fn stop(&mut self, signal: Signal, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        if matches!(self.phase, Phase::Rising { .. } | Phase::Steady) {
            self.drain(Cause::Asked(signal), now + self.drain_delay, &mut orders);
            self.advance(now, &mut orders);
        }
        orders
    }

    /// The drain is cut short: everything is killed now.
    pub(crate) fn cut(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        if let Phase::Draining { from, level, .. } = &mut self.phase {
            (*from, *level) = (now, 0);
            orders.push(Order::Tell(FleetNotice::Cut));
            for id in 0..self.members.len() {
                self.apply(id, Event::Kill, now, &mut orders);
            }
            self.advance(now, &mut orders);
        }
        orders
    }

    /// When [`Fleet::tick`] must be called next.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let drain = match &self.phase {
            Phase::Draining { from, level, .. } if *level == self.levels.len() => Some(*from),
            _ => None,
        };
        (0..self.members.len())
            .filter_map(|id| self.due(id))
            .chain(drain)
            .min()
    }

    fn due(&self, id: Id) -> Option<Moment> {
        let member = self.members.get(id)?;
        member.state.deadline(&member.program.policy)
    }

    fn apply(&mut self, id: Id, event: Event, now: Moment, orders: &mut Vec<Order>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let before = member.state.clone();
        let described = format!("{event:?} in {before:?}");
        let Some((state, effects)) = before.step(event, &member.program.policy, now) else {
            let told = Notice::Unexpected { event: described };
            orders.push(Order::Process(id, Effect::Tell(told)));
            return;
        };
        if state != member.state {
            member.changed = now;
        }
        member.state = state;
        if effects.contains(&Effect::Spawn) {
            member.restarts += u32::from(member.started);
            member.started = true;
        }
        orders.extend(effects.into_iter().map(|effect| Order::Process(id, effect)));
    }

    /// Moves the phase on as far as the states allow.
    fn advance(&mut self, now: Moment, orders: &mut Vec<Order>) {
        if matches!(self.phase, Phase::Rising { .. } | Phase::Steady)
            && let Some(cause) = self.all_ended().or_else(|| self.lost())
        {
            // What is lost makes us unready at once, and nobody waits for a broken set: no delay.
            self.drain(cause, now, orders);
        }
        match self.phase {
            Phase::Rising { .. } => self.rise(now, orders),
            Phase::Draining { .. } => self.sink(now, orders),
            Phase::Steady | Phase::Over { .. } => {}
        }
    }

    fn rise(&mut self, now: Moment, orders: &mut Vec<Order>) {
        while let Phase::Rising { level } = self.phase {
            let settled = |state: &State| state.is_over() || matches!(state, State::Running { .. });
            if !self.level(level).all(|member| settled(&member.state)) {
                return;
            }
            if level + 1 == self.levels.len() {
                self.phase = Phase::Steady;
                orders.push(Order::Tell(FleetNotice::AllUp));
                return;
            }
            self.phase = Phase::Rising { level: level + 1 };
            self.start_level(level + 1, now, orders);
        }
    }

    fn sink(&mut self, now: Moment, orders: &mut Vec<Order>) {
        while let Phase::Draining { from, level, .. } = self.phase {
            if now < from
                || (level..self.levels.len())
                    .any(|level| self.level(level).any(|m| !m.state.is_over()))
            {
                return;
            }
            if level == 0 {
                let code = self.exit_code();
                self.phase = Phase::Over { code };
                return;
            }
            if let Phase::Draining { level, .. } = &mut self.phase {
                *level -= 1;
            }
            for id in 0..self.members.len() {
                if self.members[id].program.policy.priority == self.levels[level - 1] {
                    self.apply(id, Event::Stop, now, orders);
                }
            }
        }
    }

    fn drain(&mut self, cause: Cause, from: Moment, orders: &mut Vec<Order>) {
        orders.push(Order::Tell(FleetNotice::Draining(cause.clone())));
        self.phase = Phase::Draining {
            cause,
            from,
            level: self.levels.len(),
        };
    }

    fn start_level(&mut self, level: usize, now: Moment, orders: &mut Vec<Order>) {
        for id in 0..self.members.len() {
            let policy = &self.members[id].program.policy;
            if policy.autostart && self.levels.get(level) == Some(&policy.priority) {
                self.apply(id, Event::Start, now, orders);
            }
        }
    }

    fn level(&self, level: usize) -> impl Iterator<Item = &Member> {
        let priority = self.levels.get(level).copied();
        self.members
            .iter()
            .filter(move |member| Some(member.program.policy.priority) == priority)
    }

    /// An essential process that ended for good, unless it was a one-shot that did its work.
    fn lost(&self) -> Option<Cause> {
        let lost = self
            .members
            .iter()
            .filter(|member| member.program.policy.essential)
            .find_map(|member| {
                let ending = member.state.last_ending()?;
                let fatal = matches!(member.state, State::Fatal { .. });
                (fatal || !finished(ending, &member.program.policy)).then_some((member, ending))
            });
        lost.map(|(member, ending)| Cause::Lost {
            name: member.program.name.clone(),
            code: ending.code().max(1),
        })
    }

    /// Nothing lives and nothing is still to be started: the work is done, or everything failed.
    fn all_ended(&self) -> Option<Cause> {
        let is_done = |member: &Member| match &member.state {
            State::Waiting => !member.program.policy.autostart,
            state => state.is_over(),
        };
        if !self.members.iter().all(is_done) {
            return None;
        }
        let mut bad = self
            .members
            .iter()
            .filter_map(|member| match &member.state {
                State::Fatal { ending } => Some((member, ending)),
                State::Exited { ending } if !is_expected(ending, &member.program.policy) => {
                    Some((member, ending))
                }
                _ => None,
            });
        match bad.next() {
            Some((member, ending)) if member.program.policy.essential => Some(Cause::Lost {
                name: member.program.name.clone(),
                code: ending.code().max(1),
            }),
            Some((_, ending)) => Some(Cause::AllEnded {
                code: ending.code().max(1),
            }),
            None => Some(Cause::AllEnded { code: 0 }),
        }
    }

    fn exit_code(&self) -> u8 {
        let killed = self
            .members
            .iter()
            .any(|member| member.state == State::Stopped { killed: true });
        match &self.phase {
            Phase::Draining {
                cause: Cause::Lost { code, .. } | Cause::AllEnded { code },
                ..
            } if *code != 0 => *code,
            _ if killed => KILLED,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
