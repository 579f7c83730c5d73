//! `howdah run`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use howdah_compose::{
    Client, DiffOptions, Interjection, Message, MountSource, Project, Request, RunRequest, Service,
    ServiceImage, ServiceMount, UpRequest, WaitFor, split_words, wanted_services,
};
use howdah_image::Store;
use howdah_runtime::{ContainerSpec, Runtime};
use rustix::fs::FlockOperation;

use super::exec::{failed, with_value};
use super::stack::progress::Progress;
use super::stack::{FileArgs, ProjectArgs, Stack, attach, failure, images};
use super::{CommandError, Context};

/// Run a one-off command in a new container of a service.
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
    /// Remove the container when it has ended.
    #[arg(long)]
    rm: bool,
    /// Environment variable; without a value it is taken from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// User, `name`, `uid` or `uid:gid`.
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Entrypoint instead of the image's.
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// The container's name.
    #[arg(long)]
    name: Option<String>,
    /// Do not start what the service depends on.
    #[arg(long)]
    no_deps: bool,
    /// No terminal [default: one when standard input and output are].
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    no_tty: bool,
    /// Keep standard input open (always done; here for Docker's `-it`).
    #[arg(short, long)]
    interactive: bool,
    /// Publish the service's ports.
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Answer to the service's network names.
    #[arg(long)]
    use_aliases: bool,
    /// Volume or bind, `SOURCE:TARGET[:MODE]`.
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Do not build images.
    #[arg(long)]
    no_build: bool,
    /// Service.
    service: String,
    /// Command and its arguments instead of the service's.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let mut stack = args
        .project
        .load(context, &args.file, std::slice::from_ref(&args.service))?;
    let terminal = attach::wants_terminal(args.no_tty);
    let project = stack.project().clone();
    let options = DiffOptions {
        services: vec![args.service.clone()],
        no_deps: args.no_deps,
        ..DiffOptions::default()
    };
    let wanted = wanted_services(&project, &options);
    let building = if args.no_build {
        images::Building::Never
    } else {
        images::Building::Changed
    };
    // Open until the container is there: it holds its image.
    let store = Store::open(context.root())?;
    let images = images::resolve(&store, (context, &project), &wanted, building)?;
    let dependencies: BTreeSet<String> = wanted
        .into_iter()
        .filter(|name| *name != args.service)
        .collect();
    if !dependencies.is_empty() {
        bring_up(&stack, &project, &dependencies, &images)?;
    }
    let image = images.get(&args.service).cloned();
    let image = image
        .ok_or_else(|| CommandError::new(format!("service `{}` has no image", args.service)))?;
    let project = &mut stack.loaded.project;
    if let Some(service) = project.services.get_mut(&args.service) {
        change(service, args, terminal)?;
    }
    let request = RunRequest {
        project: project.clone(),
        service: args.service.clone(),
        image,
        name: args.name.clone(),
        no_deps: args.no_deps,
        service_ports: args.service_ports,
        use_aliases: args.use_aliases,
        remove: args.rm,
    };
    one_off(context, &stack, request, terminal)
}

/// What the command line changes about the service.
fn change(service: &mut Service, args: &Args, terminal: bool) -> Result<(), CommandError> {
    let section = &mut service.container;
    section.container_name = None;
    section.tty = terminal;
    section.stdin_open = true;
    if let Some(entrypoint) = &args.entrypoint {
        section.entrypoint = Some(split_words(entrypoint)?);
        section.command = None;
    }
    if !args.command.is_empty() {
        section.command = Some(args.command.clone());
    }
    for pair in &args.env {
        let pair = with_value(pair);
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        section
            .environment
            .insert(name.to_owned(), Some(value.to_owned()));
    }
    section.user = args.user.clone().or(section.user.take());
    section.working_dir = args.workdir.clone().or(section.working_dir.take());
    for text in &args.volume {
        section.mounts.push(mount(text)?);
    }
    // Its health is its exit code.
    section.healthcheck = None;
    Ok(())
}

/// Binds only: a volume would have to be declared in the Compose file.
fn mount(text: &str) -> Result<ServiceMount, CommandError> {
    let wrong = || CommandError::new(format!("`{text}` is not SOURCE:TARGET[:ro]")).code(2);
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [source, target] => (*source, *target, "rw"),
        [source, target, mode @ ("ro" | "rw")] => (*source, *target, *mode),
        _ => return Err(wrong()),
    };
    if !source.starts_with(['.', '/', '~']) || !target.starts_with('/') {
        return Err(wrong().hint("named volumes are declared in the Compose file"));
    }
    let source = MountSource::Bind {
        path: std::path::absolute(source)?,
        create: true,
    };
    Ok(ServiceMount {
        target: target.to_owned(),
        read_only: mode == "ro",
        source,
    })
}

/// Starts what the service depends on.
fn bring_up(
    stack: &Stack,
    project: &Project,
    services: &BTreeSet<String>,
    images: &std::collections::BTreeMap<String, ServiceImage>,
) -> Result<(), CommandError> {
    let options = DiffOptions {
        services: services.iter().cloned().collect(),
        ..DiffOptions::default()
    };
    let request = UpRequest {
        project: project.clone(),
        images: images.clone(),
        options,
        grace: None,
        wait: WaitFor::Started,
    };
    let mut client = stack.client()?;
    client.request(&Request::Up(Box::new(request)))?;
    let mut progress = Progress::new(true);
    while let Some(message) = client.next_message()? {
        match message {
            Message::Event(event) => progress.show(&event),
            Message::Done { .. } => return Ok(()),
            Message::Failed { message, hint } => {
                return Err(failure::tell(
                    message,
                    hint,
                    &stack.containers()?,
                    &stack.options.paths,
                ));
            }
            _ => {}
        }
    }
    Err(failure::keeper_lost(&stack.options.paths))
}

/// The keeper prepares the container and keeps its network; this process runs it, so that it ends with it.
fn one_off(
    context: &Context,
    stack: &Stack,
    request: RunRequest,
    terminal: bool,
) -> Result<ExitCode, CommandError> {
    let mut client = stack.client()?;
    client.request(&Request::Run(Box::new(request)))?;
    let spec = loop {
        match client.next_message()? {
            Some(Message::Spec { spec, .. }) => break *spec,
            Some(Message::Failed { message, hint }) => {
                let error = CommandError::new(message).code(125);
                return Err(match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                });
            }
            Some(_) => {}
            None => return Err(failure::keeper_lost(&stack.options.paths)),
        }
    };
    let code = execute(context, stack, &spec, &mut client, terminal);
    let mut interjector = client.interjector()?;
    interjector.say(&Interjection::Finished {
        code: code.as_ref().map_or(125, |code| *code),
    });
    // The keeper answers when the container is removed, if it is to be.
    while let Ok(Some(message)) = client.next_message() {
        if matches!(message, Message::Done { .. } | Message::Failed { .. }) {
            break;
        }
    }
    code.map(attach::code)
}

fn execute(
    context: &Context,
    stack: &Stack,
    spec: &ContainerSpec,
    client: &mut Client,
    terminal: bool,
) -> Result<i32, CommandError> {
    let lock = stack.options.paths.container(&spec.id).join("lock");
    let held = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock)?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive).map_err(std::io::Error::from)?;
    let runtime = Runtime::new(context.runtime_directory(), &stack.options.executable)?;
    let running = runtime.run(spec, attach::stdio(terminal)).map_err(failed)?;
    client.interjector()?.say(&Interjection::Running);
    Ok(attach::attend(running)?.code)
}
