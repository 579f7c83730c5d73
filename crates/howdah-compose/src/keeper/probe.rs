//! One health check: a process in the container, with a deadline.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use howdah_runtime::{ExecSpec, Runtime, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::stack::{HealthPlan, MOST_OUTPUT, Probe};

const SIGKILL: i32 = 9;

/// Runs the check and waits for it. Blocks.
pub(crate) fn run(runtime: &Runtime, id: &str, plan: &HealthPlan, shell: &[String]) -> Probe {
    match attempt(runtime, id, plan, shell) {
        Ok(probe) => probe,
        Err(error) => Probe {
            passed: false,
            output: error.to_string(),
        },
    }
}

fn attempt(
    runtime: &Runtime,
    id: &str,
    plan: &HealthPlan,
    shell: &[String],
) -> Result<Probe, Box<dyn std::error::Error>> {
    let spec = ExecSpec {
        args: command(&plan.test, shell),
        ..ExecSpec::default()
    };
    let mut running = runtime.exec(id, &spec, Stdio::Piped)?;
    let deadline = Instant::now() + plan.timeout;
    let mut output = Vec::new();
    let mut pipes: Vec<std::fs::File> = [running.stdout.take(), running.stderr.take()]
        .into_iter()
        .flatten()
        .collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            running.kill(SIGKILL)?;
            running.wait()?;
            let output = format!("the check took longer than {}", shown(plan.timeout));
            return Ok(Probe {
                passed: false,
                output,
            });
        }
        let ended = {
            let mut descriptors = vec![PollFd::new(&running, PollFlags::IN)];
            descriptors.extend(
                pipes
                    .iter()
                    .map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
            );
            poll(&mut descriptors, Some(&Timespec::try_from(left)?))?;
            let ready: Vec<bool> = descriptors
                .iter()
                .map(|descriptor| !descriptor.revents().is_empty())
                .collect();
            drop(descriptors);
            drain(&mut pipes, &ready[1..], &mut output);
            ready[0]
        };
        if ended {
            // All output is in the pipes by now; what the check left running may hold them open, so it is not waited for.
            let code = running.wait()?.code;
            let text = String::from_utf8_lossy(&output).trim().to_owned();
            return Ok(Probe {
                passed: code == 0,
                output: text,
            });
        }
    }
}

fn drain(pipes: &mut Vec<std::fs::File>, ready: &[bool], output: &mut Vec<u8>) {
    let mut ready = ready.iter();
    pipes.retain_mut(|pipe| {
        if !ready.next().is_some_and(|ready| *ready) {
            return true;
        }
        let mut buffer = [0u8; MOST_OUTPUT];
        let Ok(length) = pipe.read(&mut buffer) else {
            return false;
        };
        let room = MOST_OUTPUT.saturating_sub(output.len());
        output.extend_from_slice(&buffer[..length.min(room)]);
        length > 0
    });
}

/// `CMD` is run as it is, `CMD-SHELL` by the image's `SHELL`.
fn command(test: &[String], shell: &[String]) -> Vec<String> {
    match test.split_first() {
        Some((kind, rest)) if kind == "CMD-SHELL" => {
            let default = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if shell.is_empty() {
                &default[..]
            } else {
                shell
            };
            shell.iter().cloned().chain([rest.join(" ")]).collect()
        }
        Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
        _ => test.to_vec(),
    }
}

fn shown(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_shells() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(command(&words(&["CMD", "a", "b"]), &[]), ["a", "b"]);
        assert_eq!(
            command(&words(&["CMD-SHELL", "a && b"]), &[]),
            ["/bin/sh", "-c", "a && b"]
        );
        assert_eq!(
            command(&words(&["CMD-SHELL", "a"]), &words(&["/bin/bash", "-ec"])),
            ["/bin/bash", "-ec", "a"]
        );
    }
}
