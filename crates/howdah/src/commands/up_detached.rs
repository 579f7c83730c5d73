//! `howdah up -d`: waits until the stack is healthy, then leaves it to its keeper.

use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use howdah_compose::{Client, ClientError, Interjection, Message, Request};
use nix::sys::signal::Signal;

use super::CommandError;
use super::signals::{self, Watch};
use super::stack::progress::Progress;
use super::stack::{Stack, failure};
use super::up::print_addresses;

enum Heard {
    Message(Result<Option<Message>, ClientError>),
    Signal(Signal),
}

/// Brings the stack up and says where it is. Ctrl-C leaves what has been started as it is, and starts nothing more.
pub(crate) fn run(
    stack: &Stack,
    request: &Request,
    patience: Option<Duration>,
) -> Result<ExitCode, CommandError> {
    let mut client = stack.client()?;
    let mut interjector = client.interjector()?;
    client.request(request)?;
    let (sender, heard) = mpsc::channel();
    let signalled = sender.clone();
    let _watch = Watch::start(move |signal| drop(signalled.send(Heard::Signal(signal))))?;
    std::thread::spawn(move || listen(client, &sender));
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut progress = Progress::new(true);
    loop {
        let next = match deadline {
            Some(deadline) => {
                heard.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(Heard::Message(Ok(Some(Message::Event(event))))) => progress.show(&event),
            Ok(Heard::Message(Ok(Some(Message::Done { containers })))) => {
                print_addresses(&containers);
                return Ok(ExitCode::SUCCESS);
            }
            Ok(Heard::Message(Ok(Some(Message::Failed { message, hint })))) => {
                return Err(failure::tell(
                    message,
                    hint,
                    &stack.containers()?,
                    &stack.options.paths,
                ));
            }
            Ok(Heard::Message(Ok(Some(_)))) => {}
            Ok(Heard::Message(Err(error))) => return Err(error.into()),
            Ok(Heard::Signal(signal)) => {
                interjector.say(&Interjection::Cancel);
                anstream::eprintln!(
                    "interrupted: what has been started stays; `howdah down` removes it"
                );
                return Ok(signals::exit_code(signal));
            }
            Err(RecvTimeoutError::Timeout) => {
                let seconds = patience.unwrap_or_default().as_secs();
                let message = format!("the stack is not healthy after {seconds} s");
                return Err(failure::tell(
                    message,
                    None,
                    &stack.containers()?,
                    &stack.options.paths,
                ));
            }
            Ok(Heard::Message(Ok(None))) | Err(RecvTimeoutError::Disconnected) => {
                return Err(failure::keeper_lost(&stack.options.paths));
            }
        }
    }
}

fn listen(mut client: Client, sender: &mpsc::Sender<Heard>) {
    loop {
        let message = client.next_message();
        let is_last = !matches!(message, Ok(Some(_)));
        if sender.send(Heard::Message(message)).is_err() || is_last {
            return;
        }
    }
}
