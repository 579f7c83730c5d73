//! `howdah up`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use howdah_compose::{
    Container, Desired, DiffOptions, Phase, Recreate, Request, Stack as StackState, UpRequest,
    WaitFor, diff, load_state, plans, wanted_services,
};
use howdah_image::Store;

use super::stack::{FileArgs, ProjectArgs, Stack, images, seconds};
use super::{CommandError, Context, up_attached, up_detached};

/// Build what changed, make and start containers, and show their output.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Leave the stack in the background, once it is healthy.
    #[arg(short, long)]
    detach: bool,
    /// Wait until everything is healthy; implies --detach (which does so, too).
    #[arg(long)]
    wait: bool,
    /// The most seconds to wait.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait_timeout: Option<Duration>,
    /// Build images (the default: what did not change is not built again).
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Do not build images.
    #[arg(long)]
    no_build: bool,
    /// Replace containers even if nothing changed.
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Leave containers that exist even if something changed.
    #[arg(long)]
    no_recreate: bool,
    /// Leave what the services depend on alone.
    #[arg(long)]
    no_deps: bool,
    /// Containers of a service.
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = scale)]
    scale: Vec<(String, u32)>,
    /// Stop everything as soon as one container has ended.
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_exit: bool,
    /// Exit with this service's exit code; implies --abort-on-container-exit.
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,
    /// Remove containers of services that are not in the Compose file any more.
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds a container that is replaced may take to stop [default: its service's].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// No colours in the output.
    #[arg(long)]
    no_color: bool,
    /// No container names in the output.
    #[arg(long)]
    no_log_prefix: bool,
    /// Show each line's time.
    #[arg(long)]
    timestamps: bool,
    /// Print what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Services; without any, all.
    services: Vec<String>,
}

fn scale(text: &str) -> Result<(String, u32), String> {
    let pair = text
        .split_once('=')
        .and_then(|(service, count)| Some((service.to_owned(), count.parse().ok()?)));
    pair.ok_or_else(|| format!("`{text}` is not SERVICE=NUMBER"))
}

pub(crate) fn run(context: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.services)?;
    let options = options(&stack, &args)?;
    if args.dry_run {
        return dry_run(context, &stack, &options);
    }
    let building = if args.no_build {
        images::Building::Never
    } else {
        images::Building::Changed
    };
    let wanted = wanted_services(stack.project(), &options);
    // Open until the containers are there: it holds their images.
    let store = Store::open(context.root())?;
    let images = images::resolve(&store, (context, stack.project()), &wanted, building)?;
    let is_detached = args.detach || args.wait;
    let request = UpRequest {
        project: stack.project().clone(),
        images,
        options,
        grace: args.timeout,
        wait: if is_detached {
            WaitFor::Healthy
        } else {
            WaitFor::Started
        },
    };
    let request = Request::Up(Box::new(request));
    if is_detached {
        return up_detached::run(&stack, &request, args.wait_timeout);
    }
    let style = super::stack::output::Style {
        no_prefix: args.no_log_prefix,
        no_colour: args.no_color,
        timestamps: args.timestamps,
    };
    let end = up_attached::End {
        abort_on_exit: args.abort_on_container_exit || args.exit_code_from.is_some(),
        exit_code_from: args.exit_code_from,
        grace: args.timeout,
    };
    up_attached::run(&stack, &request, style, end)
}

fn options(stack: &Stack, args: &Args) -> Result<DiffOptions, CommandError> {
    let services = &stack.project().services;
    let named = args
        .scale
        .iter()
        .map(|(service, _)| service)
        .chain(&args.exit_code_from);
    for name in named {
        if !services.contains_key(name) {
            return Err(CommandError::new(format!("no such service: {name}")));
        }
    }
    let recreate = match (args.force_recreate, args.no_recreate) {
        (true, _) => Recreate::Always,
        (_, true) => Recreate::Never,
        _ => Recreate::Changed,
    };
    Ok(DiffOptions {
        services: args.services.clone(),
        no_deps: args.no_deps,
        recreate,
        scale: args.scale.iter().cloned().collect(),
        remove_orphans: args.remove_orphans,
    })
}

/// The plan of what is there now; images that would have to be built or fetched first count as changed.
fn dry_run(
    context: &Context,
    stack: &Stack,
    options: &DiffOptions,
) -> Result<ExitCode, CommandError> {
    let project = stack.project();
    let images = images::present(context, project)?;
    for service in wanted_services(project, options)
        .iter()
        .filter(|name| !images.contains_key(*name))
    {
        let name = project
            .services
            .get(service)
            .map(|service| project.image_name(service))
            .unwrap_or_default();
        anstream::println!("build or pull image {name}");
    }
    let store = Store::open(context.root())?;
    let plans = plans(project, &images, &store)?;
    let actual = load_state(&stack.options.paths)?.unwrap_or_else(StackState::default);
    for action in diff(
        &Desired {
            project,
            plans: &plans,
        },
        &actual,
        options,
    ) {
        anstream::println!("{action}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints where the published ports can be reached.
pub(crate) fn print_addresses(containers: &[Container]) {
    let mut seen: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for container in containers
        .iter()
        .filter(|container| matches!(container.phase, Phase::Running { .. }))
    {
        for port in container
            .ports
            .iter()
            .filter(|port| port.protocol == howdah_compose::Protocol::Tcp)
        {
            let host = match port.host_ip {
                address if address.is_unspecified() || address.is_loopback() => {
                    "localhost".to_owned()
                }
                std::net::IpAddr::V4(address) => address.to_string(),
                std::net::IpAddr::V6(address) => format!("[{address}]"),
            };
            let addresses = seen.entry(container.service()).or_default();
            let address = format!("http://{host}:{}", port.published);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    let width = seen.keys().map(|name| name.len()).max().unwrap_or_default();
    for (service, addresses) in seen {
        anstream::eprintln!(
            "   {service:width$}  \u{1b}[36m{}\u{1b}[0m",
            addresses.join("  ")
        );
    }
}
