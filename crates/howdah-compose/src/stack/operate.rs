//! What the commands want of a stack: goals set, nothing done yet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::container::{Container, ContainerPlan, Goal, Phase};
use super::diff::StackAction;
use super::event::Change;
use super::{Millis, Stack};

/// The containers a command is about.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// All of them.
    All,
    /// Those of these services.
    Services(&'a [String]),
}

impl Selection<'_> {
    /// Services, or all when none is named.
    pub fn of(services: &[String]) -> Selection<'_> {
        if services.is_empty() {
            Selection::All
        } else {
            Selection::Services(services)
        }
    }

    fn includes(&self, container: &Container) -> bool {
        match self {
            Self::All => true,
            Self::Services(names) => {
                names.iter().any(|name| name == container.service()) && !container.one_off
            }
        }
    }
}

impl Stack {
    /// Sets goals as a diff says; `make` makes a container of a plan. Gives the names of the containers concerned.
    pub fn apply(
        &mut self,
        actions: &[StackAction],
        plans: &BTreeMap<String, ContainerPlan>,
        make: &dyn Fn(&str, &ContainerPlan, u32) -> Container,
        now: Millis,
    ) -> Vec<String> {
        let mut concerned = Vec::new();
        for action in actions {
            match action {
                StackAction::Create {
                    name,
                    service,
                    index,
                } => {
                    let Some(plan) = plans.get(service) else {
                        continue;
                    };
                    self.containers
                        .insert(name.clone(), make(name, plan, *index));
                    self.tell(name, now, Change::Created);
                    concerned.push(name.clone());
                }
                StackAction::Recreate { name, service, .. } => {
                    let Some(plan) = plans.get(service) else {
                        continue;
                    };
                    self.replace(name, plan, make, now);
                    concerned.push(name.clone());
                }
                StackAction::Start { name } => {
                    self.refresh(name, plans);
                    self.start(name, now);
                    concerned.push(name.clone());
                }
                StackAction::Restart { name } => {
                    self.refresh(name, plans);
                    self.set_goal(name, Goal::Restart);
                    concerned.push(name.clone());
                }
                StackAction::Keep { name } => {
                    self.refresh(name, plans);
                    let is_running = self
                        .containers
                        .get(name)
                        .is_some_and(|kept| matches!(kept.phase, Phase::Running { .. }));
                    self.tell(
                        name,
                        now,
                        if is_running {
                            Change::Unchanged
                        } else {
                            Change::Waiting
                        },
                    );
                    concerned.push(name.clone());
                }
                StackAction::Remove { name } => self.set_goal(name, Goal::Remove),
                StackAction::Orphan { name } => {
                    let message = "its service is not in the file any more; `howdah up --remove-orphans` removes it";
                    let message = message.to_owned();
                    self.tell(name, now, Change::Note { message });
                }
                StackAction::CreateNetwork { .. } | StackAction::CreateVolume { .. } => {}
            }
        }
        concerned
    }

    fn replace(
        &mut self,
        name: &str,
        plan: &ContainerPlan,
        make: &dyn Fn(&str, &ContainerPlan, u32) -> Container,
        now: Millis,
    ) {
        let Some(old) = self.containers.get_mut(name) else {
            return;
        };
        let mut next = make(name, plan, old.index);
        // The same address again: what knows it by address finds it where it was.
        next.addresses.extend(
            old.addresses
                .clone()
                .into_iter()
                .filter(|(network, _)| wants_network(plan, network)),
        );
        let kept = old
            .anonymous
            .iter()
            .filter(|(path, _)| plan.anonymous.contains(path));
        next.anonymous
            .extend(kept.map(|(path, volume)| (path.clone(), volume.clone())));
        old.goal = Goal::Replace(Box::new(next));
        self.tell(name, now, Change::Recreating);
    }

    /// Takes over what changed in the file without needing another container.
    fn refresh(&mut self, name: &str, plans: &BTreeMap<String, ContainerPlan>) {
        if let Some(container) = self.containers.get_mut(name)
            && let Some(plan) = plans.get(container.service())
            && plan.hash == container.plan.hash
        {
            container.plan.service = plan.service.clone();
        }
    }

    fn start(&mut self, name: &str, now: Millis) {
        let Some(container) = self.containers.get_mut(name) else {
            return;
        };
        if container.one_off {
            return;
        }
        container.restarts = 0;
        container.grace = None;
        match container.phase {
            Phase::Stopping { .. } => container.goal = Goal::Restart,
            Phase::Running { .. } | Phase::Starting | Phase::Waiting | Phase::Backoff { .. } => {
                container.goal = Goal::Run;
            }
            Phase::Exited(_) | Phase::Created | Phase::Failed { .. } => {
                container.goal = Goal::Run;
                container.phase = Phase::Waiting;
                self.tell(name, now, Change::Waiting);
            }
            Phase::Removing => {}
        }
    }

    fn set_goal(&mut self, name: &str, goal: Goal) {
        if let Some(container) = self.containers.get_mut(name) {
            container.goal = goal;
        }
    }

    /// Changes the containers selected; gives their names.
    fn update(
        &mut self,
        selection: &Selection<'_>,
        mut change: impl FnMut(&mut Container),
    ) -> Vec<String> {
        let selected = self
            .containers
            .values_mut()
            .filter(|container| selection.includes(container));
        selected
            .map(|container| {
                change(container);
                container.name.clone()
            })
            .collect()
    }

    /// Wants containers stopped.
    pub fn want_stop(&mut self, selection: &Selection<'_>, grace: Option<Duration>) -> Vec<String> {
        self.update(selection, |container| {
            if matches!(container.goal, Goal::Run | Goal::Restart) {
                container.goal = Goal::Stop;
            }
            container.grace = grace;
        })
    }

    /// Wants containers gone. Those that are being stopped already keep their deadline unless a new one is given.
    pub fn want_remove(
        &mut self,
        selection: &Selection<'_>,
        grace: Option<Duration>,
    ) -> Vec<String> {
        self.update(selection, |container| {
            container.goal = Goal::Remove;
            container.grace = grace;
        })
    }

    /// Wants containers restarted, and those that run and depend on them with `restart: true`.
    pub fn want_restart(
        &mut self,
        selection: &Selection<'_>,
        grace: Option<Duration>,
    ) -> Vec<String> {
        let services = self.restarted_with(selection);
        let selection = match selection {
            Selection::All => Selection::All,
            Selection::Services(_) => Selection::Services(&services),
        };
        self.update(&selection, |container| {
            if matches!(container.goal, Goal::Run | Goal::Stop | Goal::Restart)
                && !container.one_off
            {
                container.goal = Goal::Restart;
                container.grace = grace;
                container.restarts = 0;
            }
        })
    }

    /// The services selected, and those whose `depends_on:` says that they are restarted with one of them.
    fn restarted_with(&self, selection: &Selection<'_>) -> Vec<String> {
        let Selection::Services(named) = selection else {
            return Vec::new();
        };
        let is_restarted = |container: &&Container| {
            let mut dependencies = container.plan.service.depends_on.iter();
            container.goal == Goal::Run
                && container.is_active()
                && !container.one_off
                && dependencies
                    .any(|(target, dependency)| dependency.restart && named.contains(target))
        };
        let dependents = self.containers.values().filter(is_restarted);
        named
            .iter()
            .cloned()
            .chain(dependents.map(|container| container.service().to_owned()))
            .collect()
    }

    /// Wants containers that exist started.
    pub fn want_start(&mut self, selection: &Selection<'_>, now: Millis) -> Vec<String> {
        let names = self.update(selection, |_| {});
        for name in &names {
            self.start(name, now);
        }
        names
    }

    /// Kills at once whatever is being stopped (the second Ctrl-C).
    pub fn hurry(&mut self, now: Millis) {
        for container in self.containers.values_mut() {
            container.grace = Some(Duration::ZERO);
            if let Phase::Stopping { until, .. } = &mut container.phase {
                *until = now.min(*until);
            }
        }
    }
}

fn wants_network(plan: &ContainerPlan, network: &str) -> bool {
    match &plan.service.container.network {
        // A fixed address is given again by who makes the container.
        crate::model::NetworkMode::Networks(networks) => {
            networks.get(network).is_some_and(|at| at.address.is_none())
        }
        _ => false,
    }
}
