//! `howdah logs`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use howdah_compose::{Change, Client, Container, LogWatch, Message, Request, StackEvent, Subject};
use jiff::{Span, Timestamp};

use super::stack::output::{Output, Range, Style, reader};
use super::stack::{FileArgs, ProjectArgs, Stack};
use super::{CommandError, Context};

/// Show what containers print.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    /// Compose file; several are merged in order.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of each container's last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Only lines since a time (2026-01-02T03:04:05Z) or a duration (42m).
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only lines before a time or a duration ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Show each line's time.
    #[arg(short, long)]
    timestamps: bool,
    /// No colours.
    #[arg(long)]
    no_color: bool,
    /// No container names.
    #[arg(long)]
    no_log_prefix: bool,
    /// Which container of the service.
    #[arg(long, value_name = "NUMBER")]
    index: Option<u32>,
    /// Services; without any, all.
    services: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Tail(Option<usize>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        _ => text
            .parse()
            .map(|count| Tail(Some(count)))
            .map_err(|_| format!("`{text}` is neither a number nor `all`")),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let span: Span = text
        .parse()
        .map_err(|_| format!("`{text}` is neither a time nor a duration"))?;
    Timestamp::now()
        .checked_sub(span)
        .map_err(|error| error.to_string())
}

enum Heard {
    Grown,
    Event(StackEvent),
    End,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let stack = args
        .project
        .load(context, &FileArgs::new(args.files.clone()), &args.services)?;
    let watcher = if args.follow && stack.exists()? {
        Some(watch(&stack)?)
    } else {
        None
    };
    let containers = stack.containers()?;
    let is_wanted = |container: &Container| {
        (args.services.is_empty() || args.services.iter().any(|name| name == container.service()))
            && args.index.is_none_or(|index| container.index == index)
            && !container.one_off
    };
    let chosen: Vec<Container> = containers.into_iter().filter(is_wanted).collect();
    let style = Style {
        no_prefix: args.no_log_prefix,
        no_colour: args.no_color,
        timestamps: args.timestamps,
    };
    let mut output = Output::new(style);
    output.expect(&chosen);
    for container in &chosen {
        output.add(
            container,
            reader(&stack.options.paths.log(&container.id), true)?,
        );
    }
    let range = Range {
        tail: args.tail.0,
        since: args.since,
        until: args.until,
    };
    output.print_range(range)?;
    if let Some((client, log_watch)) = watcher {
        follow(&stack, client, log_watch, &mut output, &is_wanted)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Begins to listen before anything is read, so that nothing falls between.
fn watch(stack: &Stack) -> Result<(Client, LogWatch), CommandError> {
    let mut client = stack.client()?;
    client.request(&Request::Watch)?;
    Ok((client, LogWatch::new()?))
}

fn follow(
    stack: &Stack,
    mut client: Client,
    log_watch: LogWatch,
    output: &mut Output,
    is_wanted: &dyn Fn(&Container) -> bool,
) -> Result<(), CommandError> {
    let paths = &stack.options.paths;
    let log_watch = Arc::new(log_watch);
    let (sender, heard) = mpsc::channel();
    let growing = (Arc::clone(&log_watch), sender.clone());
    std::thread::spawn(
        move || while growing.0.wait().is_ok() && growing.1.send(Heard::Grown).is_ok() {},
    );
    std::thread::spawn(move || {
        while let Ok(Some(message)) = client.next_message() {
            if let Message::Event(event) = message
                && sender.send(Heard::Event(event)).is_err()
            {
                return;
            }
        }
        drop(sender.send(Heard::End));
    });
    let mut running: Vec<String> = Vec::new();
    for container in stack
        .containers()?
        .iter()
        .filter(|container| is_wanted(container))
    {
        log_watch.add(&paths.log(&container.id))?;
        if container.is_active() {
            running.push(container.id.clone());
        }
    }
    while !running.is_empty() {
        match heard.recv() {
            Ok(Heard::Grown) => output.print_new()?,
            Ok(Heard::Event(StackEvent {
                subject: Subject::Container { id, .. },
                change,
                ..
            })) => match change {
                Change::Starting | Change::Started | Change::Restarting
                    if !running.contains(&id) =>
                {
                    let containers = stack.containers()?;
                    if let Some(container) = containers
                        .iter()
                        .find(|container| container.id == id && is_wanted(container))
                    {
                        output.add(container, reader(&paths.log(&id), true)?);
                        log_watch.add(&paths.log(&id))?;
                        running.push(id);
                    }
                }
                Change::Exited { .. } => {
                    output.print_new()?;
                    let restarts = stack
                        .containers()?
                        .iter()
                        .any(|container| container.id == id && container.is_active());
                    running.retain(|known| *known != id || restarts);
                }
                _ => {}
            },
            Ok(Heard::Event(_)) => {}
            Ok(Heard::End) | Err(_) => break,
        }
    }
    output.print_new().map_err(CommandError::from)
}
