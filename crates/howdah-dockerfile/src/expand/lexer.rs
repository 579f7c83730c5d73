//! The scanner behind [`super::Lexer`].

use std::{iter::Peekable, str::Chars};

use super::{
    ExpandError, Names, Variables,
    pattern::{Pattern, Reach},
};
use crate::limits::{EXPANSION_BYTES, NESTING};

/// What becomes of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// They protect their content and disappear.
    Remove,
    /// They protect their content and stay.
    Keep,
    /// They are ordinary characters.
    Plain,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub(super) quotes: Quotes,
    /// Escape characters stay in the result.
    pub(super) keep_escapes: bool,
    /// `$name` stays as written when the variable is not set.
    pub(super) keep_unset: bool,
}

/// One run over one text.
pub(super) struct Scan<'run> {
    input: Peekable<Chars<'run>>,
    escape: char,
    mode: Mode,
    variables: &'run dyn Variables,
    names: &'run mut Names,
    depth: usize,
    produced: usize,
    quoted: bool,
}

/// The result under construction: as one text and, when asked for, as words.
#[derive(Default)]
struct Output {
    text: String,
    words: Option<Vec<String>>,
    word: String,
    in_word: bool,
}

impl Output {
    fn push_protected(&mut self, text: &str) {
        self.text.push_str(text);
        if self.words.is_some() {
            self.word.push_str(text);
            self.in_word = true;
        }
    }

    fn push_splitting(&mut self, text: &str) {
        self.text.push_str(text);
        let Some(words) = &mut self.words else { return };
        for character in text.chars() {
            if !character.is_whitespace() {
                self.word.push(character);
                self.in_word = true;
            } else if self.in_word && !self.word.is_empty() {
                words.push(std::mem::take(&mut self.word));
                self.in_word = false;
            }
        }
    }
}

impl<'run> Scan<'run> {
    pub(super) fn new(
        text: &'run str,
        escape: char,
        mode: Mode,
        variables: &'run dyn Variables,
        names: &'run mut Names,
    ) -> Self {
        Scan {
            input: text.chars().peekable(),
            escape,
            mode,
            variables,
            names,
            depth: 0,
            produced: 0,
            quoted: false,
        }
    }

    pub(super) fn text(&mut self) -> Result<String, ExpandError> {
        self.until(None, Output::default())
            .map(|output| output.text)
    }

    pub(super) fn words(&mut self) -> Result<Vec<String>, ExpandError> {
        let output = self.until(
            None,
            Output {
                words: Some(Vec::new()),
                ..Output::default()
            },
        )?;
        let mut words = output.words.unwrap_or_default();
        if !output.word.is_empty() {
            words.push(output.word);
        }
        Ok(words)
    }

    /// Whether anything was quoted in the text scanned so far.
    pub(super) fn saw_quotes(&self) -> bool {
        self.quoted
    }

    /// Reads up to `stop`, or to the end when there is none.
    fn until(&mut self, stop: Option<char>, mut output: Output) -> Result<Output, ExpandError> {
        while let Some(character) = self.input.next() {
            if Some(character) == stop {
                return Ok(output);
            }
            let before = output.text.len();
            match character {
                '\'' if self.mode.quotes != Quotes::Plain => {
                    output.push_protected(&self.single_quoted()?);
                }
                '"' if self.mode.quotes != Quotes::Plain => {
                    output.push_protected(&self.double_quoted()?);
                }
                '$' => output.push_splitting(&self.dollar()?),
                '<' => output.push_protected(&self.angle()),
                _ if character == self.escape => {
                    let kept = self.mode.keep_escapes.then_some(character);
                    // At the end of the text it escapes nothing and is dropped.
                    let escaped: String = kept.into_iter().chain(self.input.next()).collect();
                    output.push_protected(&escaped);
                }
                _ => output.push_splitting(character.encode_utf8(&mut [0; 4])),
            }
            self.count(output.text.len() - before)?;
        }
        match stop {
            Some(_) => Err(ExpandError::OpenBrace),
            None => Ok(output),
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), ExpandError> {
        self.produced += bytes;
        if self.produced > EXPANSION_BYTES {
            Err(ExpandError::Length)
        } else {
            Ok(())
        }
    }

    /// `<<` and `<<-` take the white space behind them into their word, so that `<< EOF` is one.
    fn angle(&mut self) -> String {
        let mut text = String::from('<');
        if self.input.next_if_eq(&'<').is_some() {
            text.push('<');
            text.extend(self.input.next_if_eq(&'-'));
            while let Some(space) = self
                .input
                .next_if(|next| matches!(next, ' ' | '\t' | '\r' | '\n'))
            {
                text.push(space);
            }
        }
        text
    }

    fn quote_mark(&mut self, quote: char) -> String {
        self.quoted = true;
        if self.mode.quotes == Quotes::Keep {
            quote.into()
        } else {
            String::new()
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandError> {
        let mark = self.quote_mark('\'');
        let mut text = mark.clone();
        loop {
            match self.input.next() {
                None => return Err(ExpandError::OpenQuote { quote: '\'' }),
                Some('\'') => return Ok(text + &mark),
                Some(character) => text.push(character),
            }
        }
    }

    /// Only the quote, `$` and the escape character itself can be escaped in here; before anything else the escape
    /// character is an ordinary one.
    fn double_quoted(&mut self) -> Result<String, ExpandError> {
        let mark = self.quote_mark('"');
        let mut text = mark.clone();
        let escape = self.escape;
        loop {
            match self.input.next() {
                None => return Err(ExpandError::OpenQuote { quote: '"' }),
                Some('"') => return Ok(text + &mark),
                Some('$') => {
                    let value = self.dollar()?;
                    self.count(value.len())?;
                    text.push_str(&value);
                }
                Some(character) if character == escape => {
                    if self.mode.keep_escapes {
                        text.push(character);
                    }
                    let escaped = self
                        .input
                        .next_if(|&next| next == '"' || next == '$' || next == escape);
                    text.push(escaped.unwrap_or(character));
                }
                Some(character) => text.push(character),
            }
        }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        if self.input.next_if_eq(&'{').is_some() {
            self.depth += 1;
            if self.depth > NESTING {
                return Err(ExpandError::Depth);
            }
            let value = self.braces();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".into());
        }
        Ok(match self.lookup(&name) {
            Some(value) => value.to_owned(),
            None if self.mode.keep_unset => format!("${name}"),
            None => String::new(),
        })
    }

    /// What stands behind `${`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        match self.input.peek() {
            None => return Err(ExpandError::OpenBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::NoName),
            Some(_) => {}
        }
        let name = self.name();
        let unsupported = |modifier: &str| ExpandError::Modifier {
            name: name.clone(),
            modifier: modifier.into(),
        };
        match self.input.next().ok_or(ExpandError::OpenBrace)? {
            '}' => Ok(match self.lookup(&name) {
                Some(value) => value.to_owned(),
                None if self.mode.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            ':' => match self.input.next().ok_or(ExpandError::OpenBrace)? {
                modifier @ ('-' | '+' | '?') => self.alternative(&name, modifier, true),
                modifier => Err(unsupported(&format!(":{modifier}"))),
            },
            modifier @ ('-' | '+' | '?') => self.alternative(&name, modifier, false),
            modifier @ ('#' | '%') => self.trim(&name, modifier),
            '/' => self.replace(&name),
            modifier => Err(unsupported(modifier.encode_utf8(&mut [0; 4]))),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`, and with a colon those where empty counts as unset.
    fn alternative(
        &mut self,
        name: &str,
        modifier: char,
        empty_is_unset: bool,
    ) -> Result<String, ExpandError> {
        let word = self.argument('}', self.mode.keep_escapes)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keep_unset {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let usable = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (modifier, usable) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(usable)) => Ok(usable.to_owned()),
            (_, None) => {
                let state = if value.is_none() { "unset" } else { "empty" };
                let message = if word.is_empty() {
                    format!("is not allowed to be {state}")
                } else {
                    word
                };
                Err(ExpandError::Required {
                    name: name.into(),
                    message,
                })
            }
        }
    }

    /// `${name#pattern}`, `${name##pattern}`, `${name%pattern}`, `${name%%pattern}`.
    fn trim(&mut self, name: &str, modifier: char) -> Result<String, ExpandError> {
        let word = self.argument('}', true)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}{modifier}{word}}}"));
        }
        let value = value.unwrap_or_default();
        let (pattern, reach) = match word.strip_prefix(modifier) {
            Some(pattern) => (pattern, Reach::Longest),
            None => (word.as_str(), Reach::Shortest),
        };
        let pattern = Pattern::parse(pattern)?;
        if modifier == '#' {
            pattern.trim_prefix(value, reach)
        } else {
            pattern.trim_suffix(value, reach)
        }
    }

    /// `${name/pattern/replacement}`, `${name//pattern/replacement}`.
    fn replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.input.next_if_eq(&'/').is_some();
        let pattern = self.argument('/', true).map_err(|error| match error {
            ExpandError::OpenBrace => ExpandError::OpenPattern { name: name.into() },
            other => other,
        })?;
        let replacement = self.argument('}', true)?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let longest = (value.len() + 1).saturating_mul(replacement.len());
        if all && longest > EXPANSION_BYTES {
            return Err(ExpandError::Length);
        }
        Pattern::parse(&pattern)?.replace(value, &replacement, all)
    }

    /// The part of a substitution up to `stop`; a pattern keeps its escapes, they mean something to it.
    fn argument(&mut self, stop: char, keep_escapes: bool) -> Result<String, ExpandError> {
        let outer = std::mem::replace(&mut self.mode.keep_escapes, keep_escapes);
        let result = self.until(Some(stop), Output::default());
        self.mode.keep_escapes = outer;
        result.map(|output| output.text)
    }

    /// A name: letters, digits and `_`; or digits only; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.input.peek() {
            Some(first) if first.is_ascii_digit() => {
                while let Some(digit) = self.input.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
                return name;
            }
            Some(&special @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                self.input.next();
                return special.into();
            }
            _ => {}
        }
        while let Some(part) = self
            .input
            .next_if(|&next| next.is_alphanumeric() || next == '_')
        {
            name.push(part);
        }
        name
    }

    fn lookup(&mut self, name: &str) -> Option<&'run str> {
        let value = self.variables.get(name);
        let names = if value.is_some() {
            &mut self.names.matched
        } else {
            &mut self.names.unmatched
        };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        value
    }
}
