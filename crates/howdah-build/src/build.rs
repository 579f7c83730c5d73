//! One build from request to images.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use howdah_image::{Image, Store};
use howdah_runtime::Runtime;
use howdah_solver::{Cancel, Limits, SolveError, Solver, VertexId};

use crate::assemble::assemble;
use crate::cache::{Memory, Records, migrate};
use crate::error::{BuildError, StepError};
use crate::event::{Event, StepInfo};
use crate::exec::{BuildNetwork, RunError, Worker};
use crate::history::{self, BuildRow, Counts, Ending, Forecast, StepOutcome, StepRow};
use crate::lower::{Lowered, Pull, lower};
use crate::op::Op;
use crate::remote::{Remote, RemoteError};
use crate::request::{Options, Target};
use crate::root::Root;
use crate::timing::{Phase, Timings};

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
#[derive(Clone, Debug)]
pub struct Built {
    /// One for each target, in the order of the request.
    pub images: Vec<Image>,
    /// How much of it had to run.
    pub counts: Counts,
    /// Where the time went: the phases in their order, each without those inside it.
    pub phases: Vec<(Phase, Duration)>,
    /// The steps that ran, and how long.
    pub ran: Vec<(String, Duration)>,
}

impl Builder<'_> {
    /// Builds all targets in one graph: what several of them need is made once.
    pub fn build(&self, targets: &[Target], options: &Options) -> Result<Built, BuildError> {
        let started = SystemTime::now();
        let clock = Instant::now();
        let timings = Timings::default();
        timings.measure(Phase::Database, || migrate(self.store))?;
        let remote = Remote::new(self.store, options, &self.cancel);
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
        let worker = self.worker(options, &remote);
        let result = timings.measure(Phase::Steps, || {
            self.solve(&lowered, &worker, &endings, &timings)
        });
        let images = result.and_then(|roots| {
            let made = targets.iter().zip(&lowered.targets).zip(roots);
            made.map(|((target, lowered), root)| {
                let image = timings.measure(Phase::Images, || {
                    assemble(self.store, target, lowered, &root)
                });
                image.map_err(BuildError::from)
            })
            .collect::<Result<Vec<Image>, BuildError>>()
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
        Ok(Built {
            images,
            counts,
            ran: ran
                .map(|step| (step.name.clone(), Duration::from_secs_f64(step.seconds)))
                .collect(),
            phases: timings.phases(clock.elapsed()),
        })
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
        let lowered = lower(self.store, targets, options, &remote, self.pull, &timings)?;
        let worker = self.worker(options, &remote);
        let predictions =
            self.with_solver(&lowered, &worker, &|_| {}, &timings, |solver, targets| {
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

    fn worker<'w>(&'w self, options: &'w Options, remote: &'w Remote) -> Worker<'w> {
        Worker {
            store: self.store,
            memory: Memory::new(self.store),
            remote,
            runtime: self.runtime,
            network: BuildNetwork::new(self.runtime_directory),
            options,
            observe: self.observe,
            costs: Mutex::default(),
            tails: Mutex::default(),
            selections: Mutex::default(),
        }
    }

    fn solve(
        &self,
        lowered: &Lowered,
        worker: &Worker<'_>,
        endings: &Endings,
        timings: &Timings,
    ) -> Result<Vec<Arc<Root>>, BuildError> {
        let observe = |event| self.tell(event, worker, endings);
        self.with_solver(lowered, worker, &observe, timings, |solver, targets| {
            let solution = solver
                .solve(targets)
                .map_err(|error| build_error(error, lowered, worker))?;
            Ok(targets
                .iter()
                .filter_map(|target| solution.outputs[target.index()].clone())
                .collect())
        })
    }

    /// Calls `work` with a solver of the graph and its targets.
    fn with_solver<'w, T>(
        &self,
        lowered: &Lowered,
        worker: &Worker<'w>,
        observe: &(dyn Fn(howdah_solver::Event) + Sync),
        timings: &Timings,
        work: impl FnOnce(&Solver<'_, Worker<'w>, Records<'_>>, &[VertexId]) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let records = Records::new(self.store.clone(), lowered.images.clone(), timings);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let solver = Solver {
            graph: &lowered.graph,
            executor: worker,
            cache: &records,
            limits: Limits::for_cores(cores),
            cancel: &self.cancel,
            observe,
        };
        let targets: Vec<VertexId> = lowered.targets.iter().map(|target| target.root).collect();
        work(&solver, &targets)
    }

    /// Notes how a vertex ended, and passes it on.
    fn tell(&self, event: howdah_solver::Event, worker: &Worker<'_>, endings: &Endings) {
        use howdah_solver::Event as Solving;
        let (id, ending) = match event {
            Solving::Started(id) => return (self.observe)(Event::Started { step: id.index() }),
            Solving::Resolved(id, resolution) => {
                (id, Ending::of(resolution, worker.cost(id).reused))
            }
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
        SolveError::Cache {
            source: StepError::Store(source),
        } => BuildError::Store(source),
        SolveError::Cache { source } => BuildError::Step {
            place: crate::error::Place::default(),
            name: "cache".to_owned(),
            source: Box::new(source),
            output: Vec::new(),
        },
    }
}
