//! Solving: look up, decide what is needed, execute it in parallel, remember.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::cancel::Cancel;
use crate::graph::{Graph, Vertex, VertexId};
use crate::key::Key;
use crate::schedule::{Limits, Schedule};
use crate::{Cache, Executor};

/// How a remembered output was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hit {
    /// By the vertex's definition.
    Definition,
    /// An input was made anew, but with the same content.
    Content,
    /// Another process or another solve made it while this one waited.
    Elsewhere,
    /// Not looked at: what reads it is remembered.
    Unneeded,
}

/// How a vertex came to its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was remembered.
    Hit(Hit),
    /// It was executed, in this time.
    Executed(Duration),
}

/// What a solve would do with a vertex, as far as that can be told without executing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// It is remembered.
    Hit(Hit),
    /// It would be executed.
    Executes,
    /// It would be executed, unless an input that is made anew comes out with the same content.
    Depends,
}

/// What happens while a graph is solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A vertex is looked up by content and, if that misses, executed.
    Started(VertexId),
    /// A vertex has its output.
    Resolved(VertexId, Resolution),
    /// A vertex failed.
    Failed(VertexId, Duration),
}

/// The outputs of a solved graph.
#[derive(Clone, Debug)]
pub struct Solution<T> {
    /// By vertex; `None` where nothing needed it.
    pub outputs: Vec<Option<T>>,
    /// By vertex.
    pub resolutions: Vec<Resolution>,
}

/// Why a graph could not be solved.
#[derive(Debug, Error)]
pub enum SolveError<E: std::error::Error + 'static> {
    /// A vertex failed.
    #[error("vertex {} failed", vertex.index())]
    Vertex {
        /// Which one.
        vertex: VertexId,
        /// Why.
        source: E,
    },
    /// The cache could not be read.
    #[error("cannot look up the graph's vertices")]
    Cache {
        /// Why.
        source: E,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Everything a solve needs; see [`Solver::solve`].
pub struct Solver<'a, X: Executor, C> {
    /// The vertices.
    pub graph: &'a Graph<X::Op>,
    /// Does the work.
    pub executor: &'a X,
    /// Remembers it.
    pub cache: &'a C,
    /// How much at once.
    pub limits: Limits,
    /// Fired to stop.
    pub cancel: &'a Cancel,
    /// Told of everything that happens, from several threads.
    pub observe: &'a (dyn Fn(Event) + Sync),
}

impl<X: Executor, C> std::fmt::Debug for Solver<'_, X, C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Solver")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A vertex's output with all that must be known about it later.
#[derive(Debug)]
struct Resolved<T> {
    output: T,
    resolution: Resolution,
    cacheable: bool,
}

type Report<T, E> = (
    VertexId,
    Duration,
    Result<Result<Option<Resolved<T>>, E>, Box<dyn Any + Send>>,
);

impl<X, C> Solver<'_, X, C>
where
    X: Executor,
    C: Cache<Output = X::Output, Error = X::Error> + Sync,
{
    /// Brings `targets` to their outputs. Vertices that only remembered ones read are not touched.
    pub fn solve(&self, targets: &[VertexId]) -> Result<Solution<X::Output>, SolveError<X::Error>> {
        let outputs = self
            .find_all()
            .map_err(|source| SolveError::Cache { source })?;
        let needed = self.needed(targets, &outputs);
        let mut resolutions = vec![Resolution::Hit(Hit::Definition); outputs.len()];
        let mut missing = vec![false; outputs.len()];
        for (id, _) in self.graph.iter() {
            let index = id.index();
            missing[index] = needed[index] && outputs[index].is_none();
            if missing[index] {
                continue;
            }
            if outputs[index].is_none() {
                resolutions[index] = Resolution::Hit(Hit::Unneeded);
            }
            (self.observe)(Event::Resolved(id, resolutions[index]));
        }
        let mut solution = Solution {
            outputs,
            resolutions,
        };
        if missing.contains(&true) {
            self.run(
                Schedule::new(self.graph, self.limits, &missing),
                &mut solution,
            )?;
        }
        Ok(solution)
    }

    /// Says what [`solve`](Self::solve) would do, by vertex. Executes nothing.
    pub fn predict(&self, targets: &[VertexId]) -> Result<Vec<Prediction>, X::Error> {
        let mut outputs = self.find_all()?;
        let needed = self.needed(targets, &outputs);
        let mut predictions = Vec::with_capacity(outputs.len());
        for (id, vertex) in self.graph.iter() {
            let index = id.index();
            let inputs: Vec<X::Output> = vertex
                .inputs
                .iter()
                .filter_map(|input| outputs[input.index()].clone())
                .collect();
            let prediction = if outputs[index].is_some() {
                Prediction::Hit(Hit::Definition)
            } else if !needed[index] {
                Prediction::Hit(Hit::Unneeded)
            } else if vertex.ignore_cache {
                Prediction::Executes
            } else if inputs.len() < vertex.inputs.len() {
                Prediction::Depends
            } else {
                outputs[index] = match self.content_key(vertex, &inputs)? {
                    Some(key) => self.find_one(&key)?,
                    None => None,
                };
                match outputs[index] {
                    Some(_) => Prediction::Hit(Hit::Content),
                    None => Prediction::Executes,
                }
            };
            predictions.push(prediction);
        }
        Ok(predictions)
    }

    /// What is remembered, by vertex; nothing of those that must not be looked up.
    fn find_all(&self) -> Result<Vec<Option<X::Output>>, X::Error> {
        let keys: Vec<Key> = self.graph.iter().map(|(_, vertex)| *vertex.key()).collect();
        let mut outputs = self.cache.find(&keys)?;
        for (id, _) in self.graph.iter().filter(|(_, vertex)| vertex.ignore_cache) {
            outputs[id.index()] = None;
        }
        Ok(outputs)
    }

    /// The targets, and the inputs of every needed vertex that is not remembered.
    fn needed(&self, targets: &[VertexId], outputs: &[Option<X::Output>]) -> Vec<bool> {
        let mut needed = vec![false; outputs.len()];
        let mut open = targets.to_vec();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut needed[id.index()], true) && outputs[id.index()].is_none() {
                open.extend(&self.graph.vertex(id).inputs);
            }
        }
        needed
    }

    /// Executes the schedule, one thread for each running vertex. The first failure stops all others.
    fn run(
        &self,
        mut schedule: Schedule<'_, X::Op>,
        solution: &mut Solution<X::Output>,
    ) -> Result<(), SolveError<X::Error>> {
        let stop = Cancel::default();
        let hook = self.cancel.on_cancel({
            let stop = stop.clone();
            move || stop.cancel()
        });
        let mut uncacheable = vec![false; self.graph.len()];
        let mut failure = None;
        std::thread::scope(|scope| {
            let (sender, reports) = mpsc::channel::<Report<X::Output, X::Error>>();
            loop {
                while !stop.is_cancelled() {
                    let Some(id) = schedule.start_next() else {
                        break;
                    };
                    let inputs = &self.graph.vertex(id).inputs;
                    let cacheable = inputs.iter().all(|input| !uncacheable[input.index()]);
                    let inputs: Vec<X::Output> = inputs
                        .iter()
                        .filter_map(|input| solution.outputs[input.index()].clone())
                        .collect();
                    let (sender, stop) = (sender.clone(), stop.clone());
                    scope.spawn(move || {
                        let began = Instant::now();
                        let result = catch_unwind(AssertUnwindSafe(|| {
                            self.bring(id, &inputs, cacheable, &stop)
                        }));
                        // The receiver lives as long as something runs.
                        drop(sender.send((id, began.elapsed(), result)));
                    });
                }
                if !schedule.is_running() {
                    break;
                }
                let Ok((id, elapsed, result)) = reports.recv() else {
                    break;
                };
                schedule.finish(id);
                match result {
                    Ok(Ok(Some(resolved))) => {
                        uncacheable[id.index()] = !resolved.cacheable;
                        solution.outputs[id.index()] = Some(resolved.output);
                        solution.resolutions[id.index()] = resolved.resolution;
                        (self.observe)(Event::Resolved(id, resolved.resolution));
                    }
                    Ok(Ok(None)) => (self.observe)(Event::Failed(id, elapsed)),
                    Ok(Err(source)) => {
                        (self.observe)(Event::Failed(id, elapsed));
                        if !stop.is_cancelled() {
                            failure = Some(SolveError::Vertex { vertex: id, source });
                            stop.cancel();
                        }
                    }
                    Err(panic) => {
                        stop.cancel();
                        resume_unwind(panic);
                    }
                }
            }
        });
        drop(hook);
        match failure {
            Some(failure) => Err(failure),
            None if stop.is_cancelled() => Err(SolveError::Cancelled),
            None => Ok(()),
        }
    }

    /// One vertex: by content, else executed by one process at a time. `None` if cancelled while waiting.
    fn bring(
        &self,
        id: VertexId,
        inputs: &[X::Output],
        cacheable: bool,
        stop: &Cancel,
    ) -> Result<Option<Resolved<X::Output>>, X::Error> {
        (self.observe)(Event::Started(id));
        let vertex = self.graph.vertex(id);
        if !cacheable {
            return self.execute(id, inputs, &[], stop).map(Some);
        }
        let mut keys = vec![*vertex.key()];
        keys.extend(self.content_key(vertex, inputs)?);
        if !vertex.ignore_cache
            && let Some(content_key) = keys.get(1)
            && let Some(output) = self.find_one(content_key)?
        {
            self.cache.save(&keys[..1], &output)?;
            return Ok(Some(Resolved {
                output,
                resolution: Resolution::Hit(Hit::Content),
                cacheable,
            }));
        }
        let Some(_guard) = self.cache.lock(vertex.key(), stop)? else {
            return Ok(None);
        };
        if !vertex.ignore_cache
            && let Some(output) = self.find_one(vertex.key())?
        {
            return Ok(Some(Resolved {
                output,
                resolution: Resolution::Hit(Hit::Elsewhere),
                cacheable,
            }));
        }
        self.execute(id, inputs, &keys, stop).map(Some)
    }

    fn execute(
        &self,
        id: VertexId,
        inputs: &[X::Output],
        keys: &[Key],
        stop: &Cancel,
    ) -> Result<Resolved<X::Output>, X::Error> {
        let began = Instant::now();
        let outcome = self
            .executor
            .execute(id, self.graph.vertex(id), inputs, stop)?;
        let cacheable = outcome.cacheable && !keys.is_empty();
        if cacheable {
            self.cache.save(keys, &outcome.output)?;
        }
        Ok(Resolved {
            output: outcome.output,
            resolution: Resolution::Executed(began.elapsed()),
            cacheable,
        })
    }

    fn content_key(
        &self,
        vertex: &Vertex<X::Op>,
        inputs: &[X::Output],
    ) -> Result<Option<Key>, X::Error> {
        let mut contents = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            match self.executor.content(vertex, index, input)? {
                Some(content) => contents.push(content),
                None => return Ok(None),
            }
        }
        Ok((!contents.is_empty()).then(|| vertex.content_key(&contents)))
    }

    fn find_one(&self, key: &Key) -> Result<Option<X::Output>, X::Error> {
        Ok(self.cache.find(std::slice::from_ref(key))?.pop().flatten())
    }
}
