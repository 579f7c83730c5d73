//! From words to directives with their blocks.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::error::{CaddyfileError, Fault, Place};
use crate::lexer::Token;

/// Blocks within blocks.
const MOST_DEPTH: usize = 32;

/// A line, and the block that it may open.
#[derive(Debug, Clone)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// Of each argument: was it written in quotes?
    pub(crate) quoted: Vec<bool>,
    pub(crate) block: Option<Vec<Directive>>,
    pub(crate) place: Place,
}

/// A site: its addresses and what is in its block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) keys: Vec<String>,
    pub(crate) directives: Vec<Directive>,
    pub(crate) place: Place,
}

type Tokens = Peekable<IntoIter<Token>>;

/// The blocks of a file. The first one without keys is the global options.
pub(crate) fn blocks(tokens: Vec<Token>) -> Result<Vec<Block>, CaddyfileError> {
    let mut tokens = tokens.into_iter().peekable();
    let mut blocks: Vec<Block> = Vec::new();
    while let Some(first) = tokens.peek() {
        let place = first.place.clone();
        let keys = keys(&mut tokens)?;
        let directives = if tokens.next_if(|token| token.is("{")).is_some() {
            end_of_line('{', &mut tokens)?;
            let name = keys.join(" ");
            let directives = directives(&mut tokens, 0, Some((&name, &place)))?;
            end_of_line('}', &mut tokens)?;
            directives
        } else {
            // A file with one site needs no braces.
            directives(&mut tokens, 0, None)?
        };
        if keys.is_empty() && !blocks.is_empty() {
            return Err(Fault::LateOptions.at(&place));
        }
        blocks.push(Block {
            keys,
            directives,
            place,
        });
    }
    Ok(blocks)
}

/// Addresses, separated by commas or spaces. A comma at the end of a line has the next one go on.
fn keys(tokens: &mut Tokens) -> Result<Vec<String>, CaddyfileError> {
    let mut keys = Vec::new();
    let mut goes_on = true;
    while let Some(token) = tokens.next_if(|token| !token.is("{") && (goes_on || !token.first)) {
        if token.is("}") {
            return Err(Fault::StrayBrace.at(&token.place));
        }
        goes_on = token.text.ends_with(',');
        keys.extend(
            token
                .text
                .split(',')
                .filter(|key| !key.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(keys)
}

/// Up to the brace that closes the block, or with `owner` none to the end.
fn directives(
    tokens: &mut Tokens,
    depth: usize,
    owner: Option<(&str, &Place)>,
) -> Result<Vec<Directive>, CaddyfileError> {
    let mut directives = Vec::new();
    while let Some(token) = tokens.next() {
        if depth > MOST_DEPTH {
            return Err(Fault::TooDeep.at(&token.place));
        }
        if token.is("}") {
            return match owner {
                Some(_) => Ok(directives),
                None => Err(Fault::StrayBrace.at(&token.place)),
            };
        }
        directives.push(directive(token, tokens, depth)?);
    }
    match owner {
        Some((name, place)) => Err(Fault::OpenBlock(name.to_owned()).at(place)),
        None => Ok(directives),
    }
}

fn directive(name: Token, tokens: &mut Tokens, depth: usize) -> Result<Directive, CaddyfileError> {
    let Token {
        text: name, place, ..
    } = name;
    let (mut arguments, mut quoted) = (Vec::new(), Vec::new());
    let mut block = None;
    while let Some(token) = tokens.next_if(|token| !token.first) {
        if token.is("{") {
            end_of_line('{', tokens)?;
            block = Some(directives(tokens, depth + 1, Some((&name, &place)))?);
            end_of_line('}', tokens)?;
            break;
        }
        if token.is("}") {
            return Err(Fault::StrayBrace.at(&token.place));
        }
        arguments.push(token.text);
        quoted.push(token.quoted);
    }
    Ok(Directive {
        name,
        arguments,
        quoted,
        block,
        place,
    })
}

fn end_of_line(brace: char, tokens: &mut Tokens) -> Result<(), CaddyfileError> {
    match tokens.peek() {
        Some(token) if !token.first => Err(Fault::AfterBrace(brace).at(&token.place)),
        _ => Ok(()),
    }
}

impl Directive {
    /// Its arguments as words.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// Its first argument as a directive with the others as arguments; without arguments none.
    pub(crate) fn of_arguments(&self) -> Option<Directive> {
        let (name, arguments) = self.arguments.split_first()?;
        Some(Directive {
            name: name.clone(),
            arguments: arguments.to_vec(),
            quoted: self.quoted[1..].to_vec(),
            block: self.block.clone(),
            place: self.place.clone(),
        })
    }

    pub(crate) fn fault(&self, fault: Fault) -> CaddyfileError {
        fault.at(&self.place)
    }

    pub(crate) fn usage(&self, usage: &'static str) -> CaddyfileError {
        self.fault(Fault::Usage {
            name: self.name.clone(),
            usage,
        })
    }

    pub(crate) fn unknown(&self, section: &'static str, known: &'static str) -> CaddyfileError {
        self.fault(Fault::Unknown {
            name: self.name.clone(),
            section,
            known,
        })
    }

    pub(crate) fn unsupported(&self, instead: &'static str) -> CaddyfileError {
        self.fault(Fault::Unsupported {
            name: self.name.clone(),
            instead,
        })
    }

    /// Its only argument, and no block.
    pub(crate) fn one(&self, usage: &'static str) -> Result<&str, CaddyfileError> {
        match (self.words().as_slice(), &self.block) {
            ([one], None) => Ok(one),
            _ => Err(self.usage(usage)),
        }
    }

    /// What is in its block; without one nothing.
    pub(crate) fn inner(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}
