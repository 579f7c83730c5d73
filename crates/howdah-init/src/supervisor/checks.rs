//! Health checks under way: started when somebody asks, ended by their answer or their deadline.

use std::collections::HashMap;
use std::path::Path;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::spawn::spawn_check;
use crate::ending::Ending;
use crate::fleet::Id;
use crate::lifecycle::Moment;
use crate::program::{Probe, Program};

/// The checks that run, by process id, and the last answer of each program.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    running: HashMap<i32, Running>,
    answers: HashMap<Id, Result<(), String>>,
}

#[derive(Debug)]
struct Running {
    id: Id,
    deadline: Moment,
    timed_out: bool,
}

impl Checks {
    /// Asks `program`, unless it has no check or is being asked already.
    pub(crate) fn start(&mut self, id: Id, program: &Program, executable: &Path, now: Moment) {
        let Some(check) = &program.check else { return };
        if self.is_running(id) {
            return;
        }
        let words = match &check.probe {
            Probe::Command(words) => words.clone(),
            Probe::Address(address) => {
                let timeout = check.timeout.as_secs().to_string();
                let executable = executable.to_string_lossy().into_owned();
                vec![
                    executable,
                    "health".to_owned(),
                    "--probe".to_owned(),
                    address.clone(),
                    "--timeout".to_owned(),
                    timeout,
                ]
            }
        };
        match spawn_check(program, &words) {
            Ok(pid) => {
                self.answers.remove(&id);
                let running = Running {
                    id,
                    deadline: now + check.timeout,
                    timed_out: false,
                };
                self.running.insert(pid, running);
            }
            Err(error) => {
                self.answers
                    .insert(id, Err(format!("check cannot start: {error}")));
            }
        }
    }

    pub(crate) fn is_running(&self, id: Id) -> bool {
        self.running.values().any(|running| running.id == id)
    }

    /// The last answer of `id`, if it was asked.
    pub(crate) fn answer(&self, id: Id) -> Option<&Result<(), String>> {
        self.answers.get(&id)
    }

    /// A process ended. `true` when it was a check.
    pub(crate) fn ended(&mut self, pid: i32, ending: &Ending) -> bool {
        let Some(running) = self.running.remove(&pid) else {
            return false;
        };
        let answer = match ending {
            _ if running.timed_out => Err("check did not end in time".to_owned()),
            Ending::Exited(0) => Ok(()),
            other => Err(format!("check {other}")),
        };
        // What it started and left belongs to nobody. ESRCH: it left nothing.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        self.answers.insert(running.id, answer);
        true
    }

    /// Kills those whose time is over.
    pub(crate) fn tick(&mut self, now: Moment) {
        for (pid, running) in &mut self.running {
            if running.deadline <= now && !running.timed_out {
                running.timed_out = true;
                // Its end comes as any other; ESRCH means that it is waiting to be reaped already.
                let _ = killpg(Pid::from_raw(*pid), Signal::SIGKILL);
            }
        }
    }

    /// When [`Checks::tick`] must be called next.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.running
            .values()
            .filter(|running| !running.timed_out)
            .map(|running| running.deadline)
            .min()
    }
}
