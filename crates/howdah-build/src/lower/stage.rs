//! Stages: what each begins with, and its instructions in order.

use std::rc::Rc;

use howdah_dockerfile::{Command, Dockerfile, ExpandError, Fault, Instruction, Span};
use howdah_image::{ContainerConfig, Image, Platform};
use howdah_solver::VertexId;

use super::scope::{Globals, Scope};
use super::{Lowering, Step, config, identity};
use crate::error::{BuildError, LowerError, Place};
use crate::op::{Op, WorkdirOp};
use crate::request::Target;
use crate::tree;

/// What a stage has come to after some of its instructions.
#[derive(Clone, Debug)]
pub(crate) struct StageState {
    pub(crate) root: VertexId,
    /// How many layers `root` has, empty ones included.
    pub(crate) depth: usize,
    /// What its programs are for.
    pub(crate) platform: Platform,
    /// The image it is based on in the end; `None` for scratch.
    pub(crate) base: Option<Rc<Image>>,
    pub(crate) config: ContainerConfig,
    pub(crate) author: Option<String>,
    pub(crate) history: Vec<HistoryStep>,
    pub(super) scope: Scope,
    pub(super) cmd_is_own: bool,
}

/// One line of the image's history.
#[derive(Clone, Debug)]
pub(crate) struct HistoryStep {
    pub(crate) text: String,
    /// Its layer's number in the root, if the instruction can make one.
    pub(crate) layer: Option<usize>,
}

enum Progress {
    Untouched,
    Open,
    Done(Rc<StageState>),
}

/// One Dockerfile being lowered for one target.
pub(super) struct FileLowering<'l, 'a> {
    pub(super) lowering: &'l mut Lowering<'a>,
    pub(super) target: &'l Target,
    pub(super) file: Rc<Dockerfile>,
    pub(super) globals: Globals,
    /// The context's absolute directory.
    context: String,
    stages: Vec<Progress>,
    /// The stages that are being lowered, outermost first.
    open: Vec<usize>,
}

/// Where an instruction stands.
pub(super) struct Site<'i> {
    pub(super) stage: usize,
    pub(super) instruction: &'i Instruction,
    pub(super) place: Place,
    /// Its number among the steps of the stage.
    number: usize,
}

/// The stage that a target asks for, by name or number.
pub(super) fn find_target(file: &Dockerfile, target: &Target) -> Result<usize, BuildError> {
    let Some(wanted) = &target.stage else {
        return Ok(file.stages.len() - 1);
    };
    let by_number = || {
        wanted
            .parse()
            .ok()
            .filter(|number| *number < file.stages.len())
    };
    find_stage(file, wanted)
        .or_else(by_number)
        .ok_or_else(|| BuildError::UnknownStage {
            stage: wanted.clone(),
            file: target.dockerfile.name.clone(),
            stages: file
                .stages
                .iter()
                .filter_map(|stage| stage.name.as_ref().map(|name| name.text.clone()))
                .collect(),
        })
}

/// The last stage of that name; names do not distinguish case.
pub(super) fn find_stage(file: &Dockerfile, name: &str) -> Option<usize> {
    file.stages.iter().rposition(|stage| {
        stage
            .name
            .as_ref()
            .is_some_and(|known| known.text.eq_ignore_ascii_case(name))
    })
}

impl<'l, 'a> FileLowering<'l, 'a> {
    pub(super) fn new(
        lowering: &'l mut Lowering<'a>,
        target: &'l Target,
        file: Rc<Dockerfile>,
        globals: Globals,
    ) -> Self {
        let stages = file.stages.iter().map(|_| Progress::Untouched).collect();
        FileLowering {
            lowering,
            target,
            file,
            globals,
            context: target.context.name(),
            stages,
            open: Vec::new(),
        }
    }

    /// Lowers a stage and all it needs, once.
    pub(super) fn stage(&mut self, index: usize) -> Result<Rc<StageState>, BuildError> {
        match &self.stages[index] {
            Progress::Done(state) => return Ok(Rc::clone(state)),
            Progress::Open => return Err(self.cycle(index)),
            Progress::Untouched => {}
        }
        self.stages[index] = Progress::Open;
        self.open.push(index);
        let file = Rc::clone(&self.file);
        let written = &file.stages[index];
        let name = self.shown_stage(index);
        let place = self.place(written.lines.first, &written.original);
        let platform = self.stage_platform(written, &place)?;
        let wanted = platform.clone().unwrap_or_else(|| self.target_platform());
        let replacement = written.name.as_ref();
        let replacement =
            replacement.and_then(|name| self.named_context(&name.text, &wanted).cloned());
        // The context stands for all of the stage (moby/buildkit `dockerfile2llb/convert.go`, `namedContext`).
        let (mut state, triggers, instructions) = if let Some(context) = replacement {
            let (state, _) = self.begin_on_context(index, place, &context, platform)?;
            (state, Vec::new(), &[][..])
        } else {
            let (state, triggers) = self.begin(index, written, place, platform)?;
            (state, triggers, written.instructions.as_slice())
        };
        let mut number = 1;
        for instruction in triggers.iter().chain(instructions) {
            number += usize::from(makes_step(&instruction.command));
            let place = self.place(instruction.lines.first, &instruction.original);
            let site = Site {
                stage: index,
                instruction,
                place,
                number,
            };
            self.instruction(&site, &mut state)?;
        }
        // Those that were added for this stage; a stage that it needs has its numbers already.
        let added = self.lowering.steps.values_mut();
        for step in added.filter(|step| step.number.1 == 0 && step.stage == name) {
            step.number.1 = number;
        }
        self.open.pop();
        let state = Rc::new(state);
        self.stages[index] = Progress::Done(Rc::clone(&state));
        Ok(state)
    }

    fn cycle(&self, index: usize) -> BuildError {
        let from = self
            .open
            .iter()
            .position(|open| *open == index)
            .unwrap_or(0);
        let mut path: Vec<String> = self.open[from..]
            .iter()
            .map(|open| self.stage_name(*open))
            .collect();
        path.push(self.stage_name(index));
        let stage = &self.file.stages[index];
        let place = self.place(stage.lines.first, &stage.original);
        instruction_error(
            place,
            LowerError::Cycle {
                stage: self.stage_name(index),
                path,
            },
        )
    }

    fn instruction(&mut self, site: &Site<'_>, state: &mut StageState) -> Result<(), BuildError> {
        let (command, _) = site
            .instruction
            .command
            .expand(&self.globals.lexer, &state.scope)
            .map_err(|fault| self.faults(fault))?;
        match &command {
            Command::Arg(arg) => {
                let shown = state.scope.declare(arg, &self.globals);
                let shown = shown.map_err(|error| self.fault(site.instruction.span, &error))?;
                state.history.push(HistoryStep {
                    text: format!("ARG {shown}"),
                    layer: None,
                });
            }
            Command::Copy(copy) => self.copy(site, state, copy)?,
            Command::Add(add) => self.add_files(site, state, add)?,
            Command::Run(run) => self.run(site, state, run)?,
            Command::Workdir(path) => self.workdir(site, state, &path.text),
            Command::Maintainer(name) => {
                state.author = Some(name.text.clone());
                state.history.push(HistoryStep {
                    text: format!("MAINTAINER {}", name.text),
                    layer: None,
                });
            }
            command => {
                let text = config::apply(command, &mut state.config, &mut state.cmd_is_own);
                let text = text.map_err(|fault| self.faults(fault))?;
                state
                    .history
                    .extend(text.map(|text| HistoryStep { text, layer: None }));
                if let Command::Env(pairs) = command {
                    for pair in pairs {
                        state.scope.set(&pair.name.text, &pair.value.text);
                    }
                }
            }
        }
        Ok(())
    }

    fn workdir(&mut self, site: &Site<'_>, state: &mut StageState, path: &str) {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            in_workdir(state, path)
        };
        // As written, with doubled slashes and all.
        state.config.working_dir.clone_from(&path);
        let text = format!("WORKDIR {path}");
        let path = in_workdir(state, &path);
        if path == "/" {
            state.history.push(HistoryStep { text, layer: None });
            return;
        }
        let op = WorkdirOp {
            path,
            user: state.config.user.clone(),
        };
        self.step_onto(site, state, Op::Workdir(op), Vec::new(), text);
    }

    /// Adds a vertex on the stage's root; `others` are its further inputs.
    pub(super) fn step_onto(
        &mut self,
        site: &Site<'_>,
        state: &mut StageState,
        op: Op,
        others: Vec<VertexId>,
        text: String,
    ) {
        let mut step = self.step(site.stage, site.number, site.place.clone());
        step.args = state.scope.visible_args();
        let inputs = [vec![state.root], others].concat();
        let name = self.file.stages[site.stage].name.as_ref();
        let name = name.map(|name| name.text.as_str());
        let no_cache = self.target.no_cache.has(name);
        state.root = self.lowering.add(op, inputs, step, no_cache);
        state.history.push(HistoryStep {
            text,
            layer: Some(state.depth),
        });
        state.depth += 1;
    }

    pub(super) fn step(&self, stage: usize, number: usize, place: Place) -> Step {
        let identity = identity(
            &self.context,
            self.target,
            &self.stage_name(stage),
            &place.text,
        );
        Step {
            place,
            stage: self.shown_stage(stage),
            number: (number, 0),
            identity,
            fields: Vec::new(),
            args: Vec::new(),
            image: None,
        }
    }

    /// The step of something that an instruction takes files from.
    pub(super) fn source_step(&self, site: &Site<'_>, text: String) -> Step {
        let place = Place {
            text,
            ..site.place.clone()
        };
        self.step(site.stage, site.number, place)
    }

    pub(super) fn identity(&self, site: &Site<'_>) -> howdah_solver::Key {
        identity(
            &self.context,
            self.target,
            &self.stage_name(site.stage),
            &site.place.text,
        )
    }

    /// What `--from` and `from=` name: a stage by name or number. Anything else is a context or an image.
    pub(super) fn named_stage(&self, name: &str) -> Option<usize> {
        let by_number = || {
            name.parse()
                .ok()
                .filter(|number| *number < self.file.stages.len())
        };
        find_stage(&self.file, name).or_else(by_number)
    }

    /// The stage as progress names it.
    fn shown_stage(&self, index: usize) -> String {
        let name = self.stage_name(index);
        match self.target.name.as_str() {
            "" => name,
            target => format!("{target} {name}"),
        }
    }

    fn stage_name(&self, index: usize) -> String {
        let name = self.file.stages[index]
            .name
            .as_ref()
            .map(|name| name.text.clone());
        name.unwrap_or_else(|| format!("stage-{index}"))
    }

    pub(super) fn place(&self, line: usize, text: &str) -> Place {
        Place {
            file: self.target.dockerfile.name.clone(),
            line,
            text: text.to_owned(),
        }
    }

    pub(super) fn fault(&self, span: Span, error: &ExpandError) -> BuildError {
        self.faults(Fault::error(span, error.to_string()))
    }

    pub(super) fn faults(&self, fault: Fault) -> BuildError {
        let dockerfile = &self.target.dockerfile;
        BuildError::Faults {
            name: dockerfile.name.clone(),
            text: dockerfile.text.clone(),
            faults: vec![fault],
        }
    }
}

/// A path against the stage's working directory.
pub(super) fn in_workdir(state: &StageState, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", state.config.working_dir)
    };
    tree::display(&tree::clean(joined.as_bytes()))
}

/// Whether progress counts an instruction.
fn makes_step(command: &Command) -> bool {
    matches!(
        command,
        Command::Copy(_) | Command::Add(_) | Command::Run(_) | Command::Workdir(_)
    )
}

pub(super) fn instruction_error(place: Place, error: LowerError) -> BuildError {
    match error {
        LowerError::Store(error) => BuildError::Store(error),
        error => BuildError::Instruction {
            place,
            source: Box::new(error),
        },
    }
}
