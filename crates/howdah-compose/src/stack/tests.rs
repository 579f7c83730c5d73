//! The state machine under a clock made by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::testing::{World, depends, plan, service, start};
use super::*;
use crate::model::{Condition, RestartPolicy, Service};

#[test]
fn dependencies_start_first_and_stop_last() {
    let mut world = World::new();
    let web = depends(
        depends(service("web"), "db", Condition::Healthy),
        "migrate",
        Condition::CompletedSuccessfully,
    );
    let migrate = depends(service("migrate"), "db", Condition::Healthy);
    world.up(
        vec![web, migrate, service("db")],
        &["db"],
        &DiffOptions::default(),
    );
    assert_eq!(world.take(), [start("p-db-1")]);
    world.started("p-db-1");
    assert_eq!(world.take(), []);
    world.wait();
    assert_eq!(world.take(), [Effect::Probe("p-db-1".to_owned())]);
    world.probed("p-db-1", true);
    assert_eq!(world.take(), [start("p-migrate-1")]);
    world.started("p-migrate-1");
    world.exited("p-migrate-1", 0);
    assert_eq!(world.take(), [start("p-web-1")]);
    world.started("p-web-1");

    world.stack.want_remove(&Selection::All, None);
    world.step();
    assert_eq!(
        world.take(),
        [
            Effect::Remove("p-migrate-1".to_owned()),
            Effect::Signal("p-web-1".to_owned(), 15)
        ]
    );
    world.removed("p-migrate-1");
    world.exited("p-web-1", 0);
    assert_eq!(
        world.take(),
        [
            Effect::Signal("p-db-1".to_owned(), 15),
            Effect::Remove("p-web-1".to_owned())
        ]
    );
    world.removed("p-web-1");
    world.exited("p-db-1", 0);
    world.removed("p-db-1");
    assert!(world.stack.containers.is_empty() && world.stack.is_at_rest());
}

#[test]
fn a_dependency_that_cannot_come_fails_what_waits_for_it() {
    let cases: [(Condition, &str); 3] = [
        (
            Condition::Healthy,
            "`p-db-1`, which must be healthy first, exited (3)",
        ),
        (
            Condition::CompletedSuccessfully,
            "`p-db-1`, which must complete first, exited (3)",
        ),
        (Condition::Started, ""),
    ];
    for (condition, expected) in cases {
        let mut world = World::new();
        world.up(
            vec![depends(service("web"), "db", condition), service("db")],
            &["db"],
            &DiffOptions::default(),
        );
        world.started("p-db-1");
        world.exited("p-db-1", 3);
        let got = match &world.stack.containers["p-web-1"].phase {
            Phase::Failed { message } => message.as_str(),
            _ => "",
        };
        assert_eq!(got, expected);
    }
    let mut world = World::new();
    world.up(
        vec![
            depends(service("web"), "db", Condition::Healthy),
            service("db"),
        ],
        &[],
        &DiffOptions::default(),
    );
    world.started("p-db-1");
    assert!(world.log.contains("has no health check"), "{}", world.log);
}

#[test]
fn stop_deadline_then_kill_and_it_is_said() {
    let mut world = World::new();
    world.up(vec![service("web")], &[], &DiffOptions::default());
    world.started("p-web-1");
    world.take();
    world
        .stack
        .want_stop(&Selection::All, Some(Duration::from_secs(3)));
    world.step();
    assert_eq!(world.take(), [Effect::Signal("p-web-1".to_owned(), 15)]);
    world.wait();
    assert_eq!(world.now, Millis(4000));
    assert_eq!(world.take(), [Effect::Signal("p-web-1".to_owned(), 9)]);
    assert_eq!(world.stack.next_deadline(), None);
    world.exited("p-web-1", 137);
    insta::assert_snapshot!(world.log, @r"
    1000 p-web-1 Created
    1000 p-web-1 Starting
    1000 p-web-1 Started
    1000 p-web-1 Stopping
    4000 p-web-1 Killed { grace: 3 }
    4000 p-web-1 Exited { code: 137, oom_killed: false, expected: true }
    ");
    assert!(world.stack.is_at_rest());
}

#[test]
fn restart_with_back_off_unless_stopped_by_hand() {
    let mut world = World::new();
    let web = Service {
        restart: RestartPolicy::OnFailure { attempts: Some(2) },
        ..service("web")
    };
    world.up(vec![web], &[], &DiffOptions::default());
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push(world.now.0);
        assert_eq!(world.take(), [start("p-web-1")]);
        world.started("p-web-1");
        world.exited("p-web-1", 1);
        if world.stack.next_deadline().is_some() {
            world.wait();
        }
    }
    assert_eq!(starts, [1000, 1100, 1300]);
    assert!(world.stack.is_at_rest());

    let mut world = World::new();
    let web = Service {
        restart: RestartPolicy::Always,
        ..service("web")
    };
    world.up(vec![web], &[], &DiffOptions::default());
    world.started("p-web-1");
    world.exited("p-web-1", 0);
    assert!(!world.stack.is_at_rest());
    world.stack.want_stop(&Selection::All, None);
    world.step();
    assert!(world.stack.is_at_rest());
}

#[test]
fn only_what_changed_is_replaced() {
    let mut world = World::new();
    let both = || vec![service("web"), service("db")];
    assert_eq!(
        world.up(both(), &[], &DiffOptions::default()),
        ["create container p-db-1", "create container p-web-1"]
    );
    world.started("p-web-1");
    world.started("p-db-1");
    world.take();
    let mut changed = both();
    changed[0].restart = RestartPolicy::Always;
    assert_eq!(
        world.up(changed, &[], &DiffOptions::default()),
        ["keep container p-db-1", "keep container p-web-1"]
    );
    assert_eq!(
        world.stack.containers["p-web-1"].plan.service.restart,
        RestartPolicy::Always
    );
    let mut changed = both();
    changed[0].container.command = Some(vec!["x".to_owned()]);
    let actions = world.up(changed, &[], &DiffOptions::default());
    assert_eq!(
        actions,
        [
            "keep container p-db-1",
            "recreate container p-web-1: its configuration changed"
        ]
    );
    assert_eq!(world.take(), [Effect::Signal("p-web-1".to_owned(), 15)]);
    world.exited("p-web-1", 0);
    world.removed("p-web-1");
    assert_eq!(
        world.take(),
        [Effect::Remove("p-web-1".to_owned()), start("p-web-1")]
    );
}

#[test]
fn options_of_up() {
    let mut world = World::new();
    let services = || {
        vec![
            depends(service("web"), "db", Condition::Started),
            service("db"),
            service("other"),
        ]
    };
    let scale = DiffOptions {
        services: vec!["web".to_owned()],
        scale: BTreeMap::from([("web".to_owned(), 2)]),
        ..DiffOptions::default()
    };
    let actions = world.up(services(), &[], &scale);
    assert_eq!(
        actions,
        [
            "create container p-db-1",
            "create container p-web-1",
            "create container p-web-2"
        ]
    );
    let alone = DiffOptions {
        services: vec!["web".to_owned()],
        no_deps: true,
        recreate: Recreate::Always,
        ..DiffOptions::default()
    };
    assert_eq!(
        world.up(services(), &[], &alone),
        [
            "recreate container p-web-1: --force-recreate",
            "remove container p-web-2"
        ]
    );
    let fewer = vec![service("other")];
    let actions = world.up(fewer.clone(), &[], &DiffOptions::default());
    assert_eq!(
        actions.last().unwrap(),
        "leave orphan container p-web-2 (--remove-orphans removes it)"
    );
    assert!(world.log.contains("p-web-2 Note"), "{}", world.log);
    let orphans = DiffOptions {
        remove_orphans: true,
        ..DiffOptions::default()
    };
    assert_eq!(
        world.up(fewer, &[], &orphans).last().unwrap(),
        "remove container p-web-2"
    );
}

#[test]
fn a_replaced_dependency_restarts_those_who_ask_for_it() {
    let mut world = World::new();
    let services = |command: &str| {
        let mut web = depends(service("web"), "db", Condition::Started);
        web.depends_on.get_mut("db").unwrap().restart = true;
        let mut db = service("db");
        db.container.command = Some(vec![command.to_owned()]);
        vec![web, db]
    };
    world.up(services("a"), &[], &DiffOptions::default());
    world.started("p-db-1");
    world.started("p-web-1");
    let actions = world.up(services("b"), &[], &DiffOptions::default());
    assert_eq!(
        actions[1],
        "restart container p-web-1: a dependency is replaced"
    );
}

#[test]
fn another_keeper_goes_on_from_what_is_written() {
    let mut world = World::new();
    let web = depends(service("web"), "db", Condition::Healthy);
    world.up(vec![web, service("db")], &["db"], &DiffOptions::default());
    world.started("p-db-1");
    world.wait();
    world.take();
    // The check is under way; the keeper dies.
    let written = serde_json::to_string(&world.stack).unwrap();
    world.stack = serde_json::from_str(&written).unwrap();
    world.stack.adopt(world.now);
    world.step();
    assert_eq!(world.take(), [Effect::Probe("p-db-1".to_owned())]);
    world.probed("p-db-1", true);
    assert_eq!(world.take(), [start("p-web-1")]);
}

#[test]
fn down_while_coming_up_ends_with_nothing() {
    let mut world = World::new();
    world.up(
        vec![
            depends(service("web"), "db", Condition::Started),
            service("db"),
        ],
        &[],
        &DiffOptions::default(),
    );
    world.stack.want_remove(&Selection::All, None);
    world.step();
    // The start that is under way is waited for; the one that was waiting never happens.
    assert_eq!(
        world.take(),
        [start("p-db-1"), Effect::Remove("p-web-1".to_owned())]
    );
    world.removed("p-web-1");
    world.started("p-db-1");
    assert_eq!(world.take(), [Effect::Signal("p-db-1".to_owned(), 15)]);
    world.stack.hurry(world.now);
    world.step();
    assert_eq!(world.take(), [Effect::Signal("p-db-1".to_owned(), 9)]);
    world.exited("p-db-1", 137);
    world.removed("p-db-1");
    assert!(world.stack.containers.is_empty());
}

#[test]
fn the_hash_changes_only_with_its_recipe() {
    insta::assert_snapshot!(plan(&service("web"), true).hash, @"af36f8cfcb771d974990687f0c9006b18fe2aaf8c1ee82213081d00c75a1a57b");
}

#[test]
fn a_restart_takes_along_who_asks_for_it_and_runs() {
    let mut world = World::new();
    let mut sidecar = depends(service("sidecar"), "web", Condition::Started);
    sidecar.depends_on.get_mut("web").unwrap().restart = true;
    let other = depends(service("other"), "web", Condition::Started);
    world.up(
        vec![service("web"), sidecar, other],
        &[],
        &DiffOptions::default(),
    );
    for name in ["p-web-1", "p-other-1", "p-sidecar-1"] {
        world.started(name);
    }
    world.take();
    let web = ["web".to_owned()];
    let names = world.stack.want_restart(&Selection::of(&web), None);
    assert_eq!(names, ["p-sidecar-1", "p-web-1"]);
    world.step();
    assert_eq!(world.take(), [Effect::Signal("p-sidecar-1".to_owned(), 15)]);
    world.exited("p-sidecar-1", 0);
    world.exited("p-web-1", 0);
    // The sidecar waits for the new run, although the old one had been started, too.
    assert_eq!(
        world.take(),
        [Effect::Signal("p-web-1".to_owned(), 15), start("p-web-1")]
    );
    world.started("p-web-1");
    assert_eq!(world.take(), [start("p-sidecar-1")]);
    world.started("p-sidecar-1");
    world
        .stack
        .want_stop(&Selection::Services(&["sidecar".to_owned()]), None);
    let names = world.stack.want_restart(&Selection::of(&web), None);
    assert_eq!(names, ["p-web-1"]);
}
