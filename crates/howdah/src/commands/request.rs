//! A request to the keeper whose progress is shown until it is done; Ctrl-C hurries it.

use std::process::ExitCode;
use std::sync::mpsc;

use howdah_compose::{Client, ClientError, Interjection, Message, Request};
use nix::sys::signal::Signal;

use super::stack::progress::Progress;
use super::stack::{Stack, failure};
use super::{CommandError, signals};
use signals::Watch;

/// What a command that waits for the keeper hears.
enum Heard {
    Message(Result<Option<Message>, ClientError>),
    Signal(Signal),
}

/// Sends a request and shows its progress. The first Ctrl-C kills what does not stop, the second
/// leaves the rest to the keeper.
pub(crate) fn run(stack: &Stack, request: &Request) -> Result<ExitCode, CommandError> {
    let mut client = stack.client()?;
    let (sender, heard) = mpsc::channel();
    let signalled = sender.clone();
    let _watch = Watch::start(move |signal| drop(signalled.send(Heard::Signal(signal))))?;
    let mut interjector = client.interjector()?;
    client.request(request)?;
    std::thread::spawn(move || listen(client, &sender));
    let mut progress = Progress::new(true);
    let mut is_hurried = false;
    while let Ok(heard) = heard.recv() {
        match heard {
            Heard::Message(Ok(Some(Message::Event(event)))) => progress.show(&event),
            Heard::Message(Ok(Some(Message::Done { .. }))) => return Ok(ExitCode::SUCCESS),
            Heard::Message(Ok(Some(Message::Failed { message, hint }))) => {
                return Err(failure::tell(
                    message,
                    hint,
                    &stack.containers()?,
                    &stack.options.paths,
                ));
            }
            Heard::Message(Ok(Some(_))) => {}
            Heard::Message(Ok(None)) => break,
            Heard::Message(Err(error)) => return Err(error.into()),
            Heard::Signal(signal) if is_hurried => return Ok(signals::exit_code(signal)),
            Heard::Signal(_) => {
                is_hurried = true;
                anstream::eprintln!(
                    "killing what does not stop; press Ctrl-C again to leave it to the keeper"
                );
                interjector.say(&Interjection::Hurry);
            }
        }
    }
    Err(failure::keeper_lost(&stack.options.paths))
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
