//! What a stage begins with: an earlier stage, an image, or nothing.

use std::rc::Rc;

use howdah_dockerfile::{Instruction, Names, Stage, parse_trigger};
use howdah_image::{ContainerConfig, Image};

use super::scope::{Scope, host_platform};
use super::stage::{FileLowering, StageState, find_stage, instruction_error};
use crate::error::{BuildError, LowerError, Place};
use crate::request::NamedContext;

/// Docker's search path for images that set none (moby/buildkit `util/system/path.go`).
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl FileLowering<'_, '_> {
    /// What the stage begins with, and the `ONBUILD` instructions of its base.
    pub(super) fn begin(
        &mut self,
        index: usize,
        written: &Stage,
    ) -> Result<(StageState, Vec<Instruction>), BuildError> {
        let place = self.place(written.lines.first, &written.original);
        self.check_platform(written, &place)?;
        let variables = self.globals.variables();
        let name = self
            .globals
            .lexer
            .word(&written.base.text, variables, &mut Names::default());
        let name = name.map_err(|error| self.fault(written.base.span, &error))?;
        if name.is_empty() {
            return Err(instruction_error(
                place,
                LowerError::EmptyBase {
                    text: written.base.text.clone(),
                },
            ));
        }
        let earlier = find_stage(&self.file, &name).filter(|found| *found < index);
        if let Some(earlier) = earlier.filter(|_| !self.target.contexts.contains_key(&name)) {
            let mut state = StageState {
                cmd_is_own: false,
                ..(*self.stage(earlier)?).clone()
            };
            let triggers = triggers(&mut state.config, &place)?;
            return Ok((state, triggers));
        }
        let image = match self.target.contexts.get(&name) {
            Some(NamedContext::Directory(_)) => {
                let what = format!("a directory as the base image `{name}`");
                return Err(instruction_error(place, LowerError::Unsupported(what)));
            }
            Some(NamedContext::Image(reference)) => Some(reference.clone()),
            None if name == "scratch" => None,
            None => Some(name),
        };
        let image = match image {
            Some(name) => {
                let image = self.lowering.sources.image(&name);
                Some(image.map_err(|error| instruction_error(place.clone(), error))?)
            }
            None => None,
        };
        self.begin_with(index, place, image)
    }

    fn begin_with(
        &mut self,
        index: usize,
        place: Place,
        image: Option<Rc<Image>>,
    ) -> Result<(StageState, Vec<Instruction>), BuildError> {
        let mut config = image
            .as_ref()
            .map(|image| image.config.config.clone())
            .unwrap_or_default();
        if image.is_none() {
            config.env.push(DEFAULT_PATH.to_owned());
            "/".clone_into(&mut config.working_dir);
        }
        let triggers = triggers(&mut config, &place)?;
        let step = self.step(index, 1, place);
        let mut state = StageState {
            root: self.lowering.base(image.as_deref(), step)?,
            depth: image.as_ref().map_or(0, |image| image.layers.len()),
            author: image.as_ref().and_then(|image| image.config.author.clone()),
            history: Vec::new(),
            scope: Scope::default(),
            cmd_is_own: false,
            base: image,
            config,
        };
        state.scope.set_env(&state.config.env);
        Ok((state, triggers))
    }

    fn check_platform(&self, stage: &Stage, place: &Place) -> Result<(), BuildError> {
        let Some(platform) = &stage.platform else {
            return Ok(());
        };
        let asked = self.globals.lexer.word(
            &platform.text,
            self.globals.variables(),
            &mut Names::default(),
        );
        let asked = asked.map_err(|error| self.fault(platform.span, &error))?;
        let host = host_platform();
        let same = asked.is_empty()
            || asked == host
            || asked
                .strip_prefix(&host)
                .is_some_and(|rest| rest.starts_with('/'));
        if same {
            Ok(())
        } else {
            Err(instruction_error(
                place.clone(),
                LowerError::Platform {
                    platform: asked,
                    host,
                },
            ))
        }
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
