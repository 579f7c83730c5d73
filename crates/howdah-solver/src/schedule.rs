//! Which vertex may run next. Pure bookkeeping, no threads.

use std::collections::BTreeSet;

use crate::graph::{Class, Graph, VertexId};

/// How many vertices may execute at once, by what they spend their time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Our own computing and copying: the number of cores.
    pub work: usize,
    /// Containers: a little more, since they often wait.
    pub process: usize,
}

impl Limits {
    /// Limits for a machine with so many cores.
    pub fn for_cores(cores: usize) -> Limits {
        let cores = cores.max(1);
        Limits {
            work: cores,
            process: cores + cores.div_ceil(2),
        }
    }

    fn of(self, class: Class) -> usize {
        match class {
            Class::Work => self.work.max(1),
            Class::Process => self.process.max(1),
        }
    }
}

/// The vertices that are wanted and not done, with the number of inputs each still waits for.
#[derive(Debug)]
pub(crate) struct Schedule<'g, O> {
    graph: &'g Graph<O>,
    limits: Limits,
    blocked_by: Vec<usize>,
    readers: Vec<Vec<VertexId>>,
    ready: BTreeSet<VertexId>,
    running: Vec<VertexId>,
}

impl<'g, O> Schedule<'g, O> {
    /// A schedule of the vertices for which `wanted` says true; all others count as done.
    pub(crate) fn new(graph: &'g Graph<O>, limits: Limits, wanted: &[bool]) -> Schedule<'g, O> {
        let mut schedule = Schedule {
            graph,
            limits,
            blocked_by: vec![0; graph.len()],
            readers: vec![Vec::new(); graph.len()],
            ready: BTreeSet::new(),
            running: Vec::new(),
        };
        for (id, vertex) in graph.iter().filter(|(id, _)| wanted[id.index()]) {
            let inputs: BTreeSet<VertexId> = vertex
                .inputs
                .iter()
                .copied()
                .filter(|input| wanted[input.index()])
                .collect();
            schedule.blocked_by[id.index()] = inputs.len();
            if inputs.is_empty() {
                schedule.ready.insert(id);
            }
            for input in inputs {
                schedule.readers[input.index()].push(id);
            }
        }
        schedule
    }

    /// The first vertex that may start now; it counts as running from here on.
    pub(crate) fn start_next(&mut self) -> Option<VertexId> {
        let id = self.ready.iter().copied().find(|id| {
            let class = self.graph.vertex(*id).class;
            let running = self
                .running
                .iter()
                .filter(|other| self.graph.vertex(**other).class == class)
                .count();
            running < self.limits.of(class)
        })?;
        self.ready.remove(&id);
        self.running.push(id);
        Some(id)
    }

    /// A running vertex is done; those that only waited for it become ready.
    pub(crate) fn finish(&mut self, id: VertexId) {
        self.running.retain(|other| *other != id);
        for reader in std::mem::take(&mut self.readers[id.index()]) {
            let blocked = &mut self.blocked_by[reader.index()];
            *blocked -= 1;
            if *blocked == 0 {
                self.ready.insert(reader);
            }
        }
    }

    /// Whether something still runs.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Vertex;
    use crate::key::Key;

    fn add(graph: &mut Graph<()>, name: &str, class: Class, inputs: &[VertexId]) -> VertexId {
        graph.add(Vertex::new(
            (),
            Key::of(name.as_bytes()),
            inputs.to_vec(),
            class,
        ))
    }

    #[test]
    fn inputs_come_first_and_classes_are_bounded_apart() {
        let mut graph = Graph::default();
        let base = add(&mut graph, "base", Class::Work, &[]);
        let runs: Vec<_> = (0..3)
            .map(|index| add(&mut graph, &format!("run {index}"), Class::Process, &[base]))
            .collect();
        let copy = add(&mut graph, "copy", Class::Work, &[base]);
        let last = add(&mut graph, "last", Class::Work, &[copy, runs[0], runs[0]]);
        let mut schedule = Schedule::new(
            &graph,
            Limits {
                work: 1,
                process: 2,
            },
            &vec![true; graph.len()],
        );
        assert_eq!(schedule.start_next(), Some(base));
        assert_eq!(schedule.start_next(), None);
        schedule.finish(base);
        let started: Vec<_> = std::iter::from_fn(|| schedule.start_next()).collect();
        assert_eq!(started, [runs[0], runs[1], copy]);
        schedule.finish(runs[0]);
        assert_eq!(schedule.start_next(), Some(runs[2]));
        schedule.finish(copy);
        assert_eq!(schedule.start_next(), Some(last));
        for id in [runs[1], runs[2], last] {
            schedule.finish(id);
        }
        assert!(!schedule.is_running());
    }

    #[test]
    fn what_is_not_wanted_blocks_nothing() {
        let mut graph = Graph::default();
        let base = add(&mut graph, "base", Class::Work, &[]);
        let run = add(&mut graph, "run", Class::Process, &[base]);
        let mut schedule = Schedule::new(&graph, Limits::for_cores(2), &[false, true]);
        assert_eq!(schedule.start_next(), Some(run));
        assert_eq!(schedule.start_next(), None);
    }
}
