//! The solver against a recording executor: what runs, in which order, how often.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::{
    Cache, Cancel, Class, Event, Executor, Graph, Hit, Key, Limits, Outcome, Prediction,
    Resolution, Solution, SolveError, Solver, Vertex, VertexId,
};

/// What the fake does: its name, and the content it gives (the same by default whatever the inputs hold).
#[derive(Clone, Debug)]
struct Op {
    name: &'static str,
    content: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} failed")]
struct Failed(&'static str);

#[derive(Default)]
struct Recorder {
    executed: Mutex<Vec<&'static str>>,
    running: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Executor for Recorder {
    type Op = Op;
    type Output = String;
    type Error = Failed;

    fn content(&self, _: &Vertex<Op>, _: usize, output: &String) -> Result<Option<Key>, Failed> {
        Ok((!output.starts_with("opaque")).then(|| Key::of(output.as_bytes())))
    }

    fn execute(
        &self,
        _: VertexId,
        vertex: &Vertex<Op>,
        _: &[String],
        cancel: &Cancel,
    ) -> Result<Outcome<String>, Failed> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(running, Ordering::SeqCst);
        self.executed.lock().unwrap().push(vertex.op.name);
        let result = match vertex.op.name {
            "fails" => Err(Failed("fails")),
            "waits" => {
                let fired = Arc::new((Mutex::new(false), Condvar::new()));
                let hook = cancel.on_cancel({
                    let fired = Arc::clone(&fired);
                    move || {
                        *fired.0.lock().unwrap() = true;
                        fired.1.notify_all();
                    }
                });
                drop(
                    fired
                        .1
                        .wait_while(fired.0.lock().unwrap(), |fired| !*fired)
                        .unwrap(),
                );
                drop(hook);
                Err(Failed("waits"))
            }
            "panics" => panic!("on purpose"),
            name => Ok(Outcome {
                output: vertex.op.content.to_owned(),
                cacheable: name != "moving",
            }),
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[derive(Default)]
struct Memory {
    records: Mutex<HashMap<Key, String>>,
    locked: Arc<(Mutex<HashSet<Key>>, Condvar)>,
}

struct Guard(Arc<(Mutex<HashSet<Key>>, Condvar)>, Key);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().remove(&self.1);
        self.0.1.notify_all();
    }
}

impl Cache for Memory {
    type Output = String;
    type Error = Failed;
    type Guard = Guard;

    fn find(&self, keys: &[Key]) -> Result<Vec<Option<String>>, Failed> {
        let records = self.records.lock().unwrap();
        Ok(keys.iter().map(|key| records.get(key).cloned()).collect())
    }

    fn save(&self, keys: &[Key], output: &String) -> Result<(), Failed> {
        self.records
            .lock()
            .unwrap()
            .extend(keys.iter().map(|key| (*key, output.clone())));
        Ok(())
    }

    fn lock(&self, key: &Key, _: &Cancel) -> Result<Option<Guard>, Failed> {
        let held = self
            .locked
            .1
            .wait_while(self.locked.0.lock().unwrap(), |held| held.contains(key));
        held.unwrap().insert(*key);
        Ok(Some(Guard(Arc::clone(&self.locked), *key)))
    }
}

/// One graph with its recorder; the cache is shared between the builds of a test.
#[derive(Default)]
struct Build {
    graph: Graph<Op>,
    recorder: Recorder,
    cancel: Cancel,
    events: Mutex<Vec<Event>>,
}

impl Build {
    fn add(&mut self, name: &'static str, inputs: &[VertexId]) -> VertexId {
        self.add_variant(name, name, name, inputs)
    }

    /// A vertex whose definition and whose result are chosen apart from its name.
    fn add_variant(
        &mut self,
        name: &'static str,
        definition: &str,
        content: &'static str,
        inputs: &[VertexId],
    ) -> VertexId {
        let digest = Key::of(definition.as_bytes());
        self.graph.add(Vertex::new(
            Op { name, content },
            digest,
            inputs.to_vec(),
            Class::Process,
        ))
    }

    fn solve(
        &self,
        memory: &Memory,
        targets: &[VertexId],
    ) -> Result<Solution<String>, SolveError<Failed>> {
        let observe = |event| self.events.lock().unwrap().push(event);
        Solver {
            graph: &self.graph,
            executor: &self.recorder,
            cache: memory,
            limits: Limits {
                work: 2,
                process: 2,
            },
            cancel: &self.cancel,
            observe: &observe,
        }
        .solve(targets)
    }

    fn predict(&self, memory: &Memory, target: VertexId) -> Vec<Prediction> {
        Solver {
            graph: &self.graph,
            executor: &self.recorder,
            cache: memory,
            limits: Limits::for_cores(1),
            cancel: &self.cancel,
            observe: &|_| {},
        }
        .predict(&[target])
        .unwrap()
    }

    fn executed(&self) -> Vec<&'static str> {
        self.recorder.executed.lock().unwrap().clone()
    }
}

#[test]
fn a_stage_shared_by_two_targets_runs_once() {
    let mut build = Build::default();
    let base = build.add("base", &[]);
    let composer = build.add("composer", &[base]);
    let web = build.add("web", &[composer]);
    let base_again = build.add("base", &[]);
    let composer_again = build.add("composer", &[base_again]);
    let worker = build.add("worker", &[composer_again]);
    let solution = build.solve(&Memory::default(), &[web, worker]).unwrap();
    let mut executed = build.executed();
    executed.sort_unstable();
    assert_eq!(executed, ["base", "composer", "web", "worker"]);
    assert_eq!(solution.outputs[worker.index()].as_deref(), Some("worker"));
}

#[test]
fn only_what_the_targets_need_runs() {
    let mut build = Build::default();
    let base = build.add("base", &[]);
    let unused = build.add("unused", &[base]);
    let target = build.add("target", &[base]);
    let solution = build.solve(&Memory::default(), &[target]).unwrap();
    assert_eq!(build.executed(), ["base", "target"]);
    assert_eq!(solution.outputs[unused.index()], None);
}

#[test]
fn the_second_solve_executes_nothing_and_looks_at_no_input_of_a_hit() {
    let memory = Memory::default();
    let mut build = Build::default();
    let base = build.add("base", &[]);
    let target = build.add("target", &[base]);
    build.solve(&memory, &[target]).unwrap();
    memory
        .records
        .lock()
        .unwrap()
        .remove(build.graph.vertex(base).key());
    let solution = build.solve(&memory, &[target]).unwrap();
    assert_eq!(build.executed(), ["base", "target"]);
    assert_eq!(
        solution.resolutions,
        [
            Resolution::Hit(Hit::Unneeded),
            Resolution::Hit(Hit::Definition)
        ]
    );
}

#[test]
fn an_input_made_anew_with_the_same_content_invalidates_nothing() {
    let memory = Memory::default();
    let mut first = Build::default();
    let input = first.add_variant("input", "v1", "same", &[]);
    let target = first.add("target", &[input]);
    let last = first.add("last", &[target]);
    first.solve(&memory, &[last]).unwrap();
    let mut second = Build::default();
    let input = second.add_variant("input", "v2", "same", &[]);
    let target = second.add("target", &[input]);
    let last = second.add("last", &[target]);
    let solution = second.solve(&memory, &[last]).unwrap();
    assert_eq!(second.executed(), ["input"]);
    assert_eq!(
        solution.resolutions[last.index()],
        Resolution::Hit(Hit::Content)
    );
    // Found by content once, it is remembered by definition.
    second.solve(&memory, &[last]).unwrap();
    assert_eq!(second.executed(), ["input"]);
}

#[test]
fn without_a_named_content_only_the_definition_counts() {
    let memory = Memory::default();
    for definition in ["v1", "v2"] {
        let mut build = Build::default();
        let input = build.add_variant("input", definition, "opaque", &[]);
        let target = build.add("target", &[input]);
        build.solve(&memory, &[target]).unwrap();
        assert_eq!(build.executed(), ["input", "target"]);
    }
}

#[test]
fn ignoring_the_cache_executes_again() {
    let memory = Memory::default();
    let mut build = Build::default();
    let mut vertex = Vertex::new(
        Op {
            name: "a",
            content: "a",
        },
        Key::of(b"a"),
        vec![],
        Class::Work,
    );
    vertex.ignore_cache = true;
    let target = build.graph.add(vertex);
    build.solve(&memory, &[target]).unwrap();
    build.solve(&memory, &[target]).unwrap();
    assert_eq!(build.executed(), ["a", "a"]);
}

#[test]
fn a_prediction_executes_nothing_and_comes_true() {
    let memory = Memory::default();
    let mut first = Build::default();
    let input = first.add_variant("input", "v1", "same", &[]);
    let target = first.add("target", &[input]);
    assert_eq!(
        first.predict(&memory, target),
        [Prediction::Executes, Prediction::Depends]
    );
    assert!(first.executed().is_empty());
    first.solve(&memory, &[target]).unwrap();
    assert_eq!(
        first.predict(&memory, target),
        [Prediction::Hit(Hit::Definition); 2]
    );
    let mut second = Build::default();
    let input = second.add_variant("input", "v2", "same", &[]);
    let target = second.add("target", &[input]);
    let unneeded = second.add("unneeded", &[]);
    assert_eq!(
        second.predict(&memory, target),
        [
            Prediction::Executes,
            Prediction::Depends,
            Prediction::Hit(Hit::Unneeded)
        ]
    );
    second.solve(&memory, &[input, unneeded]).unwrap();
    assert_eq!(
        second.predict(&memory, target)[target.index()],
        Prediction::Hit(Hit::Content)
    );
}

#[test]
fn what_stands_on_a_moving_input_is_not_remembered() {
    let memory = Memory::default();
    let mut build = Build::default();
    let moving = build.add("moving", &[]);
    let target = build.add("target", &[moving]);
    build.solve(&memory, &[target]).unwrap();
    assert!(memory.records.lock().unwrap().is_empty());
}

#[test]
fn independent_vertices_run_at_once_but_bounded() {
    let mut build = Build::default();
    let targets: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|name| build.add(name, &[]))
        .to_vec();
    build.solve(&Memory::default(), &targets).unwrap();
    assert_eq!(build.executed().len(), 5);
    assert!(build.recorder.most_at_once.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_failure_names_its_vertex_and_stops_the_others() {
    let mut build = Build::default();
    let waits = build.add("waits", &[]);
    let fails = build.add("fails", &[]);
    let after = build.add("after", &[waits]);
    let error = build
        .solve(&Memory::default(), &[after, fails])
        .unwrap_err();
    assert!(
        matches!(error, SolveError::Vertex { vertex, source: Failed("fails") } if vertex == fails),
        "{error:?}"
    );
    assert!(!build.executed().contains(&"after"));
}

#[test]
fn the_callers_cancel_ends_the_solve() {
    let mut build = Build::default();
    let waits = build.add("waits", &[]);
    let result = std::thread::scope(|scope| {
        let solve = scope.spawn(|| build.solve(&Memory::default(), &[waits]));
        while build.recorder.running.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        build.cancel.cancel();
        solve.join().unwrap()
    });
    assert!(matches!(result, Err(SolveError::Cancelled)));
}

#[test]
fn a_panic_is_not_a_hang() {
    let mut build = Build::default();
    let panics = build.add("panics", &[]);
    let waits = build.add("waits", &[]);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        build.solve(&Memory::default(), &[panics, waits])
    }));
    assert!(result.is_err());
}

#[test]
fn two_solves_at_once_execute_a_vertex_once() {
    let memory = Memory::default();
    let builds: Vec<(Build, VertexId)> = (0..4)
        .map(|_| {
            let mut build = Build::default();
            let base = build.add("base", &[]);
            let target = build.add("target", &[base]);
            (build, target)
        })
        .collect();
    std::thread::scope(|scope| {
        for (build, target) in &builds {
            scope.spawn(|| build.solve(&memory, &[*target]).unwrap());
        }
    });
    let executed: usize = builds.iter().map(|(build, _)| build.executed().len()).sum();
    assert_eq!(executed, 2);
}

#[test]
fn every_vertex_is_reported() {
    let mut build = Build::default();
    let base = build.add("base", &[]);
    build.solve(&Memory::default(), &[base]).unwrap();
    let events = build.events.lock().unwrap();
    assert!(
        matches!(
            events[..],
            [
                Event::Started(_),
                Event::Resolved(_, Resolution::Executed(_))
            ]
        ),
        "{events:?}"
    );
}
