//! The face of the crate: containers by id, each kept by a helper process of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::attendant::{Attendant, Spare};
use crate::error::During;
use crate::plumbing::Plumbing;
use crate::process::signal_from_number;
use crate::protocol::{Reply, Request, Streams, Task};
use crate::records::{Entry, Record, is_valid_id};
use crate::{ContainerSpec, ExecSpec, Running, RuntimeError, State, Stdio, socket};

/// How long a helper may take to clear its container away once it has been killed.
const CLEARING: Duration = Duration::from_secs(30);

/// Runs containers whose state is kept below one directory. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Runtime {
    state: PathBuf,
    executable: PathBuf,
    /// For the next container that runs attached.
    spare: Arc<Mutex<Option<Spare>>>,
}

impl Runtime {
    /// `state` is where containers are recorded (`/run/howdah`); `executable` is howdah itself, executed again as the
    /// helper of each container (see [`crate::helper()`]).
    pub fn new(state: &Path, executable: &Path) -> Result<Self, RuntimeError> {
        let action = || format!("make the state directory `{}`", state.display());
        fs_err::create_dir_all(state).during(action)?;
        // Helpers leave the caller's working directory, and mounts need the true path.
        let state = fs_err::canonicalize(state).during(action)?;
        Ok(Self {
            state,
            executable: executable.to_owned(),
            spare: Arc::default(),
        })
    }

    /// Starts the helper of the next [`Runtime::run`] ahead of it, while something else is waited for. One that is not needed
    /// goes with the last clone of this.
    pub fn prepare(&self) -> Result<(), RuntimeError> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = Some(Spare::start(&self.executable, Task::Run)?);
        }
        Ok(())
    }

    /// Runs a container attached to the caller: it dies when the [`Running`] is dropped or the caller dies, and leaves
    /// no record. Returns when its program has been executed.
    pub fn run(&self, spec: &ContainerSpec, stdio: Stdio) -> Result<Running, RuntimeError> {
        let plumbing = Plumbing::new(stdio, spec.terminal, spec.stdin)?;
        let mut spec = Box::new(spec.clone());
        spec.terminal = plumbing.streams == Streams::Terminal;
        let id = spec.id.clone();
        let request = Request::Run {
            state: self.state.clone(),
            spec,
            streams: plumbing.streams,
        };
        let spare = {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            spare.take()
        };
        let helper = match spare.and_then(Spare::take) {
            Some(helper) => helper,
            None => Attendant::start(&self.executable, Task::Run)?,
        };
        attach(&id, helper, &request, plumbing)
    }

    /// Starts a container that outlives the caller. Its output goes to `log` as JSON lines `{"log","stream","time"}`.
    /// Returns when its program has been executed. A record of an ended container with the same id is replaced.
    pub fn start(&self, spec: &ContainerSpec, log: &Path) -> Result<(), RuntimeError> {
        match self.state(&spec.id)? {
            State::Running { .. } => {
                return Err(RuntimeError::AlreadyRunning {
                    id: spec.id.clone(),
                });
            }
            State::Exited(_) => self.delete(&spec.id)?,
            State::Absent => {}
        }
        let log =
            std::path::absolute(log).during(|| format!("find the log `{}`", log.display()))?;
        let request = Request::Start {
            state: self.state.clone(),
            spec: Box::new(spec.clone()),
            log,
        };
        let mut helper = Attendant::start(&self.executable, Task::Start)?;
        let sent = send(&helper.control, &request, &Plumbing::default(), &spec.id);
        // It has left our family by forking, so this ends at once.
        helper
            .wait()
            .during(|| "wait for the helper's first process".to_owned())?;
        sent?;
        await_start(&helper.control, &spec.id).map(drop)
    }

    /// Executes one more process in a running container, attached to the caller.
    pub fn exec(
        &self,
        id: &str,
        process: &ExecSpec,
        stdio: Stdio,
    ) -> Result<Running, RuntimeError> {
        self.entry(id)?;
        let plumbing = Plumbing::new(stdio, process.terminal, process.stdin)?;
        let mut process = process.clone();
        process.terminal = plumbing.streams == Streams::Terminal;
        let request = Request::Exec {
            state: self.state.clone(),
            id: id.to_owned(),
            process,
            streams: plumbing.streams,
        };
        let helper = Attendant::start(&self.executable, Task::Exec)?;
        attach(id, helper, &request, plumbing)
    }

    /// Where the container is in its life.
    pub fn state(&self, id: &str) -> Result<State, RuntimeError> {
        let entry = self.entry(id)?;
        let action = || format!("read the record of container `{id}`");
        if let Some(exit) = entry.exit().during(action)? {
            return Ok(State::Exited(exit));
        }
        let Some(record) = entry.record().during(action)? else {
            return Ok(State::Absent);
        };
        if !record.helper.is_alive() {
            // It may have ended between the two looks.
            return match entry.exit().during(action)? {
                Some(exit) => Ok(State::Exited(exit)),
                None => bury(&entry, &record),
            };
        }
        // Until its program runs there is nothing to be told of it.
        Ok(record
            .started
            .map_or(State::Absent, |started| State::Running {
                pid: started.process.pid,
                started: started.at,
            }))
    }

    /// A descriptor that becomes readable (poll(2)) when the container has ended and its exit is recorded.
    pub fn watch(&self, id: &str) -> Result<OwnedFd, RuntimeError> {
        let action = || format!("watch container `{id}`");
        let record = self.entry(id)?.record().during(action)?;
        let record = record.ok_or_else(|| RuntimeError::NotRunning { id: id.to_owned() })?;
        match record.helper.open().during(action)? {
            Some(helper) => Ok(helper),
            // Ended: a pipe whose other end is closed is readable for ever.
            None => rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map(|(reader, _)| reader)
                .map_err(io::Error::from)
                .during(action),
        }
    }

    /// Sends a signal to the container's first process; nothing happens when it has ended already.
    pub fn kill(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        let entry = self.entry(id)?;
        let action = || format!("signal container `{id}`");
        let signal = signal_from_number(signal)
            .ok_or_else(|| RuntimeError::Invalid(format!("there is no signal {signal}")))?;
        if entry.exit().during(action)?.is_some() {
            return Ok(());
        }
        match entry
            .record()
            .during(action)?
            .and_then(|record| record.started)
        {
            Some(started) => started.process.signal(signal).during(action).map(drop),
            None => Err(RuntimeError::NotRunning { id: id.to_owned() }),
        }
    }

    /// Kills the container if it runs and removes its record. Nothing happens when there is none.
    pub fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        let entry = self.entry(id)?;
        let action = || format!("delete container `{id}`");
        let Some(record) = entry.record().during(action)? else {
            return entry.remove().during(action);
        };
        if let Some(helper) = record.helper.open().during(action)? {
            if let Some(started) = record.started {
                started.process.signal(Signal::KILL).during(action)?;
            } else {
                record.helper.signal(Signal::KILL).during(action)?;
            }
            if !ends_within(&helper, CLEARING) {
                return Err(RuntimeError::Io {
                    action: action(),
                    source: io::ErrorKind::TimedOut.into(),
                });
            }
        }
        entry
            .cgroup()
            .and_then(|group| group.remove())
            .during(action)?;
        entry.remove().during(action)
    }

    /// All containers with a record, by id.
    pub fn list(&self) -> Result<Vec<(String, State)>, RuntimeError> {
        let entries = Entry::all(&self.state).during(|| "list containers".to_owned())?;
        let states = entries
            .into_iter()
            .map(|entry| Ok((entry.id.clone(), self.state(&entry.id)?)));
        Ok(states
            .collect::<Result<Vec<_>, RuntimeError>>()?
            .into_iter()
            .filter(|(_, state)| *state != State::Absent)
            .collect())
    }

    /// Clears what dead helpers left: control groups, records of attached containers. Returns the ids it cleared.
    pub fn reap(&self) -> Result<Vec<String>, RuntimeError> {
        let action = || "clear dead containers away".to_owned();
        Entry::remove_unfinished(&self.state).during(action)?;
        let mut cleared = Vec::new();
        for entry in Entry::all(&self.state).during(action)? {
            let Some(record) = entry.record().during(action)? else {
                continue;
            };
            let dead = !record.helper.is_alive();
            if dead
                && (entry.exit().during(action)?.is_none()
                    || entry.cgroup().during(action)?.exists())
            {
                bury(&entry, &record)?;
                cleared.push(entry.id);
            }
        }
        Ok(cleared)
    }

    fn entry(&self, id: &str) -> Result<Entry, RuntimeError> {
        if is_valid_id(id) {
            Ok(Entry::new(&self.state, id))
        } else {
            Err(RuntimeError::Invalid(format!("`{id}` is no container id")))
        }
    }
}

fn attach(
    id: &str,
    helper: Attendant,
    request: &Request,
    plumbing: Plumbing,
) -> Result<Running, RuntimeError> {
    let sent = send(&helper.control, request, &plumbing, id);
    // Our copies of the process's ends must go, or its pipes would never end.
    let ends = plumbing.ends;
    drop(plumbing.theirs);
    let mut running = Running::new(id, helper, ends);
    sent?;
    running.terminal = await_start(running.control(), id)?;
    Ok(running)
}

fn send(
    control: &UnixStream,
    request: &Request,
    plumbing: &Plumbing,
    id: &str,
) -> Result<(), RuntimeError> {
    let descriptors: Vec<_> = plumbing.theirs.iter().map(AsFd::as_fd).collect();
    match socket::send(control, request, &descriptors) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(RuntimeError::HelperDied { id: id.to_owned() })
        }
        result => result.during(|| format!("ask the helper of container `{id}`")),
    }
}

fn await_start(control: &UnixStream, id: &str) -> Result<Option<OwnedFd>, RuntimeError> {
    let reply = socket::receive::<Reply>(control)
        .during(|| format!("hear from the helper of container `{id}`"))?;
    match reply {
        Some((Reply::Started, descriptors)) => Ok(descriptors.into_iter().next()),
        Some((Reply::Failed(failure), _)) => Err(failure.into()),
        Some((Reply::Exited(_), _)) | None => Err(RuntimeError::HelperDied { id: id.to_owned() }),
    }
}

/// Clears a container away whose helper was killed, and records that nobody knows how it ended.
fn bury(entry: &Entry, record: &Record) -> Result<State, RuntimeError> {
    let action = || format!("clear container `{}` away", entry.id);
    entry
        .cgroup()
        .and_then(|group| group.remove())
        .during(action)?;
    if record.attached || record.started.is_none() {
        entry.remove().during(action)?;
        return Ok(State::Absent);
    }
    let exit = match entry.exit().during(action)? {
        Some(exit) => exit,
        None => entry.write_lost(record.started).during(action)?,
    };
    entry.trim().during(action)?;
    Ok(State::Exited(exit))
}

fn ends_within(process: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).unwrap_or_default();
    loop {
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
