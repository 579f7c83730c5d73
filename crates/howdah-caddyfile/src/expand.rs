//! Snippets and imports: from the words of one file to those of all.

use std::collections::BTreeMap;

use crate::Surroundings;
use crate::error::{CaddyfileError, Fault, Place};
use crate::lexer::{self, Token};

/// Imports within imports.
const MOST_DEPTH: usize = 16;
/// Words altogether.
const MOST_TOKENS: usize = 200_000;

/// Takes snippets out and puts what is imported in.
pub(crate) struct Expander<'a> {
    surroundings: &'a dyn Surroundings,
    snippets: BTreeMap<String, Vec<Token>>,
    expanded: Vec<Token>,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(surroundings: &'a dyn Surroundings) -> Self {
        Self {
            surroundings,
            snippets: BTreeMap::new(),
            expanded: Vec::new(),
        }
    }

    pub(crate) fn run(mut self, tokens: Vec<Token>) -> Result<Vec<Token>, CaddyfileError> {
        self.expand(tokens, 0)?;
        Ok(self.expanded)
    }

    fn expand(&mut self, tokens: Vec<Token>, depth: usize) -> Result<(), CaddyfileError> {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            if depth > MOST_DEPTH {
                return Err(Fault::TooDeep.at(&token.place));
            }
            if self.expanded.len() >= MOST_TOKENS {
                return Err(Fault::TooLarge.at(&token.place));
            }
            if token.first && token.is("import") {
                let mut arguments = Vec::new();
                while let Some(argument) = tokens.next_if(|next| !next.first) {
                    arguments.push(argument);
                }
                self.import(&token.place, arguments, depth)?;
                continue;
            }
            let opens = tokens
                .peek()
                .is_some_and(|next| next.is("{") && !next.first);
            match snippet_name(&token).filter(|_| opens) {
                Some(name) => {
                    tokens.next();
                    let body = body(&token, &mut tokens)?;
                    self.snippets.insert(name, body);
                }
                None => self.expanded.push(token),
            }
        }
        Ok(())
    }

    fn import(
        &mut self,
        place: &Place,
        mut arguments: Vec<Token>,
        depth: usize,
    ) -> Result<(), CaddyfileError> {
        if arguments.iter().any(|argument| argument.is("{")) {
            let instead = "give the snippet words as arguments, without a block";
            let name = "import ... {".into();
            return Err(Fault::Unsupported { name, instead }.at(place));
        }
        if arguments.is_empty() {
            let usage = "import NAME [ARGUMENT...]";
            let name = "import".into();
            return Err(Fault::Usage { name, usage }.at(place));
        }
        let name = arguments.remove(0).text;
        if let Some(snippet) = self.snippets.get(&name) {
            let tokens = with_arguments(snippet, &arguments);
            return self.expand(tokens, depth + 1);
        }
        let files = self.surroundings.import(&name, &place.file);
        let files = files.map_err(|reason| Fault::Import { name, reason }.at(place))?;
        for file in files {
            let variable = |name: &str| self.surroundings.variable(name);
            let tokens = lexer::tokens(&file.text, &file.name, &variable)?;
            self.expand(with_arguments(&tokens, &arguments), depth + 1)?;
        }
        Ok(())
    }
}

/// `(name)` at the beginning of a line.
fn snippet_name(token: &Token) -> Option<String> {
    let name = token.text.strip_prefix('(')?.strip_suffix(')')?;
    (token.first && !token.quoted && !name.is_empty()).then(|| name.to_owned())
}

/// Up to the brace that closes the block; the brace is not part of it.
fn body(
    name: &Token,
    tokens: &mut impl Iterator<Item = Token>,
) -> Result<Vec<Token>, CaddyfileError> {
    let mut body = Vec::new();
    let mut depth = 1;
    for token in tokens {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            depth -= 1;
            if depth == 0 {
                return Ok(body);
            }
        }
        body.push(token);
    }
    Err(Fault::OpenBlock(name.text.clone()).at(&name.place))
}

/// Puts arguments in for `{args[0]}`; `{args[:]}` alone becomes all of them.
fn with_arguments(tokens: &[Token], arguments: &[Token]) -> Vec<Token> {
    let mut filled = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.text == "{args[:]}" {
            for (index, argument) in arguments.iter().enumerate() {
                let mut argument = argument.clone();
                argument.first = token.first && index == 0;
                filled.push(argument);
            }
            continue;
        }
        let mut token = token.clone();
        if token.text.contains("{args") {
            for (index, argument) in arguments.iter().enumerate() {
                for name in [format!("{{args[{index}]}}"), format!("{{args.{index}}}")] {
                    token.text = token.text.replace(&name, &argument.text);
                }
            }
        }
        filled.push(token);
    }
    filled
}
