//! Executing vertices: the only place where a build changes anything.

mod agent;
mod bind;
pub(crate) mod cache_mount;
mod contents;
mod copy;
mod emulation;
mod error;
mod follow;
mod mounts;
mod network;
mod output;
mod private;
mod run;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use howdah_image::Store;
use howdah_runtime::{Running, Runtime};
use howdah_solver::{Cancel, Executor, Key, Outcome, Vertex, VertexId};

use crate::cache::Memory;
use crate::copy::Selection;
use crate::error::StepError;
use crate::event::Event;
use crate::op::Op;
use crate::remote::{FetchOp, Remote};
use crate::request::Options;
use crate::root::{Root, RootLayer};
use crate::transport::Imports;

pub use error::RunError;

pub(crate) use emulation::Emulation;
pub(crate) use network::BuildNetwork;

/// What an execution cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) peak_memory: u64,
    /// Bytes written into the layer.
    pub(crate) bytes: u64,
    /// Nothing had to be written: the same layer was made before, on another root.
    pub(crate) reused: bool,
}

/// Executes the vertices of one build.
pub(crate) struct Worker<'a> {
    pub(crate) store: &'a Store,
    pub(crate) memory: Memory,
    pub(crate) remote: &'a Remote,
    pub(crate) imports: &'a Imports<'a>,
    pub(crate) runtime: &'a Runtime,
    pub(crate) network: BuildNetwork,
    pub(crate) emulation: Emulation,
    pub(crate) options: &'a Options,
    pub(crate) observe: &'a (dyn Fn(Event) + Sync),
    pub(crate) costs: Mutex<HashMap<VertexId, Cost>>,
    /// The end of each step's output.
    pub(crate) tails: Mutex<HashMap<VertexId, Vec<String>>>,
    /// The last vertex of the graph that runs a container.
    pub(crate) last_run: Option<VertexId>,
    /// A container that has ended and is being cleared away.
    pub(crate) retired: Mutex<Option<Running>>,
    /// Sources that were read to find out their content, and will be copied next.
    pub(crate) selections: Mutex<HashMap<(Key, usize), Selection>>,
}

/// What an operation did.
struct Done {
    layer: RootLayer,
    cost: Cost,
    cacheable: bool,
}

impl Done {
    /// A layer that was made before.
    fn reused(layer: RootLayer) -> Done {
        Done {
            layer,
            cost: Cost {
                reused: true,
                ..Cost::default()
            },
            cacheable: true,
        }
    }
}

impl Worker<'_> {
    /// Takes what a step has cost.
    pub(crate) fn cost(&self, id: VertexId) -> Cost {
        let costs = self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        costs.get(&id).cloned().unwrap_or_default()
    }

    /// Takes the end of a step's output.
    pub(crate) fn take_tail(&self, id: VertexId) -> Vec<String> {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
            .unwrap_or_default()
    }

    fn fetch(&self, op: &FetchOp) -> Result<Done, StepError> {
        Ok(Done {
            layer: self.remote.fetch(op)?,
            cost: Cost::default(),
            cacheable: true,
        })
    }
}

impl Executor for Worker<'_> {
    type Op = Op;
    type Output = Arc<Root>;
    type Error = StepError;

    fn content(
        &self,
        vertex: &Vertex<Op>,
        input: usize,
        output: &Arc<Root>,
    ) -> Result<Option<Key>, StepError> {
        self.content_of(vertex, input, output)
    }

    fn execute(
        &self,
        id: VertexId,
        vertex: &Vertex<Op>,
        inputs: &[Arc<Root>],
        cancel: &Cancel,
    ) -> Result<Outcome<Arc<Root>>, StepError> {
        let stop = Arc::new(AtomicBool::new(false));
        let hook = cancel.on_cancel({
            let stop = Arc::clone(&stop);
            move || stop.store(true, Ordering::Relaxed)
        });
        let empty = Arc::default();
        let below = inputs.first().unwrap_or(&empty);
        let bring =
            |roots: &[Arc<Root>]| roots.iter().try_for_each(|root| self.imports.bring(root));
        let done = match &vertex.op {
            Op::Image(op) => {
                return Ok(Outcome {
                    output: Arc::clone(&op.root),
                    cacheable: false,
                });
            }
            Op::Fetch(op) => self.fetch(op),
            // Whether it needs the files of what it copies from is found out later.
            Op::Copy(op) => {
                bring(&inputs[..1]).and_then(|()| self.copy(vertex.key(), op, inputs, &stop))
            }
            Op::Workdir(op) => bring(inputs).and_then(|()| self.workdir(op, below, &stop)),
            Op::Run(op) => bring(inputs).and_then(|()| self.run(id, op, inputs, cancel)),
        };
        drop(hook);
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let done = done?;
        self.costs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, done.cost);
        Ok(Outcome {
            output: below.with(done.layer),
            cacheable: done.cacheable,
        })
    }
}
