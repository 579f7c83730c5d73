//! The image of each service: built, found or pulled.

use std::collections::{BTreeMap, BTreeSet};

use howdah_build::Options;
use howdah_compose::{Project, PullPolicy, Service, ServiceImage};
use howdah_image::{Image, Platform, Reference, Registry, RegistryOptions, Store};

use super::super::build::{Mode, build_targets, cache, compose, quota};
use super::super::transfer::{Progress, registry_options, with_hint};
use super::super::{CommandError, Context, platform};

/// What may be done to get an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Building {
    /// Build what has a `build:` section; what did not change is taken from the cache.
    Changed,
    /// Build nothing.
    Never,
}

/// Finds, builds or pulls the images of these services. Each is held as long as `store` is open: until its containers
/// stand on it, a prune beside us would take it away.
pub(crate) fn resolve(
    store: &Store,
    (context, project): (&Context, &Project),
    services: &BTreeSet<String>,
    building: Building,
) -> Result<BTreeMap<String, ServiceImage>, CommandError> {
    let wanted: Vec<&Service> = services
        .iter()
        .filter_map(|name| project.services.get(name))
        .collect();
    let to_build: Vec<&Service> = match building {
        Building::Changed => wanted
            .iter()
            .copied()
            .filter(|service| service.build.is_some())
            .collect(),
        Building::Never => Vec::new(),
    };
    let mut images = build(context, store, project, &to_build)?;
    for service in wanted {
        if !images.contains_key(&service.name) {
            let image = find_or_pull(store, project, service)?;
            let name = project.image_name(service);
            store.hold_image(&image, &name)?;
            images.insert(
                service.name.clone(),
                ServiceImage {
                    id: image.id.to_string(),
                    name,
                },
            );
        }
    }
    Ok(images)
}

/// The images that are here already, for `--dry-run`.
pub(crate) fn present(
    context: &Context,
    project: &Project,
) -> Result<BTreeMap<String, ServiceImage>, CommandError> {
    let store = Store::open(context.root())?;
    let mut images = BTreeMap::new();
    for service in project.services.values() {
        let name = project.image_name(service);
        if let Some(image) = find(&store, &name, platform_of(service)?.as_ref())? {
            images.insert(
                service.name.clone(),
                ServiceImage {
                    id: image.id.to_string(),
                    name,
                },
            );
        }
    }
    Ok(images)
}

/// The seam to `howdah build`: builds these services' images in one graph and gives each one's id and name, by service.
fn build(
    context: &Context,
    store: &Store,
    project: &Project,
    services: &[&Service],
) -> Result<BTreeMap<String, ServiceImage>, CommandError> {
    let mut images = BTreeMap::new();
    if services.is_empty() {
        return Ok(images);
    }
    let wanted = services
        .iter()
        .map(|service| (service.name.clone(), (*service).clone()));
    let project = Project {
        services: wanted.collect(),
        ..project.clone()
    };
    let mut options = Options {
        registry: registry_options(),
        ..Options::default()
    };
    let targets = compose::targets(store, &project, &mut options, compose::Purpose::Container)?;
    let built = build_targets(context, store, &targets, &options, Mode::Auto)?;
    cache::export(store, &built, false)?;
    quota::keep(store, &built, None);
    for service in services {
        let name = project.image_name(service);
        let image = find(store, &name, platform_of(service)?.as_ref())?;
        let image =
            image.ok_or_else(|| CommandError::new(format!("the build made no image `{name}`")))?;
        store.hold_image(&image, &name)?;
        images.insert(
            service.name.clone(),
            ServiceImage {
                id: image.id.to_string(),
                name,
            },
        );
    }
    Ok(images)
}

fn find_or_pull(
    store: &Store,
    project: &Project,
    service: &Service,
) -> Result<Image, CommandError> {
    let name = project.image_name(service);
    let platform = platform_of(service)?;
    let here = find(store, &name, platform.as_ref())?;
    match (here, service.pull_policy) {
        (Some(image), policy) if policy != PullPolicy::Always => {
            tell_of_emulation(service, &image, platform.as_ref());
            Ok(image)
        }
        (None, _) if service.build.is_some() => {
            let message = format!(
                "image `{name}` of service `{}` has not been built",
                service.name
            );
            Err(CommandError::new(message)
                .hint(format!("`howdah build {}` builds it", service.name)))
        }
        (None, PullPolicy::Never) => {
            let message = format!(
                "image `{name}` of service `{}` is not here, and `pull_policy` is never",
                service.name
            );
            Err(CommandError::new(message).hint(format!("`howdah pull {name}` fetches it")))
        }
        _ => pull(store, &name, platform).map_err(|error| {
            error.about(format!(
                "cannot get image `{name}` of service `{}`",
                service.name
            ))
        }),
    }
}

/// The platform that a service asks for, or the environment for it.
fn platform_of(service: &Service) -> Result<Option<Platform>, CommandError> {
    match &service.platform {
        Some(platform) => Ok(Some(platform.clone())),
        None => platform::default(),
    }
}

/// An image for the wanted platform; for this machine, else for any, if none is wanted.
fn find(
    store: &Store,
    name: &str,
    wanted: Option<&Platform>,
) -> Result<Option<Image>, CommandError> {
    Ok(match wanted {
        Some(platform) => store.find_image_for(name, platform)?,
        None => store.find_image(name)?,
    })
}

/// As Docker warns of an image that nobody asked to emulate.
fn tell_of_emulation(service: &Service, image: &Image, wanted: Option<&Platform>) {
    let (host, found) = (Platform::default(), Platform::of(&image.config));
    if wanted.is_none() && host.rank(&found).is_none() {
        anstream::eprintln!(
            "warning: the image of service `{}` is for {found}, and this machine is {host}",
            service.name
        );
    }
}

fn pull(store: &Store, name: &str, platform: Option<Platform>) -> Result<Image, CommandError> {
    let reference: Reference = name.parse()?;
    let registry = Registry::new(RegistryOptions {
        platform,
        ..registry_options()
    })?;
    let progress = Progress::new(format!("pulling {}", reference.familiar()), false);
    let pulled = registry.pull(store, &reference, &|notice| progress.tell(notice));
    progress.finish();
    pulled.map_err(with_hint)
}
