//! From a project and its images to what each service's containers are made from.

use std::collections::BTreeMap;

use howdah_image::{Image, Store, StoreError};

use super::protocol::ServiceImage;
use super::{signal, spec};
use crate::model::{FileDefinition, FileMount, MountSource, Project, Service};
use crate::stack::{ContainerPlan, HealthPlan};

/// A service that cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The store failed.
    #[error("cannot look up image `{image}`")]
    Store {
        /// The image.
        image: String,
        /// Why.
        source: StoreError,
    },
    /// The image went away.
    #[error("image `{image}` of service `{service}` is not in the store")]
    NoImage {
        /// The service.
        service: String,
        /// The image.
        image: String,
    },
    /// Not a signal.
    #[error("`{signal}` of service `{service}` is not a signal")]
    Signal {
        /// The service.
        service: String,
        /// What was written.
        signal: String,
    },
    /// The plan cannot be hashed.
    #[error("cannot hash service `{service}`")]
    Hash {
        /// The service.
        service: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Plans every service that has an image.
pub fn plans(
    project: &Project,
    images: &BTreeMap<String, ServiceImage>,
    store: &Store,
) -> Result<BTreeMap<String, ContainerPlan>, PlanError> {
    let mut plans = BTreeMap::new();
    for service in project.services.values() {
        if let Some(image) = images.get(&service.name) {
            plans.insert(service.name.clone(), plan(project, service, image, store)?);
        }
    }
    Ok(plans)
}

/// Looks up an image by its id.
pub(crate) fn find(store: &Store, service: &str, id: &str) -> Result<Image, PlanError> {
    let found = store.find_image(id).map_err(|source| PlanError::Store {
        image: id.to_owned(),
        source,
    })?;
    found.ok_or_else(|| PlanError::NoImage {
        service: service.to_owned(),
        image: id.to_owned(),
    })
}

/// Plans one service.
pub(crate) fn plan(
    project: &Project,
    service: &Service,
    image: &ServiceImage,
    store: &Store,
) -> Result<ContainerPlan, PlanError> {
    let config = find(store, &service.name, &image.id)?.config.config;
    let written = service
        .stop_signal
        .clone()
        .or(config.stop_signal.clone())
        .unwrap_or_else(|| "SIGTERM".to_owned());
    let stop_signal = signal::number(&written).ok_or_else(|| PlanError::Signal {
        service: service.name.clone(),
        signal: written.clone(),
    })?;
    let volumes = service
        .container
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { key, .. } => {
                Some((key.clone(), project.volumes.get(key)?.name.clone()))
            }
            _ => None,
        });
    let mut plan = ContainerPlan {
        service: service.clone(),
        image: image.id.clone(),
        image_name: image.name.clone(),
        hash: String::new(),
        command: spec::arguments(&service.container, &config),
        health: HealthPlan::decide(
            service.container.healthcheck.as_ref(),
            config.healthcheck.as_ref(),
        ),
        stop_signal,
        secrets: used(&service.container.secrets, &project.secrets),
        configs: used(&service.container.configs, &project.configs),
        volumes: volumes.collect(),
        anonymous: anonymous(service, &config.volumes),
    };
    plan.hash = plan.compute_hash().map_err(|source| PlanError::Hash {
        service: service.name.clone(),
        source,
    })?;
    Ok(plan)
}

fn used(
    mounts: &[FileMount],
    all: &BTreeMap<String, FileDefinition>,
) -> BTreeMap<String, FileDefinition> {
    mounts
        .iter()
        .filter_map(|mount| Some((mount.source.clone(), all.get(&mount.source)?.clone())))
        .collect()
}

/// Paths that get a volume without a name: the service's, and the image's `VOLUME`s nothing else is mounted on.
fn anonymous(service: &Service, image: &std::collections::BTreeSet<String>) -> Vec<String> {
    let mounts = &service.container.mounts;
    let own = mounts
        .iter()
        .filter(|mount| matches!(mount.source, MountSource::Anonymous { .. }));
    let free = image.iter().filter(|path| {
        !mounts
            .iter()
            .any(|mount| mount.target.trim_end_matches('/') == path.trim_end_matches('/'))
    });
    own.map(|mount| mount.target.clone())
        .chain(free.cloned())
        .collect()
}
