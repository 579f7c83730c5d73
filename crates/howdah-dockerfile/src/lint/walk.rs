//! The walk: every stage from its base on, each instruction with the variables that it sees.

use super::rules::{self, variables};
use super::scope::{Globals, Scope};
use super::sink::{Sink, Site};
use super::{Subject, platform};
use crate::{Arg, Command, Fault, Instruction, Lexer, Names, Stage, Word, parse_trigger};

/// One stage after the walk.
#[derive(Debug)]
pub(super) struct WalkedStage<'a> {
    pub(super) stage: &'a Stage,
    /// The earlier stage that it is based on.
    pub(super) parent: Option<usize>,
    /// Its instructions, those of `ONBUILD` first.
    pub(super) steps: Vec<Step>,
    /// What it comes to.
    pub(super) end: Scope,
}

/// One instruction after expansion.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) site: Site,
    pub(super) command: Command,
    /// The directory it works in.
    pub(super) workdir: String,
}

/// All stages that were walked, by number, and what cannot be built.
#[derive(Debug)]
pub(super) struct Walked<'a> {
    pub(super) stages: Vec<Option<WalkedStage<'a>>>,
    pub(super) faults: Vec<Fault>,
}

/// Walks the stages that the target needs.
pub(super) fn walk<'a>(subject: &Subject<'a>, sink: &mut Sink) -> Walked<'a> {
    let mut walked = Walked {
        stages: Vec::new(),
        faults: Vec::new(),
    };
    let lexer = Lexer::new(subject.file.directives.escape);
    let globals = match Globals::new(subject, lexer, subject.build_args) {
        Ok(globals) => globals,
        Err(error) => {
            let span = subject
                .file
                .global_args
                .first()
                .map_or_else(Default::default, |arg| arg.span);
            walked.faults.push(Fault::error(span, error.to_string()));
            return walked;
        }
    };
    rules::from::default_arguments(subject, lexer, sink);
    let needed = needed(subject);
    for (index, stage) in subject.file.stages.iter().enumerate() {
        let mut visit = Walker {
            subject,
            globals: &globals,
            lexer,
            sink,
        };
        let base = match visit.from(stage) {
            Ok(base) => base,
            Err(fault) => {
                walked.faults.push(fault);
                walked.stages.push(None);
                continue;
            }
        };
        if !needed[index] {
            walked.stages.push(None);
            continue;
        }
        let parent = find_stage(subject, &base).filter(|parent| *parent < index);
        let walked_stage = match parent.and_then(|parent| walked.stages[parent].as_ref()) {
            Some(parent_stage) => visit.stage(stage, parent, parent_stage.end.clone()),
            None => visit.stage(stage, None, visit.base(&base)),
        };
        match walked_stage {
            Ok(stage) => walked.stages.push(Some(stage)),
            Err(fault) => {
                walked.faults.push(fault);
                walked.stages.push(None);
            }
        }
    }
    walked
}

/// The last stage of that name.
pub(super) fn find_stage(subject: &Subject, name: &str) -> Option<usize> {
    subject.file.stages.iter().rposition(|stage| {
        let known = stage.name.as_ref();
        known.is_some_and(|known| known.text.eq_ignore_ascii_case(name))
    })
}

/// What `--from=` and `from=` mean: a stage by name or by number.
fn source_stage(subject: &Subject, name: &str) -> Option<usize> {
    let by_number = || {
        name.parse()
            .ok()
            .filter(|index| *index < subject.file.stages.len())
    };
    find_stage(subject, name).or_else(by_number)
}

/// By stage, whether the target needs it. A name that holds variables may mean any stage.
fn needed(subject: &Subject) -> Vec<bool> {
    let stages = &subject.file.stages;
    let Some(target) = subject.target else {
        return vec![true; stages.len()];
    };
    let mut needed = vec![false; stages.len()];
    let mut open = vec![target];
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut needed[index], true) {
            continue;
        }
        let stage = &stages[index];
        if stage.base.text.contains('$') {
            open.extend(0..index);
        }
        open.extend(find_stage(subject, &stage.base.text).filter(|base| *base < index));
        for instruction in &stage.instructions {
            let names = rules::sources(&instruction.command);
            open.extend(names.iter().filter_map(|name| source_stage(subject, name)));
        }
    }
    needed
}

struct Walker<'w, 'a, 's> {
    subject: &'w Subject<'a>,
    globals: &'w Globals,
    lexer: Lexer,
    sink: &'w mut Sink<'s>,
}

impl<'a> Walker<'_, 'a, '_> {
    /// The rules of `FROM`; gives back what the stage is based on.
    fn from(&mut self, stage: &Stage) -> Result<String, Fault> {
        let site = Site::from(stage);
        let mut names = Names::default();
        let base = self.global_word(&stage.base, &mut names)?;
        variables::undefined_in_from(&site, &names, self.globals, self.sink);
        if base.is_empty() {
            let message = format!("the base image `{}` is empty", stage.base.text);
            return Err(Fault::error(stage.base.span, message));
        }
        if let Some(word) = &stage.platform {
            let mut names = Names::default();
            let value = self.global_word(word, &mut names)?;
            variables::undefined_in_from(&site, &names, self.globals, self.sink);
            rules::from::platform(self.subject, stage, (&value, &names), self.sink);
            if platform::parse(&value, self.subject.platform).is_none() {
                let message = format!("`{value}` is not a platform");
                return Err(Fault::error(word.span, message));
            }
        }
        Ok(base)
    }

    fn global_word(&self, word: &Word, names: &mut Names) -> Result<String, Fault> {
        let expanded = self.lexer.word(&word.text, &self.globals.values, names);
        expanded.map_err(|error| word.fault(&error))
    }

    fn base(&self, name: &str) -> Scope {
        let image = match name {
            "scratch" => Some(super::BaseImage::default()),
            name => self.subject.images.configuration(name),
        };
        Scope::on_image(name, image)
    }

    fn stage(
        &mut self,
        stage: &'a Stage,
        parent: Option<usize>,
        mut scope: Scope,
    ) -> Result<WalkedStage<'a>, Fault> {
        let mut steps = Vec::new();
        let mut once = rules::config::Once::default();
        for trigger in std::mem::take(&mut scope.on_build) {
            // What it says about itself was said where it was written.
            let Ok(mut instruction) = parse_trigger(&trigger) else {
                continue;
            };
            instruction.lines = stage.lines;
            steps.push(self.instruction(&instruction, &mut scope, &mut once)?);
        }
        for instruction in &stage.instructions {
            steps.push(self.instruction(instruction, &mut scope, &mut once)?);
        }
        Ok(WalkedStage {
            stage,
            parent,
            steps,
            end: scope,
        })
    }

    fn instruction(
        &mut self,
        instruction: &Instruction,
        scope: &mut Scope,
        once: &mut rules::config::Once,
    ) -> Result<Step, Fault> {
        let site = Site::from(instruction);
        let (command, names) = instruction.command.expand(&self.lexer, scope)?;
        // BuildKit is silent about the variables of EXPOSE.
        if !matches!(command, Command::Expose(_)) {
            variables::undefined(&site, &names, scope, self.sink);
        }
        rules::config::check(instruction, &command, (scope, once), self.sink);
        rules::expose::check(&site, &command, self.sink);
        rules::copy::ignored(self.subject, &site, &command, self.sink);
        let workdir = scope.workdir.clone();
        self.apply(&site, &command, scope)?;
        Ok(Step {
            site,
            command,
            workdir,
        })
    }

    /// What the instruction changes for those behind it.
    fn apply(&mut self, site: &Site, command: &Command, scope: &mut Scope) -> Result<(), Fault> {
        match command {
            Command::Arg(arg) => self.arg(site, arg, scope)?,
            Command::Env(pairs) => {
                for pair in pairs {
                    scope.set(&pair.name.text, &pair.value.text);
                }
            }
            Command::Run(run) => {
                for mount in &run.mounts {
                    let mut names = Names::default();
                    mount.resolve(&self.lexer, scope, &mut names)?;
                    variables::undefined(site, &names, scope, self.sink);
                }
            }
            Command::Shell(_) => scope.has_shell = true,
            Command::User(user) => scope.user.clone_from(&user.text),
            Command::Workdir(path) => {
                scope.workdir_set = true;
                scope.workdir = join(&scope.workdir, &path.text);
            }
            Command::Onbuild(trigger) => scope.on_build.push(trigger.expression.clone()),
            _ => {}
        }
        Ok(())
    }

    fn arg(&mut self, site: &Site, arg: &Arg, scope: &mut Scope) -> Result<(), Fault> {
        for value in &arg.values {
            let name = &value.name.text;
            let found = match (self.subject.build_args.get(name), &value.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let mut names = Names::default();
                    let expanded = self.lexer.word(&default.text, scope, &mut names);
                    variables::undefined(site, &names, scope, self.sink);
                    Some(expanded.map_err(|error| default.fault(&error))?)
                }
                (None, None) => self.globals.values.get(name).cloned(),
            };
            scope.declare(name, found.as_deref());
        }
        Ok(())
    }
}

/// A path against a working directory, without `.`, `..` and doubled slashes.
pub(super) fn join(workdir: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{workdir}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
