//! The event loop around the fleet: one poll(2) over signals, output and the control socket, until nothing lives.

mod checks;
mod log;
mod outlet;
mod processes;
mod report;
mod server;
mod signals;
mod spawn;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::getpid;

use crate::config::Config;
use crate::ending::Ending;
use crate::fleet::{Fleet, Id, Member, Order, Phase};
use crate::lifecycle::{Effect, Event, Moment, State};
use crate::notice::FleetNotice;
use crate::program::Reach;
use checks::Checks;
use log::Log;
pub use log::LogFormat;
use processes::{exists, send};
use server::Server;
pub use server::SocketError;
use signals::{Circumstances, Request};

/// How long what outlived its program may take after TERM, before the end of PID 1 kills it.
const STRAGGLERS_WAIT: Duration = Duration::from_secs(2);

/// How to supervise; what the binary knows and the configuration does not say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the control socket may be; the first possible place is taken.
    pub sockets: Vec<PathBuf>,
    /// How lines of output look.
    pub log_format: LogFormat,
    /// How long to go on, unready, before a stop begins.
    pub drain_delay: Duration,
    /// Our own executable, which asks the addresses of health checks.
    pub executable: PathBuf,
    /// A person sits at our terminal.
    pub terminal: bool,
}

/// Why supervising could not begin, or broke.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A system call that cannot fail has failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The control socket is taken.
    #[error("cannot open the control socket")]
    Socket {
        /// Why.
        source: SocketError,
    },
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> SuperviseError {
    move |source| SuperviseError::System {
        what,
        source: source.into(),
    }
}

/// Runs the programs of `config` until all have ended, and gives the exit code that says how.
///
/// The calling process must have no other thread: it forks, and it changes its signal mask.
pub fn supervise(config: Config, options: Options) -> Result<u8, SuperviseError> {
    let signals = signals::take().map_err(system("take signals"))?;
    spawn::keep_inherited_descriptors().map_err(system("mark inherited descriptors"))?;
    let is_init = getpid().as_raw() == 1;
    if !is_init {
        // PID 1 adopts orphans by nature; elsewhere we ask for them (prctl(2), PR_SET_CHILD_SUBREAPER).
        set_child_subreaper(true).map_err(system("become a subreaper"))?;
    }
    let mut log = Log::new(
        options.log_format,
        config.programs.iter().map(|program| program.name.as_str()),
    )
    .map_err(system("open our own output"))?;
    for warning in &config.warnings {
        log.tell(&format!("warning: {warning}"));
    }
    let server = match Server::open(&options.sockets) {
        Ok(server) => Some(server),
        Err(source @ SocketError::InUse { .. }) => return Err(SuperviseError::Socket { source }),
        Err(error) => {
            let reason = with_sources(&error);
            log.tell(&FleetNotice::SocketUnavailable { reason }.to_string());
            None
        }
    };
    let share = config.programs.len() == 1 && options.log_format == LogFormat::Plain;
    let programs = config.programs.len();
    let fleet = Fleet::new(config.programs, options.drain_delay);
    let file = config.file.display().to_string();
    let begins = FleetNotice::Begins {
        programs,
        file,
        budget: fleet.stop_budget(),
    };
    log.tell(&begins.to_string());
    let checks = Checks::default();
    let mut supervisor = Supervisor {
        fleet,
        log,
        server,
        checks,
        signals,
        options,
        share,
        is_init,
        clock: Instant::now(),
        farewell: None,
    };
    supervisor.run()
}

/// An error with its causes, for a line of the log.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

struct Supervisor {
    fleet: Fleet,
    log: Log,
    server: Option<Server>,
    checks: Checks,
    signals: SignalFd,
    options: Options,
    /// The only program writes to our streams itself.
    share: bool,
    is_init: bool,
    clock: Instant,
    /// The programs are over; until then their leftovers may take.
    farewell: Option<Moment>,
}

impl Supervisor {
    fn run(&mut self) -> Result<u8, SuperviseError> {
        let orders = self.fleet.begin(self.now());
        self.execute(orders);
        loop {
            let orders = self.notice_gone_groups();
            self.execute(orders);
            let now = self.now();
            let orders = self.fleet.tick(now);
            self.execute(orders);
            self.checks.tick(now);
            self.log.pump();
            self.serve(now);
            if let Phase::Over { code } = *self.fleet.phase()
                && self.may_leave(now)
            {
                self.log.tell(&FleetNotice::Over { code }.to_string());
                self.log.finish();
                return Ok(code);
            }
            self.wait()?;
            self.take_requests()?;
        }
    }

    fn now(&self) -> Moment {
        self.clock.elapsed()
    }

    /// Sleeps until a descriptor is ready or a deadline is due.
    fn wait(&self) -> Result<(), SuperviseError> {
        let deadlines = [
            self.fleet.deadline(),
            self.checks.deadline(),
            self.server.as_ref().and_then(Server::deadline),
            self.farewell,
        ];
        let timeout = deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(PollTimeout::NONE, |deadline| {
                // Rounded up: a wake-up before the deadline would only spin.
                let left = deadline
                    .saturating_sub(self.now())
                    .as_micros()
                    .div_ceil(1000);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
        let mut descriptors = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let server = self
            .server
            .as_ref()
            .map(Server::interests)
            .unwrap_or_default();
        descriptors.extend(
            self.log
                .interests()
                .into_iter()
                .chain(server)
                .map(|(fd, flags)| PollFd::new(fd, flags)),
        );
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(system("wait for events")(errno)),
        }
    }

    fn take_requests(&mut self) -> Result<(), SuperviseError> {
        let circumstances = Circumstances {
            terminal: self.options.terminal,
            draining: !matches!(self.fleet.phase(), Phase::Rising { .. } | Phase::Steady),
        };
        for request in
            signals::read(&self.signals, circumstances).map_err(system("read signals"))?
        {
            let now = self.now();
            let orders = match request {
                Request::Stop(signal) => self.fleet.stop(signal, now),
                Request::Cut => self.fleet.cut(now),
                Request::Forward(signal) => self.forward(signal),
                Request::Reap => self.reap()?,
            };
            self.execute(orders);
        }
        Ok(())
    }

    fn forward(&mut self, signal: Signal) -> Vec<Order> {
        let pids: Vec<_> = self
            .fleet
            .members()
            .iter()
            .filter_map(|member| member.state.pid())
            .collect();
        for pid in &pids {
            send(*pid, signal, Reach::Leader);
        }
        vec![Order::Tell(FleetNotice::Forwarded {
            signal,
            programs: pids.len(),
        })]
    }

    /// Reaps everything that has ended: programs, checks, and the orphans nobody else waits for.
    fn reap(&mut self) -> Result<Vec<Order>, SuperviseError> {
        let ended = processes::reap().map_err(system("reap children"))?;
        // Their last lines stand before what we have to say about their end.
        self.log.pump();
        let mut orders = Vec::new();
        for (pid, ending) in ended {
            if self.checks.ended(pid, &ending) {
                continue;
            }
            let ours = self
                .fleet
                .members()
                .iter()
                .position(|member| member.state.pid() == Some(pid));
            if let Some(id) = ours {
                // All zombies are reaped by now: what answers is alive.
                let group_left = exists(pid);
                orders.extend(
                    self.fleet
                        .on(id, Event::Ended { ending, group_left }, self.now()),
                );
            }
        }
        Ok(orders)
    }

    /// Looks at the groups that are swept, each time something has ended or is due.
    fn notice_gone_groups(&mut self) -> Vec<Order> {
        let swept =
            self.fleet
                .members()
                .iter()
                .enumerate()
                .filter_map(|(id, member)| match &member.state {
                    State::Sweeping(sweeping) if !exists(sweeping.group) => Some(id),
                    _ => None,
                });
        let gone: Vec<_> = swept.collect();
        gone.into_iter()
            .flat_map(|id| self.fleet.on(id, Event::GroupGone, self.clock.elapsed()))
            .collect()
    }

    fn execute(&mut self, orders: Vec<Order>) {
        let mut queue = VecDeque::from(orders);
        while let Some(order) = queue.pop_front() {
            match order {
                Order::Tell(notice) => self.log.tell(&notice.to_string()),
                Order::Process(id, Effect::Tell(notice)) => {
                    let name = &self.fleet.members()[id].program.name;
                    self.log.tell(&format!("{name}: {notice}"));
                }
                Order::Process(_, Effect::Signal { pid, signal, reach }) => {
                    send(pid, signal, reach);
                }
                Order::Process(id, Effect::Spawn) => queue.extend(self.spawn(id)),
            }
        }
    }

    fn spawn(&mut self, id: Id) -> Vec<Order> {
        let member = &self.fleet.members()[id];
        // An order of the same batch may have stopped it meanwhile.
        if !matches!(member.state, State::Spawning { .. }) {
            return Vec::new();
        }
        let event = match spawn::spawn(&member.program, self.share) {
            Ok(spawned) => {
                for (pipe, stream) in spawned.pipes {
                    self.log.follow(pipe, &member.program.name, stream);
                }
                Event::Spawned { pid: spawned.pid }
            }
            Err(error) => {
                let executable = member.program.command.first().map_or("", String::as_str);
                Event::Ended {
                    ending: Ending::NotStarted(format!("`{executable}`: {error}")),
                    group_left: false,
                }
            }
        };
        self.fleet.on(id, event, self.now())
    }

    /// Talks to those who ask for our health.
    fn serve(&mut self, now: Moment) {
        let Some(server) = &mut self.server else {
            return;
        };
        let (fleet, checks, executable) = (&self.fleet, &mut self.checks, &self.options.executable);
        server.pump(now, |name| {
            let asked = |member: &Member| {
                name.is_none_or(|name| name == member.program.name || name == member.program.group)
            };
            let members = fleet
                .members()
                .iter()
                .enumerate()
                .filter(|(_, member)| asked(member));
            let draining = !matches!(fleet.phase(), Phase::Rising { .. } | Phase::Steady);
            members
                .map(|(id, member)| {
                    if matches!(member.state, State::Running { .. }) && !draining {
                        checks.start(id, &member.program, executable, now);
                    }
                    id
                })
                .collect()
        });
        let checks = &self.checks;
        server.answer(
            now,
            |id| !checks.is_running(id),
            |ids| report::write(fleet, checks, ids, now),
        );
    }

    /// The programs are over. PID 1 also asks what they left in other sessions to end, before its own end kills it.
    fn may_leave(&mut self, now: Moment) -> bool {
        if !self.is_init {
            return true;
        }
        if !processes::have_children() {
            return true;
        }
        if let Some(deadline) = self.farewell {
            return now >= deadline;
        }
        self.log.tell(&FleetNotice::Stragglers.to_string());
        processes::tell_namespace(Signal::SIGTERM);
        self.farewell = Some(now + STRAGGLERS_WAIT);
        false
    }
}
