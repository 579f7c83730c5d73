//! Order, loss and exit codes of a whole fleet, on a clock of our own.

use super::*;
use crate::ending::Ending;
use crate::program::{Autorestart, Policy, Sink};

fn program(name: &str, policy: Policy) -> Program {
    Program {
        name: name.to_owned(),
        group: name.to_owned(),
        command: vec![name.to_owned()],
        directory: None,
        identity: None,
        umask: None,
        environment: Vec::new(),
        stdout: Sink::Stdout,
        stderr: Sink::Stderr,
        policy,
        check: None,
    }
}

fn at(priority: i32) -> Policy {
    Policy {
        priority,
        start_time: Duration::ZERO,
        ..Policy::default()
    }
}

fn seconds(count: u64) -> Moment {
    Duration::from_secs(count)
}

/// A fleet whose processes start as soon as they are asked to; each has its place + 100 as pid.
struct World {
    fleet: Fleet,
    now: Moment,
    /// What was done, in order: `spawn 0`, `SIGTERM 1`.
    done: Vec<String>,
}

impl World {
    fn of(programs: Vec<Program>) -> Self {
        let mut world = Self {
            fleet: Fleet::new(programs, Duration::ZERO),
            now: Moment::ZERO,
            done: Vec::new(),
        };
        let orders = world.fleet.begin(Moment::ZERO);
        world.execute(orders);
        world
    }

    fn execute(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Process(id, Effect::Spawn) => {
                    self.done.push(format!("spawn {id}"));
                    let pid = i32::try_from(id).unwrap() + 100;
                    let orders = self.fleet.on(id, Event::Spawned { pid }, self.now);
                    self.execute(orders);
                }
                Order::Process(id, Effect::Signal { signal, .. }) => {
                    self.done.push(format!("{signal} {id}"));
                }
                Order::Process(_, Effect::Tell(_)) | Order::Tell(_) => {}
            }
        }
    }

    fn exits(&mut self, id: Id, code: i32) {
        let event = Event::Ended {
            ending: Ending::Exited(code),
            group_left: false,
        };
        let orders = self.fleet.on(id, event, self.now);
        self.execute(orders);
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        let orders = self.fleet.tick(self.now);
        self.execute(orders);
    }

    fn stop(&mut self) {
        let orders = self.fleet.stop(Signal::SIGTERM, self.now);
        self.execute(orders);
    }

    fn done(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }

    fn code(&self) -> Option<u8> {
        match self.fleet.phase() {
            Phase::Over { code } => Some(*code),
            _ => None,
        }
    }
}

#[test]
fn levels_start_in_order_once_the_lower_is_up() {
    let slow = Policy {
        start_time: seconds(2),
        ..at(5)
    };
    let mut world = World::of(vec![
        program("nginx", at(10)),
        program("fpm", slow),
        program("log", at(5)),
    ]);
    assert_eq!(world.done(), ["spawn 1", "spawn 2"]);
    assert_eq!(world.fleet.phase(), &Phase::Rising { level: 0 });
    world.passes(seconds(2));
    assert_eq!(world.done(), ["spawn 0"]);
    assert_eq!(world.fleet.phase(), &Phase::Steady);
}

#[test]
fn levels_stop_in_reverse_order_and_cleanly() {
    let mut world = World::of(vec![
        program("fpm", at(1)),
        program("a", at(2)),
        program("b", at(2)),
    ]);
    world.done();
    world.stop();
    assert_eq!(world.done(), ["SIGTERM 1", "SIGTERM 2"]);
    world.stop();
    world.exits(1, 0);
    assert_eq!(world.done(), [""; 0]);
    world.exits(2, 143);
    assert_eq!(world.done(), ["SIGTERM 0"]);
    world.exits(0, 0);
    assert_eq!(world.code(), Some(0));
}

#[test]
fn what_was_killed_shows_in_the_exit_code() {
    let mut world = World::of(vec![program("worker", at(1))]);
    world.stop();
    world.passes(seconds(10));
    assert_eq!(world.done(), ["spawn 0", "SIGTERM 0", "SIGKILL 0"]);
    world.exits(0, 137);
    assert_eq!(world.code(), Some(137));
}

#[test]
fn a_lost_essential_stops_the_others_with_its_status() {
    let once = Policy {
        autorestart: Autorestart::Never,
        ..at(1)
    };
    let mut world = World::of(vec![program("main", once), program("side", at(1))]);
    world.exits(0, 3);
    assert_eq!(world.done(), ["spawn 0", "spawn 1", "SIGTERM 1"]);
    world.exits(1, 0);
    assert_eq!(world.code(), Some(3));
}

#[test]
fn an_essential_that_ends_without_restart_is_lost_even_with_code_0() {
    let mut world = World::of(vec![program("fpm", at(1)), program("nginx", at(1))]);
    world.exits(0, 0);
    world.exits(1, 0);
    assert_eq!(world.code(), Some(1));
}

#[test]
fn fatal_after_retries_is_a_loss() {
    let policy = Policy {
        start_time: seconds(1),
        start_retries: 1,
        ..at(1)
    };
    let mut world = World::of(vec![program("bad", policy), program("good", at(1))]);
    world.exits(0, 9);
    world.passes(seconds(1));
    world.exits(0, 9);
    assert_eq!(world.done(), ["spawn 0", "spawn 1", "spawn 0", "SIGTERM 1"]);
    world.exits(1, 0);
    assert_eq!(world.code(), Some(9));
}

#[test]
fn a_loss_while_rising_starts_no_further_level() {
    let once = Policy {
        autorestart: Autorestart::Never,
        start_retries: 0,
        ..at(1)
    };
    let mut world = World::of(vec![
        program(
            "migrate",
            Policy {
                start_time: seconds(5),
                ..once
            },
        ),
        program("web", at(2)),
    ]);
    world.exits(0, 4);
    assert_eq!(world.done(), ["spawn 0"]);
    assert_eq!(world.code(), Some(4));
}

#[test]
fn one_shots_finish_and_the_rest_goes_on() {
    let once = Policy {
        autorestart: Autorestart::Never,
        start_time: seconds(1),
        ..at(1)
    };
    let mut world = World::of(vec![program("migrate", once), program("web", at(2))]);
    assert_eq!(world.done(), ["spawn 0"]);
    world.exits(0, 0);
    assert_eq!(world.done(), ["spawn 1"]);
    assert_eq!(world.fleet.phase(), &Phase::Steady);
}

#[test]
fn when_all_have_finished_the_code_is_zero() {
    let once = Policy {
        autorestart: Autorestart::Never,
        ..at(1)
    };
    let mut world = World::of(vec![program("a", once), program("b", at(1))]);
    world.exits(0, 0);
    assert_eq!(world.code(), None);
    world.exits(1, 0);
    assert_eq!(world.code(), Some(0));
}

#[test]
fn what_is_not_essential_may_be_lost() {
    let side = Policy {
        essential: false,
        start_retries: 0,
        start_time: seconds(1),
        ..at(1)
    };
    let mut world = World::of(vec![program("side", side), program("web", at(1))]);
    world.exits(0, 1);
    assert_eq!(
        (world.code(), world.done()),
        (None, vec!["spawn 0".to_owned(), "spawn 1".to_owned()])
    );
}

#[test]
fn a_cut_kills_every_level_at_once() {
    let mut world = World::of(vec![program("fpm", at(1)), program("nginx", at(2))]);
    world.stop();
    world.done();
    let orders = world.fleet.cut(world.now);
    world.execute(orders);
    assert_eq!(world.done(), ["SIGKILL 0", "SIGKILL 1"]);
    world.exits(0, 137);
    world.exits(1, 137);
    assert_eq!(world.code(), Some(137));
}

#[test]
fn a_drain_delay_comes_before_the_first_signal() {
    let mut world = World::of(vec![program("web", at(1))]);
    world.fleet.drain_delay = seconds(5);
    world.done();
    world.stop();
    assert_eq!(world.fleet.deadline(), Some(seconds(5)));
    assert!(matches!(world.fleet.phase(), Phase::Draining { .. }) && world.done().is_empty());
    world.passes(seconds(5));
    assert_eq!(world.done(), ["SIGTERM 0"]);
}

#[test]
fn the_budget_adds_up_the_levels() {
    let long = Policy {
        stop_wait: seconds(60),
        ..at(2)
    };
    let fleet = Fleet::new(
        vec![program("a", at(1)), program("b", at(2)), program("c", long)],
        seconds(5),
    );
    assert_eq!(fleet.stop_budget(), seconds(75));
}

#[test]
fn restarts_are_counted() {
    let always = Policy {
        autorestart: Autorestart::Always,
        ..at(1)
    };
    let mut world = World::of(vec![program("web", always)]);
    world.passes(seconds(20));
    world.exits(0, 1);
    world.passes(seconds(1));
    assert_eq!(
        (world.done().len(), world.fleet.members()[0].restarts),
        (2, 1)
    );
}
