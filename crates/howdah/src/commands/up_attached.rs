//! `howdah up`: shows the containers' output until they have all ended or Ctrl-C stops them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use howdah_compose::{
    Change, Client, ClientError, Container, Interjection, Interjector, LogWatch, Message, Request,
    StackEvent, Subject,
};
use jiff::Timestamp;

use super::CommandError;
use super::signals::Watch;
use super::stack::output::{Output, Range, Style, reader};
use super::stack::progress::Progress;
use super::stack::{Stack, failure};
use super::up::print_addresses;

/// How long events told before the last answer may take to arrive.
const LAST_EVENTS: Duration = Duration::from_millis(200);

/// When and how an attached `up` ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    /// With the first container that ends.
    pub(crate) abort_on_exit: bool,
    /// With this service's exit code.
    pub(crate) exit_code_from: Option<String>,
    /// A stop deadline other than the services'.
    pub(crate) grace: Option<Duration>,
}

/// What an attached `up` hears.
enum Heard {
    /// From the connection that watches.
    Watched(Result<Option<Message>, ClientError>),
    /// From the connection that asked for something.
    Answered(Result<Option<Message>, ClientError>),
    Grown,
    Signal,
}

/// Where it is.
enum Stage {
    ComingUp,
    Running,
    Stopping(Interjector),
}

struct Attached<'a> {
    stack: &'a Stack,
    output: Output,
    /// What stopped containers wrote before this `up` is not its output.
    began: Timestamp,
    progress: Progress,
    log_watch: Arc<LogWatch>,
    sender: mpsc::Sender<Heard>,
    end: End,
    stage: Stage,
    /// The containers that run, by id.
    running: BTreeMap<String, String>,
    code: Option<i32>,
    failure: Option<(String, Option<String>)>,
}

/// Brings the stack up, and stays.
pub(crate) fn run(
    stack: &Stack,
    request: &Request,
    style: Style,
    end: End,
) -> Result<ExitCode, CommandError> {
    let mut watch = stack.client()?;
    watch.request(&Request::Watch)?;
    let mut asking = stack.client()?;
    asking.request(request)?;
    let (sender, heard) = mpsc::channel();
    let signalled = sender.clone();
    let _watch = Watch::start(move |_| drop(signalled.send(Heard::Signal)))?;
    listen(watch, sender.clone(), Heard::Watched);
    listen(asking, sender.clone(), Heard::Answered);
    let log_watch = Arc::new(LogWatch::new()?);
    let (growing, grown) = (Arc::clone(&log_watch), sender.clone());
    std::thread::spawn(move || while growing.wait().is_ok() && grown.send(Heard::Grown).is_ok() {});
    let attached = Attached {
        stack,
        output: Output::new(style),
        began: Timestamp::now(),
        progress: Progress::new(false),
        log_watch,
        sender,
        end,
        stage: Stage::ComingUp,
        running: BTreeMap::new(),
        code: None,
        failure: None,
    };
    attached.run(&heard)
}

fn listen(
    mut client: Client,
    sender: mpsc::Sender<Heard>,
    make: fn(Result<Option<Message>, ClientError>) -> Heard,
) {
    std::thread::spawn(move || {
        loop {
            let message = client.next_message();
            let is_last = !matches!(message, Ok(Some(_)));
            if sender.send(make(message)).is_err() || is_last {
                return;
            }
        }
    });
}

impl Attached<'_> {
    fn run(mut self, heard: &mpsc::Receiver<Heard>) -> Result<ExitCode, CommandError> {
        while let Ok(next) = heard.recv() {
            match next {
                Heard::Grown => self.print_new()?,
                Heard::Watched(Ok(Some(Message::Event(event)))) => self.event(&event)?,
                Heard::Answered(Ok(Some(Message::Done { containers }))) => match self.stage {
                    Stage::ComingUp => {
                        self.stage = Stage::Running;
                        print_addresses(&containers);
                    }
                    Stage::Stopping(_) => return self.drain(heard),
                    Stage::Running => {}
                },
                Heard::Answered(Ok(Some(Message::Failed { message, hint }))) => {
                    if matches!(self.stage, Stage::Stopping(_)) {
                        return Err(CommandError::new(message));
                    }
                    self.failure = Some((message, hint));
                    self.stop()?;
                }
                Heard::Signal => self.interrupted()?,
                Heard::Answered(_) | Heard::Watched(Ok(Some(_))) => {}
                Heard::Watched(_) => {
                    return Err(CommandError::new(format!(
                        "lost the keeper of stack `{}`",
                        self.stack.project().name
                    ))
                    .hint("the containers go on; `howdah logs -f` shows their output again"));
                }
            }
            if matches!(self.stage, Stage::Running) && self.running.is_empty() {
                return self.finish();
            }
        }
        Ok(ExitCode::FAILURE)
    }

    /// What was told on the other connection may still be on its way.
    fn drain(mut self, heard: &mpsc::Receiver<Heard>) -> Result<ExitCode, CommandError> {
        while !self.running.is_empty()
            && let Ok(next) = heard.recv_timeout(LAST_EVENTS)
        {
            if let Heard::Watched(Ok(Some(Message::Event(event)))) = next {
                self.event(&event)?;
            }
        }
        self.finish()
    }

    fn event(&mut self, event: &StackEvent) -> Result<(), CommandError> {
        let Subject::Container {
            id, name, service, ..
        } = &event.subject
        else {
            self.progress.show(event);
            return Ok(());
        };
        match &event.change {
            Change::Starting | Change::Restarting | Change::Unchanged => {
                let containers = self.stack.containers()?;
                self.output.expect(&containers);
                if let Some(container) = containers.iter().find(|container| container.id == *id) {
                    self.follow(container, event.change == Change::Starting)?;
                }
            }
            Change::Exited { code, .. } => {
                self.print_new()?;
                anstream::println!("{name} exited with code {code}");
                self.exited(id, service, *code)?;
            }
            Change::Started | Change::Healthy | Change::Waiting | Change::Stopping => {}
            _ => self.progress.show(event),
        }
        Ok(())
    }

    fn print_new(&mut self) -> Result<(), CommandError> {
        let range = Range {
            since: Some(self.began),
            ..Range::default()
        };
        Ok(self.output.print_range(range)?)
    }

    fn follow(&mut self, container: &Container, from_start: bool) -> Result<(), CommandError> {
        if container.one_off {
            return Ok(());
        }
        self.running
            .insert(container.id.clone(), container.service().to_owned());
        if !container.plan.service.detached {
            let log = self.stack.options.paths.log(&container.id);
            let is_new = from_start && container.restarts == 0;
            self.output.add(container, reader(&log, is_new)?);
            self.log_watch.add(&log)?;
        }
        Ok(())
    }

    fn exited(&mut self, id: &str, service: &str, code: i32) -> Result<(), CommandError> {
        let containers = self.stack.containers()?;
        let restarts = containers
            .iter()
            .any(|container| container.id == id && container.is_active());
        if restarts {
            return Ok(());
        }
        self.running.remove(id);
        let is_asked_for = self
            .end
            .exit_code_from
            .as_ref()
            .is_none_or(|wanted| wanted == service);
        if is_asked_for && self.code.is_none() {
            self.code = Some(code);
        }
        if self.end.abort_on_exit && !matches!(self.stage, Stage::Stopping(_)) {
            anstream::eprintln!("aborting on container exit...");
            self.stop()?;
        }
        Ok(())
    }

    fn interrupted(&mut self) -> Result<(), CommandError> {
        if let Stage::Stopping(interjector) = &mut self.stage {
            anstream::eprintln!("killing what does not stop...");
            interjector.say(&Interjection::Hurry);
            return Ok(());
        }
        anstream::eprintln!("gracefully stopping... (press Ctrl-C again to kill)");
        self.stop()
    }

    fn stop(&mut self) -> Result<(), CommandError> {
        let mut client = self.stack.client()?;
        client.request(&Request::Stop {
            services: Vec::new(),
            grace: self.end.grace,
        })?;
        self.stage = Stage::Stopping(client.interjector()?);
        listen(client, self.sender.clone(), Heard::Answered);
        Ok(())
    }

    fn finish(mut self) -> Result<ExitCode, CommandError> {
        self.print_new()?;
        if let Some((message, hint)) = self.failure.take() {
            return Err(failure::tell(message, hint, &[], &self.stack.options.paths));
        }
        let code = if self.end.abort_on_exit {
            self.code.unwrap_or_default()
        } else {
            0
        };
        Ok(super::stack::attach::code(code))
    }
}
