//! One build from request to images.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use howdah_image::{Image, Store};
use howdah_runtime::Runtime;
use howdah_solver::{Cancel, Graph, Hit, Limits, Resolution, SolveError, Solver, VertexId};

use crate::assemble::{assemble, name};
use crate::cache::{Memory, Records, migrate};
use crate::error::{BuildError, StepError};
use crate::event::{CacheHit, Event, StepInfo};
use crate::exec::{BuildNetwork, Emulation, RunError, Worker};
use crate::history::{self, BuildRow, Counts, Ending, Forecast, StepOutcome, StepRow};
use crate::lower::{Lowered, Pull, lower};
use crate::op::Op;
use crate::remote::{Remote, RemoteError};
use crate::request::{Options, Target};
use crate::root::Root;
use crate::timing::{Phase, Timings};
use crate::transport::{CacheExport, FetchedLayers, Imports, exports};

/// Builds images into a store.
pub struct Builder<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// Runs containers.
    pub runtime: &'a Runtime,
    /// Where locks of the build network are; gone after a reboot.
    pub runtime_directory: &'a std::path::Path,
    /// Gets base images that are not here.
    pub pull: Pull<'a>,
    /// Told of everything that happens, from several threads.
    pub observe: &'a (dyn Fn(Event) + Sync),
    /// Fired to stop.
    pub cancel: Cancel,
}

impl std::fmt::Debug for Builder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("store", self.store)
            .finish_non_exhaustive()
    }
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// One for each target, in the order of the request.
    pub images: Vec<Image>,
    /// The images that were built upon or copied from, by the names the Dockerfiles have for them.
    pub bases: Vec<(String, Image)>,
    /// How much of it had to run.
    pub counts: Counts,
    /// Where the time went: the phases in their order, each without those inside it.
    pub phases: Vec<(Phase, Duration)>,
    /// The steps that ran, and how long.
    pub ran: Vec<(String, Duration)>,
    /// What came from caches elsewhere.
    pub fetched: FetchedLayers,
    /// Caches to write now, when the result is usable already.
    pub exports: Vec<CacheExport>,
}

impl Builder<'_> {
    /// Builds all targets in one graph: what several of them need is made once.
    pub fn build(&self, targets: &[Target], options: &Options) -> Result<Built, BuildError> {
        let started = SystemTime::now();
        let clock = Instant::now();
        let timings = Timings::default();
        timings.measure(Phase::Database, || migrate(self.store))?;
        let remote = Remote::new(self.store, options, &self.cancel);
        // Read while the context is.
        let imports = Imports::start(self.store, targets, options, self.observe);
        let lowered = timings.measure(Phase::Graph, || {
            lower(self.store, targets, options, &remote, self.pull, &timings)
        })?;
        let steps = lowered.steps.iter().map(|step| StepInfo {
            name: step.name(),
            place: step.place.clone(),
        });
        (self.observe)(Event::Planned {
            steps: steps.collect(),
        });
        let endings = Endings::default();
        let worker = self.worker(options, &remote, &imports, &lowered);
        let records = self.records(&lowered, &imports, &timings);
        let result = timings.measure(Phase::Steps, || {
            self.solve(&lowered, &records, &worker, &endings)
        });
        let images = result.and_then(|roots| {
            timings.measure(Phase::Images, || self.images(targets, &lowered, &roots))
        });
        let images = images.and_then(|images| {
            timings.measure(Phase::Images, || name(self.store, targets, &images))?;
            Ok(images)
        });
        let endings = endings.into_inner();
        let outcome = match &images {
            Ok(_) => "done",
            Err(BuildError::Cancelled) => "cancelled",
            Err(_) => "failed",
        };
        let counts = history::count(steps_only(&lowered, &endings));
        let mut row = build_row(targets, &lowered, |id, row| {
            let ending = endings.get(&id).copied().unwrap_or(Ending::Unreached);
            row.ended(
                ending,
                &worker.cost(id),
                lowered.graph.vertex(id).ignore_cache,
            )
        });
        row.started = history::milliseconds(started);
        row.seconds = clock.elapsed().as_secs_f64();
        outcome.clone_into(&mut row.outcome);
        let describe = |index| lowered.describe(self.store, index, options);
        let saved = timings.measure(Phase::History, || {
            history::save(self.store, &row, &describe)
        });
        let images = images?;
        saved?;
        let ran = row
            .steps
            .iter()
            .filter(|step| step.outcome == StepOutcome::Executed);
        let took = |id: VertexId| endings.get(&id).and_then(|ending| ending.duration());
        let exports = exports(targets, &lowered, &records, &worker, &took);
        Ok(Built {
            images,
            bases: lowered.bases,
            counts,
            fetched: imports.fetched(),
            exports: exports.map_err(cache_error)?,
            ran: ran
                .map(|step| (step.name.clone(), Duration::from_secs_f64(step.seconds)))
                .collect(),
            phases: timings.phases(clock.elapsed()),
        })
    }

    fn images(
        &self,
        targets: &[Target],
        lowered: &Lowered,
        roots: &[Arc<Root>],
    ) -> Result<Vec<Image>, BuildError> {
        let made = targets.iter().zip(&lowered.targets).zip(roots);
        made.map(|((target, lowered), root)| Ok(assemble(self.store, target, lowered, root)?))
            .collect()
    }

    /// Says which steps would run and why, without running any. Base images that are not here are pulled.
    pub fn predict(
        &self,
        targets: &[Target],
        options: &Options,
    ) -> Result<Vec<Forecast>, BuildError> {
        migrate(self.store)?;
        let timings = Timings::default();
        let remote = Remote::new(self.store, options, &self.cancel);
        let imports = Imports::start(self.store, targets, options, self.observe);
        let lowered = lower(self.store, targets, options, &remote, self.pull, &timings)?;
        let worker = self.worker(options, &remote, &imports, &lowered);
        let records = self.records(&lowered, &imports, &timings);
        let predictions =
            self.with_solver(&lowered, &records, &worker, &|_| {}, |solver, targets| {
                let predictions = solver.predict(targets);
                predictions
                    .map_err(|source| build_error(SolveError::Cache { source }, &lowered, &worker))
            })?;
        let row = build_row(targets, &lowered, |id, mut row| {
            if lowered.graph.vertex(id).ignore_cache {
                history::CACHE_NOT_ASKED.clone_into(&mut row.reason);
            }
            row
        });
        let describe = |index| lowered.describe(self.store, index, options);
        Ok(history::forecast(self.store, row, &predictions, &describe)?)
    }

    fn records<'r>(
        &self,
        lowered: &Lowered,
        imports: &'r Imports<'r>,
        timings: &'r Timings,
    ) -> Records<'r> {
        Records::new(self.store.clone(), lowered.images.clone(), imports, timings)
    }

    fn worker<'w>(
        &'w self,
        options: &'w Options,
        remote: &'w Remote,
        imports: &'w Imports<'w>,
        lowered: &Lowered,
    ) -> Worker<'w> {
        let vertices = lowered.graph.iter();
        let runs = vertices.filter(|(_, vertex)| matches!(vertex.op, Op::Run(_)));
        Worker {
            store: self.store,
            memory: Memory::new(self.store),
            remote,
            imports,
            runtime: self.runtime,
            network: BuildNetwork::new(self.runtime_directory),
            emulation: Emulation::default(),
            options,
            observe: self.observe,
            costs: Mutex::default(),
            tails: Mutex::default(),
            last_run: runs.last().map(|(id, _)| id),
            retired: Mutex::default(),
            selections: Mutex::default(),
        }
    }

    /// Solves the graph; again when a cache did not keep what its list promised.
    fn solve(
        &self,
        lowered: &Lowered,
        records: &Records<'_>,
        worker: &Worker<'_>,
        endings: &Endings,
    ) -> Result<Vec<Arc<Root>>, BuildError> {
        loop {
            let solved = self.solve_once(lowered, records, worker, endings);
            if !worker.imports.take_loss() {
                return solved;
            }
        }
    }

    fn solve_once(
        &self,
        lowered: &Lowered,
        records: &Records<'_>,
        worker: &Worker<'_>,
        endings: &Endings,
    ) -> Result<Vec<Arc<Root>>, BuildError> {
        let graph = &lowered.graph;
        let observe = |event| self.tell(event, graph, worker, endings);
        let roots = self.with_solver(lowered, records, worker, &observe, |solver, targets| {
            let solution = solver
                .solve(targets)
                .map_err(|error| build_error(error, lowered, worker))?;
            let roots = targets.iter();
            let roots = roots.filter_map(|target| solution.outputs[target.index()].clone());
            Ok(roots.collect::<Vec<Arc<Root>>>())
        })?;
        // An image of the store has all its files.
        for root in &roots {
            worker.imports.bring(root).map_err(cache_error)?;
        }
        records.keep_imported().map_err(cache_error)?;
        Ok(roots)
    }

    /// Calls `work` with a solver of the graph and its targets.
    fn with_solver<'w, T>(
        &self,
        lowered: &Lowered,
        records: &Records<'w>,
        worker: &Worker<'w>,
        observe: &(dyn Fn(howdah_solver::Event) + Sync),
        work: impl FnOnce(&Solver<'_, Worker<'w>, Records<'w>>, &[VertexId]) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let solver = Solver {
            graph: &lowered.graph,
            executor: worker,
            cache: records,
            limits: Limits::for_cores(cores),
            cancel: &self.cancel,
            observe,
        };
        let targets: Vec<VertexId> = lowered.targets.iter().map(|target| target.root).collect();
        work(&solver, &targets)
    }

    /// Notes how a vertex ended, and passes it on.
    fn tell(
        &self,
        event: howdah_solver::Event,
        graph: &Graph<Op>,
        worker: &Worker<'_>,
        endings: &Endings,
    ) {
        use howdah_solver::Event as Solving;
        let imported = |id| worker.imports.has_served(graph.vertex(id).key());
        let (id, ending) = match event {
            Solving::Started(id) => return (self.observe)(Event::Started { step: id.index() }),
            Solving::Resolved(id, Resolution::Hit(Hit::Definition)) if imported(id) => {
                (id, Ending::Hit(CacheHit::Imported))
            }
            Solving::Resolved(id, resolution) => {
                (id, Ending::of(resolution, worker.cost(id).reused))
            }
            // It is about to begin again.
            Solving::Failed(..) if worker.imports.has_loss() => return,
            Solving::Failed(id, duration) => (id, Ending::Failed(duration)),
        };
        endings.set(id, ending);
        let step = id.index();
        match ending {
            Ending::Hit(hit) => (self.observe)(Event::Cached { step, hit }),
            Ending::Executed(duration) => (self.observe)(Event::Finished { step, duration }),
            Ending::Failed(duration) => (self.observe)(Event::Failed { step, duration }),
            Ending::Unreached => {}
        }
    }
}

/// How vertices ended, noted from several threads.
#[derive(Default)]
struct Endings(Mutex<HashMap<VertexId, Ending>>);

impl Endings {
    fn set(&self, id: VertexId, ending: Ending) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, ending);
    }

    fn into_inner(self) -> HashMap<VertexId, Ending> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn steps_only<'e>(
    lowered: &Lowered,
    endings: &'e HashMap<VertexId, Ending>,
) -> impl Iterator<Item = &'e Ending> {
    let is_step = |id: &VertexId| !matches!(lowered.graph.vertex(*id).op, Op::Image(_));
    endings
        .iter()
        .filter(move |(id, _)| is_step(id))
        .map(|(_, ending)| ending)
}

/// The build as a row, its images as they are and every other vertex as `end` says.
fn build_row(
    targets: &[Target],
    lowered: &Lowered,
    end: impl Fn(VertexId, StepRow) -> StepRow,
) -> BuildRow {
    let names: Vec<String> = targets.iter().map(target_name).collect();
    let directories: BTreeSet<String> =
        targets.iter().map(|target| target.context.name()).collect();
    let steps = lowered
        .graph
        .iter()
        .zip(&lowered.steps)
        .map(|((id, vertex), step)| {
            let inputs = vertex.inputs.iter().map(|input| input.index()).collect();
            let mut row = StepRow::new(step, *vertex.key(), inputs);
            if matches!(vertex.op, Op::Image(_)) {
                row.outcome = StepOutcome::Base;
                return row;
            }
            end(id, row)
        });
    BuildRow {
        id: i64::MAX,
        started: 0,
        seconds: 0.0,
        targets: names.join(" "),
        directories: directories.into_iter().collect::<Vec<_>>().join("\n"),
        outcome: String::new(),
        steps: steps.collect(),
    }
}

fn target_name(target: &Target) -> String {
    if target.name.is_empty() {
        target.dockerfile.name.clone()
    } else {
        target.name.clone()
    }
}

fn build_error(error: SolveError<StepError>, lowered: &Lowered, worker: &Worker<'_>) -> BuildError {
    match error {
        SolveError::Vertex {
            source:
                StepError::Cancelled
                | StepError::Run(RunError::Cancelled)
                | StepError::Remote(RemoteError::Cancelled),
            ..
        }
        | SolveError::Cancelled => BuildError::Cancelled,
        SolveError::Vertex { vertex, source } => {
            let step = &lowered.steps[vertex.index()];
            BuildError::Step {
                place: step.place.clone(),
                name: step.name(),
                source: Box::new(source),
                output: worker.take_tail(vertex),
            }
        }
        SolveError::Cache { source } => cache_error(source),
    }
}

fn cache_error(error: StepError) -> BuildError {
    match error {
        StepError::Store(source) => BuildError::Store(source),
        source => BuildError::Step {
            place: crate::error::Place::default(),
            name: "cache".to_owned(),
            source: Box::new(source),
            output: Vec::new(),
        },
    }
}
