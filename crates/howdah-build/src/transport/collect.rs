//! What a build has for a cache: the results of its steps, as far as they are remembered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use howdah_solver::{Cache as _, Graph, Key, VertexId};

use super::caches::Caches;
use super::export::{CacheExport, now};
use super::spec::{CacheMode, CacheTarget};
use crate::cache::Records;
use crate::error::StepError;
use crate::exec::Worker;
use crate::lower::Lowered;
use crate::op::{MountKindOp, Op};
use crate::request::Target;
use crate::root::Root;

/// The result of one step, and all that makes it useful elsewhere.
#[derive(Debug)]
pub(super) struct StepResult {
    /// By definition, and by content where that is known.
    pub(super) keys: Vec<Key>,
    pub(super) root: Arc<Root>,
    /// What it took when it ran; 0 if that is not known here.
    pub(super) seconds: f64,
    /// When it was needed last, in seconds since 1970.
    pub(super) used: i64,
    pub(super) memories: Vec<(Key, Key)>,
}

/// What goes into one cache.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) steps: Vec<StepResult>,
    /// Contents of layers of base images, which do not travel.
    pub(super) base: HashSet<Key>,
    /// Ids of the cache mounts that steps have.
    pub(super) mounts: Vec<String>,
    /// `SOURCE_DATE_EPOCH`: layers leave as they do with the image.
    pub(super) epoch: Option<i64>,
    /// Where results came from whose files are not here.
    pub(super) caches: Option<Arc<Caches>>,
}

/// The caches that targets want written, with what goes there. `took` knows how long a step ran in this build.
pub(crate) fn exports(
    targets: &[Target],
    lowered: &Lowered,
    records: &Records<'_>,
    worker: &Worker<'_>,
    took: &dyn Fn(VertexId) -> Option<Duration>,
) -> Result<Vec<CacheExport>, StepError> {
    let exports = grouped(targets).into_iter().map(|(target, numbers)| {
        let wanted = (numbers.as_slice(), target.mode);
        Ok(CacheExport {
            collected: collect(lowered, records, worker, wanted, took)?,
            registry: worker.options.registry.clone(),
            target,
        })
    });
    exports.collect()
}

/// The caches to write, and the numbers of the targets that go into each.
fn grouped(targets: &[Target]) -> Vec<(CacheTarget, Vec<usize>)> {
    let mut exports: Vec<(CacheTarget, Vec<usize>)> = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        for cache in &target.cache_to {
            match exports.iter_mut().find(|(known, _)| known == cache) {
                Some((_, numbers)) => numbers.push(number),
                None => exports.push((cache.clone(), vec![number])),
            }
        }
    }
    exports
}

/// Collects the steps of some targets, given by their numbers.
fn collect(
    lowered: &Lowered,
    records: &Records<'_>,
    worker: &Worker<'_>,
    wanted: (&[usize], CacheMode),
    took: &dyn Fn(VertexId) -> Option<Duration>,
) -> Result<Collected, StepError> {
    let (targets, mode) = wanted;
    let graph = &lowered.graph;
    let roots = targets.iter().map(|target| lowered.targets[*target].root);
    let ids = reachable(graph, roots.collect(), mode);
    let outputs = records.find(&keys(graph))?;
    let output = |id: VertexId| outputs[id.index()].as_ref();
    let mut collected = Collected {
        base: lowered
            .images
            .values()
            .flat_map(|root| root.contents())
            .collect(),
        epoch: targets
            .iter()
            .find_map(|target| lowered.targets[*target].epoch),
        caches: worker.imports.asked().cloned(),
        ..Collected::default()
    };
    for (id, vertex) in graph.iter().filter(|(id, _)| ids.contains(id)) {
        collected.add_mounts(&vertex.op);
        if let Some(root) = output(id)
            && !matches!(vertex.op, Op::Image(_))
        {
            let inputs = vertex.inputs.iter().map(|input| output(*input));
            let known = worker.known_contents(vertex, &inputs.collect::<Vec<_>>(), root)?;
            let mut keys = vec![*vertex.key()];
            keys.extend(known.key);
            collected.steps.push(StepResult {
                keys,
                root: Arc::clone(root),
                seconds: took(id).map_or(0.0, |took| took.as_secs_f64()),
                used: now(),
                memories: known.memories,
            });
        }
    }
    Ok(collected)
}

impl Collected {
    fn add_mounts(&mut self, op: &Op) {
        let Op::Run(op) = op else { return };
        for mount in &op.mounts {
            if let MountKindOp::Cache { id, .. } = &mount.kind
                && !self.mounts.contains(id)
            {
                self.mounts.push(id.clone());
            }
        }
    }
}

fn keys(graph: &Graph<Op>) -> Vec<Key> {
    graph.iter().map(|(_, vertex)| *vertex.key()).collect()
}

/// The vertices behind targets: all, or those whose layers the images have.
fn reachable(graph: &Graph<Op>, mut open: Vec<VertexId>, mode: CacheMode) -> HashSet<VertexId> {
    let mut found = HashSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let inputs = &graph.vertex(id).inputs;
            let count = match mode {
                CacheMode::Min => inputs.len().min(1),
                CacheMode::Max => inputs.len(),
            };
            open.extend(&inputs[..count]);
        }
    }
    found
}
