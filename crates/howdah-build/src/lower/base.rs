//! What a stage begins with: an earlier stage, an image, or nothing.

use std::rc::Rc;

use howdah_dockerfile::{Instruction, Names, Stage, parse_trigger};
use howdah_image::{ContainerConfig, Platform};
use howdah_solver::VertexId;

use super::contexts::Named;
use super::files::from_scan;
use super::scope::Scope;
use super::sources::suits;
use super::stage::{FileLowering, HistoryStep, StageState, instruction_error};
use crate::copy::Pattern;
use crate::error::{BuildError, LowerError, Place};
use crate::op::{CopyOp, Op};
use crate::request::NamedContext;

/// Docker's search path for images that set none (moby/buildkit `util/system/path.go`).
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl FileLowering<'_, '_> {
    /// What the stage begins with, and the `ONBUILD` instructions of its base.
    pub(super) fn begin(
        &mut self,
        index: usize,
        written: &Stage,
        place: Place,
        platform: Option<Platform>,
    ) -> Result<(StageState, Vec<Instruction>), BuildError> {
        let name = self.base_name(written, &place)?;
        if let Some(earlier) = self.stage_before(index, &name) {
            let mut state = StageState {
                cmd_is_own: false,
                ..(*self.stage(earlier)?).clone()
            };
            state.platform = platform.unwrap_or(state.platform);
            // An ARG after an ENV of its name only counts in its own stage.
            state.scope.set_all(&state.config.env);
            let triggers = triggers(&mut state.config, &place)?;
            return Ok((state, triggers));
        }
        let wanted = platform.clone().unwrap_or_else(|| self.target_platform());
        if let Some(context) = self.named_context(&name, &wanted).cloned() {
            return self.begin_on_context(index, place, &context, platform);
        }
        let platform = wanted;
        if name == "scratch" {
            return self.begin_with(index, place, &Named::Nothing, platform);
        }
        let image = self.lowering.sources.base(&name, &platform);
        let image = image.map_err(|error| instruction_error(place.clone(), error))?;
        self.begin_with(index, place, &Named::Image(image), platform)
    }

    /// What a stage names after `FROM`.
    fn base_name(&self, written: &Stage, place: &Place) -> Result<String, BuildError> {
        let variables = self.globals.variables();
        let name = self
            .globals
            .lexer
            .word(&written.base.text, variables, &mut Names::default());
        let name = name.map_err(|error| self.fault(written.base.span, &error))?;
        if name.is_empty() {
            let text = written.base.text.clone();
            let error = LowerError::EmptyBase { text };
            return Err(instruction_error(place.clone(), error));
        }
        Ok(name)
    }

    /// The last stage of that name before `index`. A stage's name is kept in lower case, and `FROM` finds it so written only
    /// (moby/buildkit `dockerfile2llb/convert.go`, `addState`).
    fn stage_before(&self, index: usize, name: &str) -> Option<usize> {
        self.file.stages[..index].iter().rposition(|stage| {
            let known = stage.name.as_ref().map(|known| known.text.as_str());
            known.is_some_and(|known| known.to_ascii_lowercase() == name)
        })
    }

    /// Refuses a `FROM` that means nothing, also of stages that the target does not need.
    pub(super) fn check_bases(&self) -> Result<(), BuildError> {
        self.file.stages.iter().try_for_each(|written| {
            let place = self.place(written.lines.first, &written.original);
            self.base_name(written, &place)?;
            self.stage_platform(written, &place).map(drop)
        })
    }

    pub(super) fn begin_on_context(
        &mut self,
        index: usize,
        place: Place,
        context: &NamedContext,
        platform: Option<Platform>,
    ) -> Result<(StageState, Vec<Instruction>), BuildError> {
        let platform = platform.unwrap_or_else(|| self.target_platform());
        let named = self.lowering.sources.named(context, &platform);
        let named = named.map_err(|error| instruction_error(place.clone(), error))?;
        if let Named::Image(image) = &named {
            let suits = suits(&platform, image, || context.to_string());
            suits.map_err(|error| instruction_error(place.clone(), error))?;
        }
        self.begin_with(index, place, &named, platform)
    }

    pub(super) fn target_platform(&self) -> Platform {
        self.target.platform.clone().unwrap_or_default()
    }

    fn begin_with(
        &mut self,
        index: usize,
        place: Place,
        base: &Named,
        platform: Platform,
    ) -> Result<(StageState, Vec<Instruction>), BuildError> {
        let image = match base {
            Named::Image(image) => Some(Rc::clone(image)),
            Named::Nothing | Named::Files(_) | Named::Tree(_) => None,
        };
        let mut config = image.as_ref().map_or_else(
            || ContainerConfig {
                env: vec![DEFAULT_PATH.to_owned()],
                working_dir: "/".to_owned(),
                ..ContainerConfig::default()
            },
            |image| image.config.config.clone(),
        );
        let triggers = triggers(&mut config, &place)?;
        let (root, depth) = self.base_root(index, &place, base)?;
        let mut state = StageState {
            root,
            depth,
            platform,
            author: image.as_ref().and_then(|image| image.config.author.clone()),
            history: Vec::new(),
            scope: Scope::default(),
            cmd_is_own: false,
            base: image,
            config,
        };
        // The history of an image tells of its layers; the one layer of a context has none.
        if matches!(base, Named::Files(_) | Named::Tree(_)) {
            state.history.push(HistoryStep {
                text: place.text,
                layer: Some(0),
            });
        }
        state.scope = Scope::of_image(&state.config.env);
        Ok((state, triggers))
    }

    /// The vertex that a stage begins with, and how many layers it has.
    fn base_root(
        &mut self,
        index: usize,
        place: &Place,
        base: &Named,
    ) -> Result<(VertexId, usize), BuildError> {
        let step = self.step(index, 1, place.clone());
        Ok(match base {
            Named::Image(image) => (self.lowering.base(Some(image), step)?, image.layers.len()),
            Named::Nothing => (self.lowering.base(None, step)?, 0),
            Named::Tree(op) => (self.lowering.tree(op, step), 1),
            Named::Files(scan) => {
                let everything = Pattern {
                    text: "/".to_owned(),
                    parents: false,
                };
                let source = from_scan(scan, vec![everything], &[], "the named context");
                let source = source.map_err(|error| instruction_error(place.clone(), error))?;
                let scratch = self.lowering.base(None, step.clone())?;
                let op = CopyOp {
                    sources: vec![source],
                    destination: "/".to_owned(),
                    into_directory: true,
                    chown: None,
                    chmod: None,
                    excludes: Vec::new(),
                    link: false,
                    unpack: false,
                    step: step.identity,
                };
                (
                    self.lowering.add(Op::Copy(op), vec![scratch], step, false),
                    1,
                )
            }
        })
    }

    /// The platform that `FROM --platform` names.
    pub(super) fn stage_platform(
        &self,
        stage: &Stage,
        place: &Place,
    ) -> Result<Option<Platform>, BuildError> {
        let Some(platform) = &stage.platform else {
            return Ok(None);
        };
        let variables = self.globals.variables();
        let asked = self
            .globals
            .lexer
            .word(&platform.text, variables, &mut Names::default());
        let asked = asked.map_err(|error| self.fault(platform.span, &error))?;
        if asked.is_empty() {
            let text = platform.text.clone();
            return Err(instruction_error(
                place.clone(),
                LowerError::EmptyPlatform { text },
            ));
        }
        let parsed = asked.parse::<Platform>();
        parsed
            .map(Some)
            .map_err(|source| instruction_error(place.clone(), LowerError::BadPlatform(source)))
    }
}

/// Takes the `ONBUILD` instructions out of what a stage begins with, be it an image or an earlier stage: they run once.
fn triggers(config: &mut ContainerConfig, place: &Place) -> Result<Vec<Instruction>, BuildError> {
    let texts = std::mem::take(&mut config.on_build);
    let parsed = texts.iter().map(|text| {
        parse_trigger(text).map_err(|faults| BuildError::Faults {
            name: format!("ONBUILD of the base of {}:{}", place.file, place.line),
            text: text.clone(),
            faults,
        })
    });
    parsed.collect()
}
