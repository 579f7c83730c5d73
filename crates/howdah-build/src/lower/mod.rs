//! Lowering: Dockerfiles, build arguments and base images become one graph. Only the stages that a target needs, and
//! equal steps of several targets once.

mod base;
mod config;
mod contexts;
mod files;
mod run;
mod scope;
mod sources;
mod stage;
mod wording;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use howdah_dockerfile::{Lexer, parse};
use howdah_image::{Image, ImageId, Store, StoreError};
use howdah_solver::{Class, Graph, Key, Recipe, Vertex, VertexId};

use crate::error::{BuildError, Place};
use crate::history::{self, Description};
use crate::op::{Fields, ImageOp, Op};
use crate::remote::{FetchOp, Remote};
use crate::request::{Options, Target};
use crate::root::Root;
use crate::timing::{Phase, Timings};

pub(crate) use run::SCRIPT_DIRECTORY;
pub use sources::Pull;
use sources::Sources;
use stage::{FileLowering, StageState};

/// A graph and what it is for.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) graph: Graph<Op>,
    /// By vertex.
    pub(crate) steps: Vec<Step>,
    /// In the order of the request.
    pub(crate) targets: Vec<LoweredTarget>,
    /// The roots of base images by their vertices' keys.
    pub(crate) images: HashMap<Key, Arc<Root>>,
    /// Images from outside, by the names the Dockerfiles have for them.
    pub(crate) bases: Vec<(String, Image)>,
}

/// What a vertex is to people.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) place: Place,
    /// `web composer-build`
    pub(crate) stage: String,
    /// Its number in the stage from 1, and how many there are.
    pub(crate) number: (usize, usize),
    /// Which step of which project it is, build after build.
    pub(crate) identity: Key,
    /// What its key is made of.
    pub(crate) fields: Fields,
    /// The build arguments it sees: `NAME=value`.
    pub(crate) args: Vec<String>,
    /// For a base image: which one.
    pub(crate) image: Option<ImageId>,
}

impl Step {
    /// `[web composer-build 2/6] RUN composer install`
    pub(crate) fn name(&self) -> String {
        let (number, total) = self.number;
        // The display breaks lines itself; an instruction is shown on one.
        let text: Vec<&str> = self.place.text.split_whitespace().collect();
        format!("[{} {number}/{total}] {}", self.stage, text.join(" "))
    }
}

/// A target's place in the graph, and the image that it becomes.
#[derive(Debug)]
pub(crate) struct LoweredTarget {
    pub(crate) root: VertexId,
    pub(crate) state: Rc<StageState>,
    /// See [`Target::epoch`].
    pub(crate) epoch: Option<i64>,
}

/// Everything that grows while targets are lowered.
pub(crate) struct Lowering<'a> {
    sources: Sources<'a>,
    options: &'a Options,
    graph: Graph<Op>,
    steps: BTreeMap<usize, Step>,
    images: HashMap<Key, Arc<Root>>,
}

/// Lowers all targets into one graph.
pub(crate) fn lower(
    store: &Store,
    targets: &[Target],
    options: &Options,
    remote: &Remote,
    pull: Pull<'_>,
    timings: &Timings,
) -> Result<Lowered, BuildError> {
    let mut lowering = Lowering {
        sources: Sources::new(store, remote, pull, options.pull, timings),
        options,
        graph: Graph::default(),
        steps: BTreeMap::new(),
        images: HashMap::new(),
    };
    let lowered = targets
        .iter()
        .map(|target| lowering.target(target))
        .collect::<Result<_, _>>()?;
    Ok(Lowered {
        graph: lowering.graph,
        steps: lowering.steps.into_values().collect(),
        targets: lowered,
        images: lowering.images,
        bases: lowering.sources.into_images(),
    })
}

impl Lowered {
    /// What the key of a vertex is made of.
    pub(crate) fn describe(&self, store: &Store, index: usize, options: &Options) -> Description {
        let vertex = self.graph.iter().nth(index);
        vertex.map_or_else(Description::default, |(_, vertex)| {
            history::describe(store, &self.steps[index], &vertex.op, options)
        })
    }
}

impl Lowering<'_> {
    fn target(&mut self, target: &Target) -> Result<LoweredTarget, BuildError> {
        sources::check_ignore(target)?;
        let epoch = target.epoch()?;
        let text = &target.dockerfile;
        let faults = |faults| BuildError::Faults {
            name: text.name.clone(),
            text: text.text.clone(),
            faults,
        };
        let parsed = self
            .sources
            .timings
            .measure(Phase::Parse, || parse(&text.text));
        let file = parsed.map_err(faults)?;
        let lexer = Lexer::new(file.directives.escape);
        let wanted = stage::find_target(&file, target)?;
        let stage_name = target.stage.as_deref().unwrap_or("default");
        let mut globals = scope::Globals::new(
            &target.build_args,
            lexer,
            stage_name,
            &target.platform.clone().unwrap_or_default(),
        );
        for instruction in &file.global_args {
            if let howdah_dockerfile::Command::Arg(arg) = &instruction.command {
                let expanded = globals.declare(arg);
                expanded.map_err(|error| {
                    faults(vec![howdah_dockerfile::Fault::error(
                        instruction.span,
                        error.to_string(),
                    )])
                })?;
            }
        }
        let mut lowering = FileLowering::new(self, target, Rc::new(file), globals);
        lowering.check_bases()?;
        let state = lowering.stage(wanted)?;
        Ok(LoweredTarget {
            root: state.root,
            state,
            epoch,
        })
    }

    /// The vertex of a base image, or of nothing.
    fn base(&mut self, image: Option<&Image>, mut step: Step) -> Result<VertexId, StoreError> {
        step.image = image.map(|image| image.id);
        let root = match image {
            Some(image) => self.sources.root(image)?,
            None => Arc::default(),
        };
        let op = Op::Image(ImageOp {
            root: Arc::clone(&root),
        });
        let id = self.add(op, Vec::new(), step, false);
        self.images.insert(*self.graph.vertex(id).key(), root);
        Ok(id)
    }

    /// The vertex of a tree from elsewhere.
    fn tree(&mut self, op: &FetchOp, step: Step) -> VertexId {
        self.add(Op::Fetch(op.clone()), Vec::new(), step, false)
    }

    fn add(
        &mut self,
        op: Op,
        inputs: Vec<VertexId>,
        mut step: Step,
        ignore_cache: bool,
    ) -> VertexId {
        let (digest, fields) = op.digest();
        let class = if matches!(op, Op::Run(_)) {
            Class::Process
        } else {
            Class::Work
        };
        // What stands on a step that must run would be found by its definition, and the step not be asked for.
        let stands_on_such = inputs
            .iter()
            .any(|input| self.graph.vertex(*input).ignore_cache);
        let mut vertex = Vertex::new(op, digest, inputs, class);
        vertex.ignore_cache = ignore_cache || stands_on_such;
        let id = self.graph.add(vertex);
        step.fields = fields;
        self.steps.entry(id.index()).or_insert(step);
        id
    }
}

/// Which step of which project: what stays the same from build to build while the sources change. `context` is absolute:
/// every project calls its own `.`.
fn identity(context: &str, target: &Target, stage: &str, text: &str) -> Key {
    let mut recipe = Recipe::new("step", 2);
    recipe
        .text("context", context)
        .text("dockerfile", &target.dockerfile.name)
        .text("stage", stage)
        .text("instruction", text);
    recipe.finish().0
}
