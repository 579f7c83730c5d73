//! `howdah ps`.

use std::process::ExitCode;

use howdah_compose::{BoundPort, Container, HealthStatus, Millis, Phase};
use jiff::Timestamp;
use serde_json::json;

use super::display::{ListFormat, Table, age, human_duration, shorten};
use super::stack::{FileArgs, ProjectArgs};
use super::{CommandError, Context};

/// List containers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Also those that do not run.
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    format: ListFormat,
    /// Print ids only.
    #[arg(short, long)]
    quiet: bool,
    /// Print the services' names only.
    #[arg(long)]
    services: bool,
    /// Services; without any, all.
    names: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.names)?;
    let mut containers = stack.containers()?;
    containers.retain(|container| {
        let is_listed = args.all
            || matches!(
                container.phase,
                Phase::Running { .. } | Phase::Stopping { .. } | Phase::Backoff { .. }
            );
        is_listed
            && (args.names.is_empty() || args.names.iter().any(|name| name == container.service()))
    });
    if args.quiet {
        for container in &containers {
            anstream::println!("{}", container.id);
        }
    } else if args.services {
        let names: std::collections::BTreeSet<&str> =
            containers.iter().map(Container::service).collect();
        for name in names {
            anstream::println!("{name}");
        }
    } else if args.format.is_json() {
        for container in &containers {
            anstream::println!("{}", as_json(container, &stack.project().name));
        }
    } else {
        table(&containers).print();
    }
    Ok(ExitCode::SUCCESS)
}

fn table(containers: &[Container]) -> Table<7> {
    let mut table = Table::new([
        "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
    ]);
    for container in containers {
        table.row([
            container.name.clone(),
            container.plan.image_name.clone(),
            format!("\"{}\"", shorten(&container.plan.command.join(" "), 20)),
            container.service().to_owned(),
            age(Some(&timestamp(container.created).to_string())),
            status(container),
            ports(container),
        ]);
    }
    table
}

fn timestamp(millis: Millis) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(millis.0).unwrap_or(i64::MAX))
        .unwrap_or(Timestamp::MAX)
}

fn since(millis: Millis) -> String {
    human_duration(Millis::now().since(millis).as_secs())
}

/// Docker's words.
fn status(container: &Container) -> String {
    match &container.phase {
        Phase::Waiting | Phase::Created => "Created".to_owned(),
        Phase::Starting => "Starting".to_owned(),
        Phase::Running { started, .. } => format!("Up {}{}", since(*started), health(container)),
        Phase::Stopping { .. } => "Stopping".to_owned(),
        Phase::Backoff { exit, .. } => {
            format!("Restarting ({}) {} ago", exit.code, since(exit.finished))
        }
        Phase::Exited(ended) => format!("Exited ({}) {} ago", ended.code, since(ended.finished)),
        Phase::Failed { message } => format!("Failed: {message}"),
        Phase::Removing => "Removal In Progress".to_owned(),
    }
}

fn health(container: &Container) -> &'static str {
    match container.health() {
        None => "",
        Some(HealthStatus::Starting) => " (health: starting)",
        Some(HealthStatus::Healthy) => " (healthy)",
        Some(HealthStatus::Unhealthy) => " (unhealthy)",
    }
}

fn ports(container: &Container) -> String {
    let show = |port: &BoundPort| {
        let address = std::net::SocketAddr::new(port.host_ip, port.published);
        format!("{address}->{}/{}", port.target, port.protocol)
    };
    open_ports(container)
        .iter()
        .map(show)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Closed while it does not run; the numbers are kept for its next start.
fn open_ports(container: &Container) -> &[BoundPort] {
    match container.phase {
        Phase::Running { .. } | Phase::Stopping { .. } => &container.ports,
        _ => &[],
    }
}

/// The fields of `docker compose ps --format json`.
fn as_json(container: &Container, project: &str) -> serde_json::Value {
    let (state, code) = match &container.phase {
        Phase::Running { .. } | Phase::Stopping { .. } => ("running", 0),
        Phase::Backoff { exit, .. } => ("restarting", exit.code),
        Phase::Exited(ended) => ("exited", ended.code),
        Phase::Removing => ("removing", 0),
        Phase::Failed { .. } => ("dead", 128),
        Phase::Waiting | Phase::Created | Phase::Starting => ("created", 0),
    };
    let publishers: Vec<_> = open_ports(container)
        .iter()
        .map(|port| {
            json!({ "URL": port.host_ip, "TargetPort": port.target, "PublishedPort": port.published, "Protocol": port.protocol })
        })
        .collect();
    let health = health(container).trim_matches([' ', '(', ')']);
    json!({
        "ID": container.id.get(..12).unwrap_or(&container.id),
        "Name": container.name,
        "Image": container.plan.image_name,
        "Command": container.plan.command.join(" "),
        "Project": project,
        "Service": container.service(),
        "CreatedAt": timestamp(container.created).to_string(),
        "State": state,
        "Status": status(container),
        "Health": health.strip_prefix("health: ").unwrap_or(health),
        "ExitCode": code,
        "Publishers": publishers,
        "Networks": container.addresses,
    })
}
