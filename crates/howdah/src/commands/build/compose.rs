//! Targets of a compose.yaml: every image that its services build.

use std::collections::BTreeMap;
use std::path::Path;

use howdah_build::{NoCache, Options, Secret, Target, Text};
use howdah_compose::{
    BuildContext, BuildSecret, BuildSection, LoadOptions, Project, Service, load as load_project,
};

use howdah_image::{Platform, Store};
use howdah_runtime::Ulimit;

use super::contexts::{self, Place};
use super::{Args, inputs, limits, ssh};
use crate::commands::stack::{refused, variables, warn};
use crate::commands::{CommandError, platform};

/// Loads the project of a directory and makes the targets of these services, of all when none is named.
pub(super) fn load(
    store: &Store,
    (directory, services): (&Path, &[String]),
    args: &Args,
    options: &mut Options,
) -> Result<Vec<Target>, CommandError> {
    let load_options = LoadOptions {
        working_directory: std::path::absolute(directory)?,
        environment: variables(),
        ..LoadOptions::default()
    };
    let (mut project, warnings) = load_project(&load_options).map_err(refused)?;
    warn(&warnings);
    if let Some(unknown) = services
        .iter()
        .find(|name| !project.services.contains_key(*name))
    {
        let error = CommandError::new(format!("no service is named `{unknown}`"));
        return Err(error.hint(format!("`./{unknown}` is the directory")));
    }
    if !services.is_empty() {
        project.services.retain(|name, _| services.contains(name));
    }
    let mut targets = targets(store, &project, options, Purpose::Image(&args.platforms))?;
    for target in &mut targets {
        inputs::common(target, args)?;
    }
    if targets.is_empty() {
        let error = CommandError::new(format!(
            "no service of `{}` has a build section",
            project.name
        ));
        return Err(error.hint("name a Dockerfile with -f"));
    }
    Ok(targets)
}

/// What the images are built for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// To have them: for these platforms, without any for those that the services name.
    Image(&'a [Platform]),
    /// To run them here.
    Container,
}

impl Purpose<'_> {
    /// The platforms of a service's image; none means this machine's (Docker Compose, `applyPlatforms`).
    fn platforms(
        self,
        service: &Service,
        build: &BuildSection,
    ) -> Result<Vec<Platform>, CommandError> {
        if let Purpose::Image(asked @ [_, ..]) = self {
            return Ok(asked.to_vec());
        }
        let default = || platform::default();
        let wanted = service
            .platform
            .clone()
            .map_or_else(default, |platform| Ok(Some(platform)))?;
        let several = &build.platforms;
        match wanted {
            Some(wanted) if !several.is_empty() && !several.contains(&wanted) => {
                let message = format!(
                    "service `{}` is for {wanted}, and its `build.platforms` has others",
                    service.name
                );
                Err(CommandError::new(message).hint(format!("add {wanted} to `build.platforms`")))
            }
            Some(wanted) if several.is_empty() || matches!(self, Purpose::Container) => {
                Ok(vec![wanted])
            }
            None if several.len() > 1 && matches!(self, Purpose::Container) => Ok(Vec::new()),
            _ => Ok(several.clone()),
        }
    }
}

/// The targets of a project, one for each image name and platform; secrets are added to `options`.
pub(crate) fn targets(
    store: &Store,
    project: &Project,
    options: &mut Options,
    purpose: Purpose<'_>,
) -> Result<Vec<Target>, CommandError> {
    let mut targets: Vec<Target> = Vec::new();
    for service in project.buildable() {
        let Some(build) = &service.build else {
            continue;
        };
        for (id, source) in &build.secrets {
            add_secret(options, id, source)?;
        }
        for text in &build.ssh {
            let (name, socket) = ssh::agent(text)?;
            // The command line's word is the last.
            options.ssh_agents.entry(name).or_insert(socket);
        }
        for name in &build.entitlements {
            let entitlement = inputs::entitlement(name).map_err(CommandError::new)?;
            options.allowed.insert(entitlement);
        }
        let mut target = dockerfile(store, options, &service.name, build)?;
        complete(&mut target, service, &project.image_name(service), build)?;
        // Services that share an image build it once.
        if targets
            .iter()
            .all(|known| known.tags.first() != target.tags.first())
        {
            let platforms = purpose.platforms(service, build)?;
            targets.extend(inputs::for_platforms(&target, &platforms));
        }
        options.pull |= build.pull;
    }
    Ok(targets)
}

/// The target of a service with its context and its Dockerfile.
fn dockerfile(
    store: &Store,
    options: &Options,
    service: &str,
    build: &BuildSection,
) -> Result<Target, CommandError> {
    let inline = build.dockerfile_inline.as_ref().map(|text| Text {
        name: format!("dockerfile_inline of {service}"),
        text: text.clone(),
    });
    let file = build.dockerfile.as_deref();
    match (&build.context, inline) {
        (BuildContext::Directory(context), Some(text)) => {
            let mut target = Target::new(text, context);
            target.ignore = Text::read_ignore(&context.join(".dockerignore"))?;
            Ok(target)
        }
        (BuildContext::Directory(context), None) => {
            let file = context.join(file.unwrap_or(Path::new("Dockerfile")));
            Ok(Target::load(&shown(&file), context)?)
        }
        (BuildContext::Remote(address), inline) => {
            let place = Place {
                operand: address,
                file,
                build_args: &[],
            };
            let mut target = place.target(store, options)?;
            target.dockerfile = inline.unwrap_or(target.dockerfile);
            Ok(target)
        }
    }
}

/// Everything else that the service's section says.
fn complete(
    target: &mut Target,
    service: &Service,
    image: &str,
    build: &BuildSection,
) -> Result<(), CommandError> {
    target.name.clone_from(&service.name);
    let tags = std::iter::once(image)
        .chain(build.tags.iter().map(String::as_str))
        .map(str::parse);
    target.tags = tags.collect::<Result<_, _>>()?;
    target.stage.clone_from(&build.target);
    let args = build
        .args
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    target.build_args = args.collect();
    target.labels.clone_from(&build.labels);
    target.no_cache = if build.no_cache {
        NoCache::Everything
    } else if build.no_cache_filter.is_empty() {
        NoCache::Nothing
    } else {
        NoCache::Stages(build.no_cache_filter.clone())
    };
    target.limits.shm_bytes = build.shm_size;
    target.limits.ulimits = ulimits(build)?;
    let sources = build.cache_from.iter().map(|text| text.parse());
    target.cache_from = sources.collect::<Result<_, _>>()?;
    let caches = build.cache_to.iter().map(|text| text.parse());
    target.cache_to = caches.collect::<Result<_, _>>()?;
    if let Some(network) = &build.network {
        target.network = inputs::network(network)?;
    }
    let hosts = build
        .extra_hosts
        .iter()
        .map(|(name, address)| inputs::host(&format!("{name}={address}")));
    target.hosts = hosts.collect::<Result<_, _>>()?;
    let base = match &build.context {
        BuildContext::Directory(directory) => directory,
        BuildContext::Remote(_) => Path::new(""),
    };
    let contexts = build.additional_contexts.iter();
    let contexts = contexts.map(|(name, place)| Ok((name.clone(), contexts::named(place, base)?)));
    target.contexts = contexts.collect::<Result<BTreeMap<_, _>, CommandError>>()?;
    Ok(())
}

fn ulimits(build: &BuildSection) -> Result<Vec<Ulimit>, CommandError> {
    // -1, and nothing else that is negative, is no limit.
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let limits = build.ulimits.iter().map(|(name, (soft, hard))| {
        limits::checked(Ulimit {
            name: name.clone(),
            soft: value(*soft),
            hard: value(*hard),
        })
    });
    limits.collect::<Result<_, _>>().map_err(CommandError::new)
}

/// A path as people know it: below the current directory, relative to it.
fn shown(path: &Path) -> std::path::PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

fn add_secret(options: &mut Options, id: &str, source: &BuildSecret) -> Result<(), CommandError> {
    let secret = match source {
        BuildSecret::File(path) => Secret::File(path.clone()),
        BuildSecret::Environment {
            value: Some(value), ..
        } => Secret::Value(value.clone().into_bytes()),
        // Missing: a step that requires it says so.
        BuildSecret::Environment { value: None, .. } => return Ok(()),
    };
    match options.secrets.insert(id.to_owned(), secret.clone()) {
        Some(other) if other != secret => Err(CommandError::new(format!(
            "the build secret `{id}` comes from two different places"
        ))),
        _ => Ok(()),
    }
}
