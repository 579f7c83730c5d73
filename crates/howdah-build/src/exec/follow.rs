//! A running container: its output passed on, its end awaited, or brought about when the build is cancelled.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use howdah_runtime::{Exit, Running};
use howdah_solver::Cancel;
use nix::libc::SIGKILL;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::RunError;
use super::output::{Tail, read_lines};
use crate::event::Stream;

/// Gives every line to `sink` until the container has ended. Gives back the last lines too.
pub(super) fn follow(
    running: &mut Running,
    sink: &(dyn Fn(Stream, String) + Sync),
    cancel: &Cancel,
) -> Result<(Exit, Vec<String>), RunError> {
    let tail = Mutex::new(Tail::default());
    let pass_on = |stream: Stream| {
        let tail = &tail;
        move |line: String| {
            tail.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line.clone());
            sink(stream, line);
        }
    };
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    let exit = std::thread::scope(|scope| {
        // A broken pipe ends the output, and the exit code says the rest.
        scope.spawn(|| stdout.map(|file| read_lines(file, pass_on(Stream::Stdout))));
        scope.spawn(|| stderr.map(|file| read_lines(file, pass_on(Stream::Stderr))));
        let exit = until_end(running, cancel);
        if exit.is_err() {
            // The readers end with the container. If it cannot be killed, it is gone.
            drop(running.kill(SIGKILL));
        }
        exit
    })?;
    let tail = tail.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((exit, tail.into_lines()))
}

fn until_end(running: &mut Running, cancel: &Cancel) -> Result<Exit, RunError> {
    let wait = |errno: Errno| RunError::io("wait for", Path::new("the container"))(errno.into());
    let fired = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(wait)?);
    let hook = cancel.on_cancel({
        let fired = Arc::clone(&fired);
        move || {
            // An eventfd that was never read takes a write.
            let _ = rustix::io::write(&*fired, &1_u64.to_ne_bytes());
        }
    });
    let stopped = loop {
        let container = running.as_fd();
        let mut waits = [
            PollFd::new(&container, PollFlags::IN),
            PollFd::new(&*fired, PollFlags::IN),
        ];
        match poll(&mut waits, None) {
            Ok(_) => break !waits[1].revents().is_empty(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(wait(errno)),
        }
    };
    if stopped {
        running.kill(SIGKILL)?;
    }
    let exit = running.end()?;
    drop(hook);
    Ok(exit)
}
