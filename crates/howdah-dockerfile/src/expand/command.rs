//! Which parts of which instruction expand.

use super::{Lexer, Names, Variables};
use crate::{Command, Expose, Fault, Files, Pair, Word};

impl Command {
    /// The command with everything expanded that BuildKit expands in it, and the names that were used.
    ///
    /// Three are not changed although variables play a part in them: `ARG`, since only a default that no build argument
    /// overrides is expanded, and each one sees those before it; `RUN`, whose mounts expand in
    /// [`crate::RunMount::resolve`]; `ONBUILD`, which expands when it is triggered.
    pub fn expand(
        &self,
        lexer: &Lexer,
        variables: &dyn Variables,
    ) -> Result<(Command, Names), Fault> {
        let mut run = Expander {
            lexer,
            variables,
            names: Names::default(),
        };
        let expanded = match self {
            Command::Add(add) => {
                let mut add = add.clone();
                run.files(&mut add.files)?;
                run.words(&mut add.checksum)?;
                Command::Add(add)
            }
            Command::Copy(copy) => {
                let mut copy = copy.clone();
                run.files(&mut copy.files)?;
                Command::Copy(copy)
            }
            Command::Env(pairs) => Command::Env(run.pairs(pairs)?),
            Command::Label(pairs) => Command::Label(run.pairs(pairs)?),
            Command::Expose(expose) => Command::Expose(Expose {
                ports: run.splitting(&expose.ports)?,
            }),
            Command::StopSignal(signal) => Command::StopSignal(run.word(signal)?),
            Command::User(user) => Command::User(run.word(user)?),
            Command::Workdir(path) => Command::Workdir(run.word(path)?),
            Command::Volume(paths) => {
                let mut paths = paths.clone();
                run.words(&mut paths)?;
                Command::Volume(paths)
            }
            Command::Arg(_)
            | Command::Cmd(_)
            | Command::Entrypoint(_)
            | Command::Healthcheck(_)
            | Command::Maintainer(_)
            | Command::Onbuild(_)
            | Command::Run(_)
            | Command::Shell(_) => self.clone(),
        };
        Ok((expanded, run.names))
    }
}

struct Expander<'run> {
    lexer: &'run Lexer,
    variables: &'run dyn Variables,
    names: Names,
}

impl Expander<'_> {
    fn word(&mut self, word: &Word) -> Result<Word, Fault> {
        let text = self
            .lexer
            .word(&word.text, self.variables, &mut self.names)
            .map_err(|error| word.fault(&error))?;
        Ok(Word {
            text,
            span: word.span,
        })
    }

    fn words<'word>(
        &mut self,
        words: impl IntoIterator<Item = &'word mut Word>,
    ) -> Result<(), Fault> {
        for word in words {
            *word = self.word(word)?;
        }
        Ok(())
    }

    fn splitting(&mut self, words: &[Word]) -> Result<Vec<Word>, Fault> {
        let mut result = Vec::with_capacity(words.len());
        for word in words {
            let parts = self
                .lexer
                .words(&word.text, self.variables, &mut self.names)
                .map_err(|error| word.fault(&error))?;
            result.extend(parts.into_iter().map(|text| Word {
                text,
                span: word.span,
            }));
        }
        Ok(result)
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<Pair>, Fault> {
        pairs
            .iter()
            .map(|pair| {
                Ok(Pair {
                    name: self.word(&pair.name)?,
                    value: self.word(&pair.value)?,
                    equals: pair.equals,
                })
            })
            .collect()
    }

    fn files(&mut self, files: &mut Files) -> Result<(), Fault> {
        self.words(&mut files.chown)?;
        self.words(&mut files.chmod)?;
        self.words(&mut files.sources)?;
        self.words([&mut files.destination])?;
        for heredoc in files.heredocs.iter_mut().filter(|heredoc| heredoc.expand) {
            heredoc.content = self
                .lexer
                .heredoc(&heredoc.content, self.variables, &mut self.names)
                .map_err(|error| {
                    Fault::error(
                        heredoc.span,
                        format!("cannot expand the heredoc `{}`: {error}", heredoc.name),
                    )
                })?;
        }
        Ok(())
    }
}

impl Word {
    /// The fault of a word that does not expand.
    pub(crate) fn fault(&self, error: &super::ExpandError) -> Fault {
        Fault::error(self.span, format!("cannot expand `{}`: {error}", self.text))
    }
}
