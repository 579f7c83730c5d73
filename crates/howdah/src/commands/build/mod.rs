//! `howdah build`.

pub(crate) mod cache;
mod check;
pub(crate) mod compose;
mod contexts;
mod failure;
mod foreign;
mod inputs;
mod insight;
mod interrupt;
mod limits;
mod live;
mod outputs;
mod plain;
mod progress;
pub(crate) mod quota;
mod ssh;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use howdah_build::{Builder, Built, CacheSource, CacheTarget, Entitlement, Options, Target};
use howdah_image::{Platform, Reference, Registry, RegistryOptions, Store};
use howdah_runtime::Runtime;

use super::cache::filter;
use super::transfer::{self, registry_options};
use super::{CommandError, Context, platform, rootless};
use check::CheckArgs;
use foreign::ForeignArgs;
use insight::InsightArgs;
use limits::LimitArgs;
use outputs::OutputArgs;
pub(crate) use progress::Mode;
use progress::Progress;

/// Build images: the one of a Dockerfile, or all that a compose.yaml names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build context: a directory, the address of a Git repository or of an archive, - for an archive or a Dockerfile
    /// on the standard input; or services of the compose.yaml here; a directory named like a service is written ./NAME
    /// [default: all of the compose.yaml here, else the directory itself].
    #[arg(value_name = "PATH|URL|-|SERVICE")]
    operands: Vec<String>,
    /// The Dockerfile; - reads it from the standard input [default: PATH/Dockerfile].
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name the image; may be given several times.
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    tags: Vec<Reference>,
    /// The stage to build instead of the last one.
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// What the image is for, such as linux/arm64; several make one image of several platforms.
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_parser = platform::parse)]
    platforms: Vec<Platform>,
    /// A value for ARG; without one it is taken from the environment.
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    arguments: Vec<String>,
    /// A secret for RUN --mount=type=secret.
    #[arg(long = "secret", value_name = "id=NAME[,src=FILE|,env=VARIABLE]")]
    secrets: Vec<String>,
    /// Forward an SSH agent to RUN --mount=type=ssh: the one of `SSH_AUTH_SOCK`, or another socket; may be given several times.
    #[arg(long, value_name = "default|NAME[=SOCKET]", num_args = 0..=1, default_missing_value = "default")]
    ssh: Vec<String>,
    // An attribute, because rustdoc would take the forms for links.
    #[arg(
        long = "build-context",
        value_name = "NAME=PLACE",
        help = "A name for FROM and COPY --from, and what it stands for: a directory, docker-image://IMAGE, \
                oci-layout://DIR[:TAG|@DIGEST], the address of a Git repository or of a file"
    )]
    build_contexts: Vec<String>,
    /// A label for the image.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// The network of RUN.
    #[arg(long, value_name = "default|host|none", default_value = "default")]
    network: String,
    /// A line of /etc/hosts for RUN.
    #[arg(long = "add-host", value_name = "NAME:IP")]
    add_hosts: Vec<String>,
    /// Allow steps what is dangerous: RUN --network=host, RUN --security=insecure.
    #[arg(long, value_name = "network.host|security.insecure", value_parser = inputs::entitlement)]
    allow: Vec<Entitlement>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Execute every step.
    #[arg(long)]
    no_cache: bool,
    /// Execute every step of these stages.
    #[arg(
        long,
        value_name = "STAGE",
        value_delimiter = ',',
        conflicts_with = "no_cache"
    )]
    no_cache_filter: Vec<String>,
    /// A cache elsewhere to look into; may be given several times.
    #[arg(long, value_name = "type=registry,ref=NAME|type=local,src=DIR")]
    cache_from: Vec<CacheSource>,
    /// Write every step's result to a cache elsewhere: mode=min only those of the image, mounts=true cache mounts too.
    #[arg(long, value_name = "type=registry,ref=NAME|type=local,dest=DIR")]
    cache_to: Vec<CacheTarget>,
    /// Ask the registry for newer base images.
    #[arg(long)]
    pull: bool,
    /// How progress looks.
    #[arg(long, value_enum, default_value_t = Mode::Auto, env = "HOWDAH_PROGRESS", hide_env_values = true)]
    progress: Mode,
    /// Print the image's id only.
    #[arg(short, long)]
    quiet: bool,
    /// The time of everything new in the images, in seconds since 1970 [default: the base image's].
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        hide_env_values = true
    )]
    source_date_epoch: Option<i64>,
    #[command(flatten)]
    outputs: OutputArgs,
    #[command(flatten)]
    checks: CheckArgs,
    #[command(flatten)]
    insight: InsightArgs,
    /// Keep the build cache below this size [default: the variable `HOWDAH_CACHE_QUOTA`, else 80 % of the disk, at most 100 GB, and a
    /// fifth of the disk free].
    #[arg(long, value_name = "SIZE", value_parser = filter::size)]
    cache_quota: Option<u64>,
    #[command(flatten)]
    foreign: ForeignArgs,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let began = Instant::now();
    args.foreign.check()?;
    if let Some(format) = args.checks.wanted() {
        return check::run(context, args, format);
    }
    let mut options = inputs::options(args)?;
    let store = Store::open(context.root())?;
    let targets = match Subject::of(args)? {
        Subject::Services(directory, names) => {
            compose::load(&store, (&directory, &names), args, &mut options)?
        }
        Subject::Context(operand) => {
            let target = inputs::target(&store, &options, &operand, args)?;
            let default = platform::default()?.filter(|_| args.platforms.is_empty());
            let platforms: Vec<Platform> = args.platforms.iter().cloned().chain(default).collect();
            inputs::for_platforms(&target, &platforms)
        }
    };
    args.outputs.check(&targets)?;
    if args.insight.dry_run {
        let quiet = Progress::start(Mode::Quiet);
        with_builder(context, &store, &quiet, |builder| {
            insight::dry_run(builder, &targets, &options)
        })??;
        return Ok(ExitCode::SUCCESS);
    }
    let mode = if args.quiet {
        Mode::Quiet
    } else {
        args.progress
    };
    if let Some(ids) = context.ids().filter(|_| mode != Mode::Quiet) {
        rootless::tell(ids);
    }
    check::before_build(&store, &targets, &|name| {
        let platform = Platform::default();
        pull(&store, &context.executable().ok()?, (name, &platform), mode).ok()
    })?;
    let before = began.elapsed();
    let built = build_targets(context, &store, &targets, &options, mode)?;
    if args.insight.timing {
        anstream::eprint!("{}", insight::timing(before, &built.phases, &built.ran));
    }
    if mode != Mode::Quiet {
        check::after_build(&store, &targets);
    }
    args.outputs
        .deliver(&store, &targets, &built, &options, args.quiet)?;
    if args.quiet && !args.outputs.takes_stdout() {
        for image in &built.images {
            anstream::println!("{}", image.id);
        }
    }
    // Last: the result is usable already.
    cache::export(&store, &built, args.quiet)?;
    // What leaves may need stages that no image keeps, so room is made only now.
    quota::keep(&store, &built, args.cache_quota);
    Ok(ExitCode::SUCCESS)
}

/// Builds targets in one graph and shows the progress on stderr; `howdah up` builds with it too. Ctrl-C stops the build.
pub(crate) fn build_targets(
    context: &Context,
    store: &Store,
    targets: &[Target],
    options: &Options,
    mode: Mode,
) -> Result<Built, CommandError> {
    let progress = Progress::start(mode);
    let result = with_builder(context, store, &progress, |builder| {
        builder.build(targets, options)
    });
    progress.finish();
    let built = result?.map_err(|error| failure::report(error, targets))?;
    if mode != Mode::Quiet {
        progress::summary(targets, &built, progress.elapsed());
    }
    Ok(built)
}

/// Does some work with a builder that Ctrl-C stops.
fn with_builder<T>(
    context: &Context,
    store: &Store,
    progress: &Progress,
    work: impl FnOnce(&Builder<'_>) -> T,
) -> Result<T, CommandError> {
    let (cancel, _watch) = interrupt::cancel_on_signal()?;
    let executable = context.executable()?;
    let runtime = Runtime::new(context.runtime_directory(), &executable)?;
    let pull = |name: &str, platform: &Platform| {
        pull(store, &executable, (name, platform), progress.mode())
    };
    Ok(work(&Builder {
        store,
        runtime: &runtime,
        runtime_directory: context.runtime_directory(),
        pull: &pull,
        observe: &|event| progress.tell(event),
        cancel,
    }))
}

/// A base image from its registry. The image `howdah` is this program itself, which needs no registry.
fn pull(
    store: &Store,
    executable: &Path,
    (name, platform): (&str, &Platform),
    mode: Mode,
) -> Result<howdah_image::Image, Box<dyn std::error::Error + Send + Sync>> {
    let reference: Reference = name.parse()?;
    if matches!(name, "howdah" | "howdah:latest") {
        return Ok(howdah_image::bootstrap::binary(
            store, executable, &reference,
        )?);
    }
    // Bases are fetched before the steps are known, so no display of them is on the screen yet.
    let what = format!("pulling {}", reference.familiar());
    let progress = transfer::Progress::new(what, mode == Mode::Quiet);
    let registry = Registry::new(RegistryOptions {
        platform: Some(platform.clone()),
        ..registry_options()
    })?;
    let pulled = registry.pull(store, &reference, &|notice| progress.tell(notice));
    progress.finish();
    Ok(pulled?)
}

/// What a command line asks to build.
enum Subject {
    /// One image from a Dockerfile and its context, as given.
    Context(String),
    /// These services of the compose.yaml in a directory; none named means all.
    Services(PathBuf, Vec<String>),
}

impl Subject {
    fn of(args: &Args) -> Result<Subject, CommandError> {
        let said_otherwise = args.file.is_some() || !args.tags.is_empty() || args.target.is_some();
        let here = Path::new(".");
        match args.operands.as_slice() {
            [] if !said_otherwise && has_compose_file(here) => {
                Ok(Subject::Services(here.to_owned(), Vec::new()))
            }
            [] => Ok(Subject::Context(".".to_owned())),
            [path] if said_otherwise || is_path(path) || !has_compose_file(here) => {
                if !said_otherwise && has_compose_file(Path::new(path)) {
                    return Ok(Subject::Services(path.into(), Vec::new()));
                }
                Ok(Subject::Context(path.clone()))
            }
            names if !said_otherwise && has_compose_file(here) => {
                Ok(Subject::Services(here.to_owned(), names.to_vec()))
            }
            _ => {
                let error = CommandError::new(
                    "several operands name services, and there is no compose.yaml here",
                );
                Err(error.hint("a build takes one context directory").code(2))
            }
        }
    }
}

/// A service's name has neither slash nor leading dot (Compose specification, services).
fn is_path(operand: &str) -> bool {
    operand.starts_with('.') || operand.contains('/') || operand == "-"
}

fn has_compose_file(directory: &Path) -> bool {
    let names = [
        "compose.yaml",
        "compose.yml",
        "docker-compose.yaml",
        "docker-compose.yml",
    ];
    names.iter().any(|name| directory.join(name).is_file())
}
