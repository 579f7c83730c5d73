//! Whether what a container waits for has come to pass.

use super::container::{Container, Goal, Phase};
use super::health::{Health, HealthStatus};
use crate::model::{Condition, Dependency};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    Wait,
    Never(String),
}

/// Asks all containers of one dependency; `containers` are those of the service depended on.
pub(crate) fn readiness<'a>(
    name: &str,
    dependency: &Dependency,
    containers: impl Iterator<Item = &'a Container>,
) -> Readiness {
    let mut any = false;
    let mut result = Readiness::Ready;
    for container in containers {
        any = true;
        match of_container(dependency.condition, container) {
            Readiness::Wait => result = Readiness::Wait,
            Readiness::Never(why) if dependency.required => return Readiness::Never(why),
            Readiness::Ready | Readiness::Never(_) => {}
        }
    }
    if !any && dependency.required {
        return Readiness::Never(format!(
            "service `{name}`, which it depends on, has no container"
        ));
    }
    result
}

fn of_container(condition: Condition, container: &Container) -> Readiness {
    let name = &container.name;
    if matches!(container.goal, Goal::Restart | Goal::Replace(_)) {
        // What it is now says nothing about what it is about to be.
        return Readiness::Wait;
    }
    match (condition, &container.phase) {
        (_, Phase::Failed { message }) => Readiness::Never(format!(
            "`{name}`, which it depends on, cannot start: {message}"
        )),
        (_, Phase::Created) => {
            Readiness::Never(format!("`{name}`, which it depends on, is not started"))
        }
        (Condition::Started, Phase::Running { .. } | Phase::Exited(_)) => Readiness::Ready,
        (Condition::Healthy, Phase::Running { health, .. }) => healthy(name, health.as_ref()),
        (Condition::Healthy, Phase::Exited(ended)) => Readiness::Never(format!(
            "`{name}`, which must be healthy first, exited ({})",
            ended.code
        )),
        (Condition::CompletedSuccessfully, Phase::Exited(ended)) if ended.code == 0 => {
            Readiness::Ready
        }
        (Condition::CompletedSuccessfully, Phase::Exited(ended)) => Readiness::Never(format!(
            "`{name}`, which must complete first, exited ({})",
            ended.code
        )),
        // On its way, one way or the other.
        _ => Readiness::Wait,
    }
}

fn healthy(name: &str, health: Option<&Health>) -> Readiness {
    match health.map(|health| health.status) {
        None => Readiness::Never(format!(
            "`{name}`, which must be healthy first, has no health check"
        )),
        Some(HealthStatus::Healthy) => Readiness::Ready,
        Some(HealthStatus::Starting) => Readiness::Wait,
        Some(HealthStatus::Unhealthy) => {
            Readiness::Never(format!("`{name}`, which it depends on, is unhealthy"))
        }
    }
}
